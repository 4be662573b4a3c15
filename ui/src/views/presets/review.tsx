// SPDX-License-Identifier: MIT
// What would be written: the difference by lines, and which models it concerns. Nothing is written before that was shown.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { closeDialog, Dialog, openDialog } from "../../parts/dialog";
import { say } from "../../parts/toast";
import { diff, hunks } from "./diff";
import { check, conflict, file, text, write, type ModelChange } from "./file";

export function Difference({ before, after }: { before: string; after: string }): JSX.Element {
  const parts = hunks(diff(before, after));
  return (
    <div class="diff" tabIndex={0} role="region" aria-label="What changes">
      {parts.length === 0 && <p class="muted">The texts are the same.</p>}
      {parts.map((lines, i) => (
        <table key={i}>
          <tbody>
            {lines.map((l, j) => (
              <tr key={j} class={`diff-${l.kind}`}>
                <td class="diff-number">{l.old ?? ""}</td>
                <td class="diff-number">{l.new ?? ""}</td>
                <td class="diff-sign">{l.kind === "added" ? "+" : l.kind === "removed" ? "−" : ""}<span class="only-read">{l.kind === "same" ? "" : l.kind}</span></td>
                <td class="diff-text">{l.text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ))}
    </div>
  );
}

/** `a, b and 3 more are replaced`. */
export function changesText(changes: readonly ModelChange[]): string {
  const of = (kind: ModelChange["change"], word: string = kind): string => {
    const names = changes.filter((c) => c.change === kind).map((c) => c.model);
    if (names.length === 0) return "";
    const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
    return `${word}: ${names.slice(0, 5).join(", ")}${more}`;
  };
  return [of("added"), of("replaced"), of("settings", "with other settings"), of("removed")].filter(Boolean).join("; ");
}

function Review(): JSX.Element {
  const problem = useSignal("");
  const busy = useSignal(false);
  const changes = changesText(check.value?.changes ?? []);

  async function submit(): Promise<void> {
    busy.value = true;
    problem.value = await write();
    busy.value = false;
    if (problem.value) return;
    closeDialog();
    if (!conflict.peek()) say("The presets are written and read anew");
  }

  return (
    <Dialog title={`Write ${file.value?.path ?? "the presets"}?`} wide onSubmit={() => void submit()}>
      <Difference before={file.value?.text ?? ""} after={text.value} />
      <p>{changes ? `Models ${changes}.` : "No model changes."}</p>
      {problem.value && <p class="error-note" role="alert">{problem.value}</p>}
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={closeDialog}>Back</button>
        <button type="submit" class="button button-primary" data-first disabled={busy.value}>Write the file</button>
      </footer>
    </Dialog>
  );
}

export function openReview(): void {
  openDialog(() => <Review />);
}
