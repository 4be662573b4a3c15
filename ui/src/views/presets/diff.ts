// SPDX-License-Identifier: MIT
// What differs between two texts, by lines.

/** A line of the old text (`old`), of the new one (`new`), or of both; numbers from 1. */
export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
  old?: number;
  new?: number;
}

const MOST_CELLS = 4_000_000; // of the table below: 2,000 by 2,000 lines that differ

/** Lengths of the longest common subsequences of a[i..] and b[j..], in rows of b.length + 1. */
function common(a: readonly string[], b: readonly string[]): Uint16Array | Uint32Array {
  const width = b.length + 1;
  const cells = Math.min(a.length, b.length) < 65_536 ? new Uint16Array((a.length + 1) * width) : new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      cells[i * width + j] =
        a[i] === b[j]
          ? (cells[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(cells[(i + 1) * width + j] ?? 0, cells[i * width + j + 1] ?? 0);
    }
  }
  return cells;
}

function middle(a: readonly string[], b: readonly string[]): [kind: DiffLine["kind"], text: string][] {
  if (a.length * b.length > MOST_CELLS) {
    return [...a.map((text) => ["removed", text] as const), ...b.map((text) => ["added", text] as const)] as [DiffLine["kind"], string][];
  }
  const cells = common(a, b);
  const width = b.length + 1;
  const lines: [DiffLine["kind"], string][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(["same", a[i] ?? ""]);
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && (cells[(i + 1) * width + j] ?? 0) >= (cells[i * width + j + 1] ?? 0))) {
      lines.push(["removed", a[i++] ?? ""]);
    } else {
      lines.push(["added", b[j++] ?? ""]);
    }
  }
  return lines;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") {
    lines.pop();
  }
  return lines;
}

export function diff(before: string, after: string): DiffLine[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) {
    head++;
  }
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) {
    tail++;
  }
  const changed = [
    ...a.slice(0, head).map((text): [DiffLine["kind"], string] => ["same", text]),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map((text): [DiffLine["kind"], string] => ["same", text]),
  ];
  let old = 0;
  let fresh = 0;
  return changed.map(([kind, text]) => ({
    kind,
    text,
    ...(kind === "added" ? {} : { old: ++old }),
    ...(kind === "removed" ? {} : { new: ++fresh }),
  }));
}

/** The changed lines with `context` lines around each; lines that lie farther apart are in hunks of their own. */
export function hunks(lines: readonly DiffLine[], context = 3): DiffLine[][] {
  const found: DiffLine[][] = [];
  let last = -Infinity; // the index of the last line that was taken
  lines.forEach((line, at) => {
    if (line.kind === "same") {
      return;
    }
    const from = Math.max(at - context, 0);
    if (from > last + 1) {
      found.push([]);
    }
    const to = Math.min(at + context, lines.length - 1);
    found.at(-1)?.push(...lines.slice(Math.max(from, last + 1), to + 1));
    last = Math.max(last, to);
  });
  return found;
}
