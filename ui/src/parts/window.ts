// SPDX-License-Identifier: MIT
// Which rows of a long list are drawn: those that can be seen and some around them.

export interface Window {
  /** The first row that is drawn, and the one after the last. */
  first: number;
  end: number;
}

export function windowOf(top: number, height: number, rowHeight: number, rows: number, around = 8): Window {
  const first = Math.floor(Math.max(0, top) / rowHeight) - around;
  const end = Math.ceil((Math.max(0, top) + height) / rowHeight) + around;
  const last = Math.min(rows, Math.max(0, end));
  return { first: Math.min(Math.max(0, first), last), end: last };
}

/** Where to scroll so that row `index` can be seen whole; `top` when it can be already. */
export function scrollToShow(index: number, top: number, height: number, rowHeight: number): number {
  const from = index * rowHeight;
  if (from < top) return from;
  const over = from + rowHeight - (top + height);
  return over > 0 ? top + over : top;
}
