// SPDX-License-Identifier: MIT
// Unloading all models: what would go is asked first (a dry run), then done, then reported a model.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { sendJson, messageOf, RequestError } from "../api/client";
import type { ByDevice } from "../api/types";
import { CurlButton } from "../parts/curl";
import { closeDialog, Dialog, openDialog } from "../parts/dialog";
import { duration } from "../parts/format";
import { sayError } from "../parts/toast";
import { byDevice } from "./estimate";

interface Result {
  model: string;
  result: "unloaded" | "busy" | "failed" | "skipped";
  reason?: string;
  freed?: ByDevice;
  drained_ms?: number;
  stopped_ms?: number;
}

interface Report {
  results: Result[];
  freed: ByDevice;
  elapsed_ms: number;
}

const PATH = "models/unload-all";

const REASONS: Record<string, string> = {
  would_be_unloaded: "idle: it would go at once",
  would_wait_for_requests: "it would finish its requests first",
  requests_in_flight: "still answering: it stays loaded",
  crashed: "it had ended by itself",
  was_waiting_to_load: "it was waiting to load",
  process_does_not_end: "its process does not end",
  not_loaded: "it was not loaded",
};

function ResultTable({ report, done }: { report: Report; done: boolean }): JSX.Element {
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Model</th>
            {done && <th scope="col">Result</th>}
            <th scope="col">{done ? "" : "What would happen"}</th>
            {done && <th scope="col" class="number">Memory back</th>}
            {done && <th scope="col" class="number">Took</th>}
          </tr>
        </thead>
        <tbody>
          {report.results.map((r) => (
            <tr key={r.model}>
              <td>{r.model}</td>
              {done && <td class={r.result === "unloaded" ? "good" : r.result === "failed" ? "bad" : "warn"}>{r.result}</td>}
              <td class="muted">{r.reason ? (REASONS[r.reason] ?? r.reason) : ""}</td>
              {done && <td class="number">{r.freed ? byDevice(r.freed) : "–"}</td>}
              {done && <td class="number">{duration((r.drained_ms ?? 0) + (r.stopped_ms ?? 0))}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** 409 carries a report, too: some models were busy. */
async function unloadAll(body: object): Promise<Report> {
  try {
    return await sendJson<Report>("POST", PATH, body);
  } catch (e) {
    const report = e instanceof RequestError ? (e.body as Report | null) : null;
    if (report?.results) return report;
    throw e;
  }
}

function titleOf({ results }: Report, done: boolean): string {
  const n = results.length;
  if (!n) return "Nothing to unload";
  if (!done) return `Unload ${n === 1 ? "1 model" : `${n} models`}?`;
  const unloaded = results.filter((r) => r.result === "unloaded").length;
  return unloaded === n ? "Unloaded" : `Unloaded ${unloaded} of ${n}`;
}

function UnloadAllDialog({ plan }: { plan: Report }): JSX.Element {
  const [force, setForce] = useState(false);
  const [state, setState] = useState<"asking" | "going" | "done">("asking");
  const [report, setReport] = useState(plan);
  const [problem, setProblem] = useState("");
  const body = force ? { force: true } : {};

  async function go(): Promise<void> {
    if (state === "done") return closeDialog();
    setState("going");
    try {
      setReport(await unloadAll(body));
      setState("done");
    } catch (e) {
      setProblem(messageOf(e));
      setState("asking");
    }
  }

  const n = report.results.length;
  const done = state === "done";
  return (
    <Dialog title={titleOf(report, done)} wide onSubmit={() => void go()}>
      {n === 0 ? <p class="muted">No model is in memory.</p> : <ResultTable report={report} done={done} />}
      {problem && <p class="error-note" role="alert">{problem}</p>}
      {done && (
        <p role="status">
          Memory that came back: <strong>{byDevice(report.freed)}</strong>, in {duration(report.elapsed_ms)}.
        </p>
      )}
      {!done && n > 0 && (
        <label class="check">
          <input type="checkbox" checked={force} disabled={state === "going"} onChange={(e) => setForce(e.currentTarget.checked)} />
          do not wait for running requests: cut them off
        </label>
      )}
      <footer class="dialog-foot">
        {n > 0 && <CurlButton of={() => ({ method: "POST", path: PATH, body })} />}
        {!done && n > 0 && <button type="button" class="button" onClick={closeDialog}>Cancel</button>}
        <button type={n ? "submit" : "button"} class={done || !n ? "button" : "button button-danger"} data-first disabled={state === "going"} onClick={n ? undefined : closeDialog}>
          {done || !n ? "Close" : state === "going" ? "Unloading…" : "Unload all"}
        </button>
      </footer>
    </Dialog>
  );
}

export async function askUnloadAll(): Promise<void> {
  try {
    const plan = await sendJson<Report>("POST", PATH, { dry_run: true });
    openDialog(() => <UnloadAllDialog plan={plan} />);
  } catch (e) {
    sayError("Unload all", e);
  }
}
