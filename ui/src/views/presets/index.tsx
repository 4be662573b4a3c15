// SPDX-License-Identifier: MIT
// The view Presets: the file with its sections, edited where the key and the file's mode allow it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { CurlButton } from "../../parts/curl";
import { ask } from "../../parts/dialog";
import { may } from "../../state/store";
import { Editor } from "./editor";
import {
  changed, check, checking, CHECK_PATH, conflict, discard, fieldText, file, PATH, read, readProblem, sectionAt, takeTheirs, text, type,
  type Problem,
} from "./file";
import { Origins } from "./origins";
import { changesText, Difference, openReview } from "./review";

function Conflict(): JSX.Element | null {
  const theirs = conflict.value;
  if (!theirs) return null;
  return (
    <div class="error-note presets-conflict" role="alert">
      <p>The file was changed since it was read here. What others changed:</p>
      <Difference before={file.value?.text ?? ""} after={theirs.text} />
      <div class="row">
        <button type="button" class="button" onClick={() => takeTheirs(true)}>Keep my text, and compare it with that</button>
        <button type="button" class="button" onClick={() => takeTheirs(false)}>Drop my text</button>
      </div>
    </div>
  );
}

interface ProblemsProps {
  problems: readonly Problem[];
  warnings: readonly Problem[];
  go: (line: number) => void;
}

function Problems({ problems, warnings, go }: ProblemsProps): JSX.Element {
  return (
    <ul class="presets-problems">
      {[...problems, ...warnings].map((p, i) => (
        <li key={i}>
          {p.line ? <button type="button" class="button button-quiet" onClick={() => go(p.line ?? 1)}>Line {p.line}</button> : null}
          <span class={i < problems.length ? "bad" : "warn"}>{p.section ? `[${p.section}] ` : ""}{p.message}</span>
        </li>
      ))}
    </ul>
  );
}

/** What the daemon's reader says of the text, in a line. */
function verdict(): string {
  if (!changed.value) {
    if (file.value?.writable === false) return `It cannot be edited here: ${file.value.why ?? "the file is not writable"}.`;
    return file.value?.in_effect === false && !file.value.problem ? "The file was changed since the models were read from it." : "";
  }
  if (checking.value) return "Checking…";
  const c = check.value;
  if (!c) return "";
  if (!c.ok) return c.problems.length === 1 ? "There is a problem." : `There are ${c.problems.length} problems.`;
  return `The text is valid. Models ${changesText(c.changes) || "stay as they are"}.`;
}

function askToDiscard(): void {
  ask({ title: "Drop what was changed here?", yes: "Drop it", danger: true, children: <p>The file stays as it is.</p>, act: discard });
}

export function View(): JSX.Element {
  const target = useSignal<{ line: number } | null>(null);
  const line = useSignal(1);
  useEffect(() => {
    void read();
  }, []);

  const f = file.value;
  const editable = f !== null && f.writable && may("admin");
  const problems = changed.value ? (check.value?.problems ?? []) : f?.problem ? [{ message: f.problem }] : [];
  const go = (to: number): void => void (target.value = { line: to });
  const ready = changed.value && !checking.value && check.value?.ok === true && !conflict.value;
  return (
    <section class="view presets" aria-labelledby="view-title">
      <div class="view-head">
        <h1 id="view-title">Presets</h1>
        <span class="muted presets-path">{f?.path}</span>
        <span class="spring" />
        <CurlButton
          of={() => changed.peek()
            ? [{ method: "POST", path: CHECK_PATH, body: { text: text.peek() } }, { method: "PUT", path: PATH, body: { text: text.peek(), etag: file.peek()?.etag } }]
            : { path: PATH }}
        />
        {editable && (
          <>
            <button type="button" class="button" disabled={!changed.value} onClick={askToDiscard}>Discard</button>
            <button type="button" class="button button-primary" disabled={!ready} onClick={openReview}>Review and write…</button>
          </>
        )}
      </div>
      {readProblem.value && <p class="error-note" role="alert">{readProblem.value}</p>}
      <Conflict />
      {f && (
        <div class="presets-body">
          <nav class="panel presets-sections" aria-label="Sections">
            <ul>
              {f.sections.map((s) => (
                <li key={`${s.name} ${s.line}`}>
                  <button type="button" class="row-button" onClick={() => go(s.line)}>{s.name}</button>
                </li>
              ))}
            </ul>
            {f.sections.length === 0 && <p class="muted">No section yet.</p>}
          </nav>
          <div class="presets-middle">
            <Editor
              text={fieldText.value}
              readOnly={!editable}
              problems={new Set(problems.map((p) => ("line" in p ? (p.line ?? 0) : 0)).filter(Boolean))}
              target={target.value}
              describedBy="presets-verdict"
              onInput={type}
              onLine={(l) => (line.value = l)}
            />
            <p id="presets-verdict" role="status">{verdict()}</p>
            <Problems problems={problems} warnings={changed.value ? (check.value?.warnings ?? []) : []} go={go} />
          </div>
          <aside class="panel presets-origins" aria-label="Origins">
            <Origins section={sectionAt(text.value, line.value)} version={f.etag} />
          </aside>
        </div>
      )}
    </section>
  );
}
