// SPDX-License-Identifier: MIT
// Tells how a load that was begun here ended: the answer to it does not wait for that.
import { effect, untracked } from "@preact/signals";
import { duration } from "../parts/format";
import { say, sayError } from "../parts/toast";
import { models, shape } from "../state/store";
import { whyGone } from "../state/words";

const LONGEST_MS = 30 * 60_000;

const following = new Map<string, () => void>();

function stopFollowing(id: string): void {
  following.get(id)?.();
  following.delete(id);
}

export function followLoad(id: string): void {
  stopFollowing(id);
  const began = performance.now();
  let seen = false; /* it is loading: whatever state comes now is the load's end */
  const stop = effect(() => {
    shape.value; /* it may be gone */
    const m = models.get(id)?.value;
    if (m?.state === "loading") seen = true;
    else if (m?.state === "loaded") untracked(() => end(() => say(`${id} is loaded, after ${duration(performance.now() - began)}`)));
    else if (!m || (seen && m.state === "unloaded")) {
      untracked(() => end(() => sayError(`${id} was not loaded`, m ? whyGone(m) || "it was unloaded" : "it is gone")));
    }
  });
  const timer = setTimeout(() => stopFollowing(id), LONGEST_MS);
  following.set(id, () => {
    clearTimeout(timer);
    stop();
  });
  function end(tell: () => void): void {
    tell();
    queueMicrotask(() => stopFollowing(id)); /* not while the effect runs */
  }
}
