// SPDX-License-Identifier: MIT
// The time, as signals that tick only while something on the page uses them and the page can be seen.
import { signal, type Signal } from "@preact/signals";

interface Clock {
  time: Signal<number>;
  /** Tells the time now, when it is used; the next tick is later than a step away then. */
  touch(): void;
}

/* Whoever touches a clock does so each step, now and then a little late: a tick just before would cost a frame of its own. */
const LATE = 1.5;

function createClock(everyMs: number): Clock {
  let timer = 0;
  let used = false;
  const tell = (ms: number): void => {
    clearTimeout(timer);
    if (document.hidden) return; /* tick() goes on once it is seen again */
    timer = window.setTimeout(tick, ms);
    time.value = Date.now() / 1000;
  };
  const tick = (): void => tell(everyMs);
  const time: Signal<number> = signal(Date.now() / 1000, {
    watched() {
      used = true;
      document.addEventListener("visibilitychange", tick);
      tick();
    },
    unwatched() {
      used = false;
      document.removeEventListener("visibilitychange", tick);
      clearTimeout(timer);
    },
  });
  return { time, touch: () => used && tell(everyMs * LATE) };
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
