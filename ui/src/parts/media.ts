// SPDX-License-Identifier: MIT
// Media queries as signals.
import { signal, type ReadonlySignal } from "@preact/signals";

function follow(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query);
  const matches = signal(list.matches);
  list.addEventListener("change", () => {
    matches.value = list.matches;
  });
  return matches;
}

/** A phone's width; the style sheets have the same figure. */
export const narrow = follow("(max-width: 760px)");
export const dark = follow("(prefers-color-scheme: dark)");
