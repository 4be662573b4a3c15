// SPDX-License-Identifier: MIT
// How quick a download is, over the last seconds.

interface Sample {
  at: number;
  done: number;
}

const SPAN_MS = 10_000;

export interface Speed {
  /** `done` bytes at `at` ms: bytes a second since the oldest sample of the span; null with the first one. */
  add(at: number, done: number): number | null;
}

export function createSpeed(): Speed {
  let samples: Sample[] = [];
  return {
    add(at, done) {
      if (samples.length > 0 && done < (samples.at(-1)?.done ?? 0)) samples = []; /* it began anew */
      samples.push({ at, done });
      while (samples.length > 2 && (samples[1]?.at ?? at) < at - SPAN_MS) samples.shift();
      const first = samples[0];
      return first && at > first.at ? ((done - first.done) * 1000) / (at - first.at) : null;
    },
  };
}
