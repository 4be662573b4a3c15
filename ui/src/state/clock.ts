// SPDX-License-Identifier: MIT
// The time, as signals that tick only while something on the page uses them and the page can be seen.
import { signal, type Signal } from "@preact/signals";

function ticking(everyMs: number): Signal<number> {
  let timer = 0;
  const tick = (): void => {
    if (!document.hidden) time.value = Date.now() / 1000;
  };
  const time: Signal<number> = signal(Date.now() / 1000, {
    watched() {
      tick();
      timer = window.setInterval(tick, everyMs);
    },
    unwatched() {
      clearInterval(timer);
    },
  });
  return time;
}

/** Unix seconds, each second. */
export const everySecond = ticking(1000);
/** Unix seconds, for "5 min ago". */
export const every10Seconds = ticking(10_000);
