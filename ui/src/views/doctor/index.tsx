// SPDX-License-Identifier: MIT
// The view Doctor: what is wrong with this installation, and the commands that mend it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { getJson, messageOf } from "../../api/client";
import { copyText } from "../../parts/copy";
import { CurlButton } from "../../parts/curl";
import { say } from "../../parts/toast";

type Level = "ok" | "note" | "wrong";

interface Finding {
  check: string;
  level: Level;
  what: string;
  evidence: string | null;
  remedies: { command: string; remark: string | null }[];
  advice: string | null;
}

interface Report {
  ok: boolean;
  findings: Finding[];
}

const PATH = "hostler/v1/doctor";
const WORDS: Record<Level, string> = { wrong: "wrong", note: "note", ok: "in order" };
const ORDER: Level[] = ["wrong", "note", "ok"];

function Remedy({ command, remark }: { command: string; remark: string | null }): JSX.Element {
  return (
    <li class="remedy">
      <code tabIndex={0}>{command}</code>
      <button
        type="button"
        class="button button-quiet"
        aria-label={`Copy ${command}`}
        onClick={() => void copyText(command).then((ok) => say(ok ? "Copied" : "The browser does not allow copying"))}
      >
        Copy
      </button>
      {remark && <span class="muted">{remark}</span>}
    </li>
  );
}

function FindingView({ finding: f }: { finding: Finding }): JSX.Element {
  return (
    <li class={`panel finding finding-${f.level}`}>
      <p>
        <span class={`finding-level ${f.level === "wrong" ? "bad" : f.level === "note" ? "warn" : "good"}`}>{WORDS[f.level]}</span>
        <span class="muted">{f.check}</span>
      </p>
      <p>{f.what}</p>
      {f.evidence && <p class="muted">{f.evidence}</p>}
      {f.remedies.length > 0 && <ul class="remedies">{f.remedies.map((r) => <Remedy key={r.command} {...r} />)}</ul>}
      {f.advice && <p>{f.advice}</p>}
    </li>
  );
}

function summaryOf(report: Report): string {
  const wrong = report.findings.filter((f) => f.level === "wrong").length;
  const notes = report.findings.filter((f) => f.level === "note").length;
  if (wrong === 0 && notes === 0) return "Everything is in order.";
  return [wrong && `${wrong} wrong`, notes && `${notes} ${notes === 1 ? "note" : "notes"}`].filter(Boolean).join(", ");
}

export function View(): JSX.Element {
  const report = useSignal<Report | null>(null);
  const problem = useSignal("");
  const busy = useSignal(false);

  async function check(): Promise<void> {
    busy.value = true;
    try {
      report.value = await getJson<Report>(PATH);
      problem.value = "";
    } catch (e) {
      problem.value = messageOf(e);
    } finally {
      busy.value = false;
    }
  }
  useEffect(() => void check(), []);

  const findings = [...(report.value?.findings ?? [])].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
  return (
    <section class="view" aria-labelledby="view-title" aria-busy={busy.value}>
      <div class="view-head">
        <h1 id="view-title">Doctor</h1>
        <button type="button" class="button" disabled={busy.value} onClick={() => void check()}>{busy.value ? "Checking…" : "Check again"}</button>
        <CurlButton of={() => ({ path: PATH })} />
        <span role="status" class="muted">{report.value && !busy.value ? summaryOf(report.value) : ""}</span>
      </div>
      {problem.value && <p class="error-note" role="alert">{problem.value}</p>}
      {!report.value && busy.value && <p class="muted">The checks take some seconds.</p>}
      <ul class="findings">{findings.map((f, i) => <FindingView key={`${f.check} ${i}`} finding={f} />)}</ul>
    </section>
  );
}
