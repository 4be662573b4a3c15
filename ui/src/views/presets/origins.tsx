// SPDX-License-Identifier: MIT
// Where the arguments of a section's model come from: the section, the one for all models, the command line, hostler.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { getJson, messageOf } from "../../api/client";
import { hrefOf } from "../../state/route";
import { models } from "../../state/store";

interface Argument {
  option: string;
  value?: string | null;
  origin: string;
}

const ALL = "*";
const AFTER_MS = 250;

export function Origins({ section, version }: { section: string | null; version: string }): JSX.Element | null {
  const rows = useSignal<Argument[]>([]);
  const problem = useSignal("");
  const known = section !== null && section !== ALL && models.has(section);

  useEffect(() => {
    rows.value = [];
    problem.value = "";
    if (!known) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      getJson<{ arguments?: Argument[] }>(`hostler/v1/show?model=${encodeURIComponent(section)}`, stop.signal).then(
        (shown) => (rows.value = shown.arguments ?? []),
        (e: unknown) => stop.signal.aborted || (problem.value = messageOf(e)),
      );
    }, AFTER_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [section, known, version]);

  if (section === null) return <p class="muted">Text before the first section concerns no model.</p>;
  if (section === ALL) return <p class="muted">[*] is for all models; a model's own section goes first.</p>;
  if (!known) return <p class="muted">No model is called {section} as the file is now.</p>;
  return (
    <>
      <p>The engine of <a href={hrefOf("models", section)}>{section}</a> gets, as the file is now:</p>
      {problem.value && <p class="bad">{problem.value}</p>}
      <dl class="origins">
        {rows.value.map((a) => (
          <div key={a.option}>
            <dt class="mono">{a.option} {a.value ?? ""}</dt>
            <dd class="muted">{a.origin}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
