// SPDX-License-Identifier: MIT
// The time, as signals that tick only while something on the page uses them and the page can be seen.
import { signal, type Signal } from "@preact/signals";

interface Clock {
  time: Signal<number>;
  /** Tells the time now, when it is used; the next tick is a whole step away then. */
  touch(): void;
}

function createClock(everyMs: number): Clock {
  let timer = 0;
  let told = 0;
  const tell = (): void => {
    told = Date.now();
    time.value = told / 1000;
  };
  const tick = (): void => {
    if (!document.hidden && Date.now() - told > everyMs * 0.9) tell();
  };
  const time: Signal<number> = signal(Date.now() / 1000, {
    watched() {
      tell();
      timer = window.setInterval(tick, everyMs);
    },
    unwatched() {
      clearInterval(timer);
      timer = 0;
    },
  });
  return { time, touch: () => timer && tell() };
}

const second = createClock(1000);

/** Unix seconds, each second. */
export const everySecond = second.time;
/** Unix seconds, for "5 min ago". */
export const every10Seconds = createClock(10_000).time;

/** Something is drawn anyway: what shows the seconds is drawn with it, not in a frame of its own. */
export function touchClock(): void {
  second.touch();
}
