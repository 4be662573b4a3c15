// SPDX-License-Identifier: MIT
// Loading a model: at once when it fits, else with a question that says who would have to go.
import type { JSX } from "preact";
import { openDialog, closeDialog, Dialog } from "../parts/dialog";
import { bytes } from "../parts/format";
import { sayError } from "../parts/toast";
import { byDevice, getEstimate, list, type Estimate } from "./estimate";
import { run } from "./model";

interface QuestionProps {
  id: string;
  estimate: Estimate;
  held: boolean;
}

function Question({ id, estimate, held }: QuestionProps): JSX.Element {
  return (
    <Dialog
      title={`Load ${id}?`}
      onSubmit={() => {
        closeDialog();
        void run("load", id);
      }}
    >
      <div class="dialog-text">
        {held && <p class="warn">It is held: loading it ends the hold.</p>}
        <p>
          It takes <strong>{byDevice(estimate.memory)}</strong> ({estimate.source})
          {estimate.available && <>; available now: {byDevice(estimate.available) || bytes(0)}</>}.
        </p>
        {estimate.evicts.length > 0 && (
          <p>
            <strong>{list(estimate.evicts)}</strong> would be unloaded for it.
          </p>
        )}
        {!estimate.fits && <p class="bad">{estimate.message}</p>}
        {estimate.note && <p class="muted">{estimate.note}</p>}
      </div>
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={closeDialog}>
          Cancel
        </button>
        <button type="submit" class="button button-primary" data-first>
          {estimate.fits ? "Load" : "Try to load"}
        </button>
      </footer>
    </Dialog>
  );
}

export async function load(id: string, held = false): Promise<void> {
  let estimate: Estimate;
  try {
    estimate = await getEstimate(id);
  } catch (e) {
    sayError(`What ${id} takes`, e);
    return;
  }
  if (estimate.fits && !estimate.evicts.length && !held) await run("load", id);
  else openDialog(() => <Question id={id} estimate={estimate} held={held} />);
}
