// SPDX-License-Identifier: MIT
// GET /hostler/v1/timeline, and what is read off it: swaps by step, and thrash, which is models that push one
// another out again and again.

export type Series = (number | null)[];

export interface Mark {
  at: number;
  model: string;
  event: string;
  cause: string | null;
}

export interface Timeline {
  /** Unix seconds of the first value, and seconds between values. */
  from: number;
  step: number;
  devices: Record<string, { total: number; budget?: number | null; engines: Series; others: Series }>;
  tokens_per_second: Series;
  waiting: Series;
  running: Series;
  marks: Mark[];
}

/** What is shown: the server has an hour and a day, of which the last minutes are a part. */
export type Span = "minutes" | "hour" | "day";

const SECONDS: Record<Span, number> = { minutes: 600, hour: 3600, day: 86400 };

export function timelinePath(span: Span): string {
  return `hostler/v1/timeline?span=${span === "day" ? "day" : "hour"}`;
}

export function timesOf(t: Timeline): number[] {
  return t.tokens_per_second.map((_, i) => t.from + i * t.step);
}

export type Extent = [from: number, to: number];

/** The time that ends with the last value; a server that has not run so long has values for a part of it only. */
export function extentOf(t: Timeline, span: Span): Extent {
  const to = t.from + t.tokens_per_second.length * t.step;
  return [to - SECONDS[span], to];
}

export type MarkKind = "load" | "evicted" | "gone" | "failed";

export function kindOf(m: Mark): MarkKind | null {
  if (m.event === "load") return "load";
  if (["evicted", "memory", "replaced"].includes(m.event)) return "evicted";
  if (["crashed", "load_failed", "no_room"].includes(m.event)) return "failed";
  if (["unloaded", "idle", "removed", "shutdown", "missing"].includes(m.event)) return "gone";
  return null; /* `ready` follows a load */
}

/** How many marks of a kind fall into each of `n` equal parts of the time. */
export function perPart(marks: Mark[], [from, to]: Extent, kind: MarkKind, n: number): number[] {
  const counts = new Array<number>(n).fill(0);
  for (const m of marks) {
    const part = Math.floor(((m.at - from) / (to - from)) * n);
    if (kindOf(m) === kind && part >= 0 && part < n) counts[part]!++;
  }
  return counts;
}

export interface Thrash {
  from: number;
  to: number;
  models: string[];
  /** Loads of models that had been there shortly before. */
  returns: number;
}

const SOON_S = 300; /* a model that is loaded again so soon after it went came back too early */
const APART_S = 600; /* returns further apart are not of one thrash */
const ENOUGH = 3;

/** The returns: loads of models that were pushed out shortly before. */
function returnsOf(marks: Mark[]): Mark[] {
  const went = new Map<string, number>();
  const found: Mark[] = [];
  for (const m of [...marks].sort((a, b) => a.at - b.at)) {
    const kind = kindOf(m);
    if (kind === "evicted") went.set(m.model, m.at);
    else if (kind === "load" && m.at - (went.get(m.model) ?? -Infinity) < SOON_S) found.push(m);
  }
  return found;
}

export function thrashes(marks: Mark[]): Thrash[] {
  const all: Thrash[] = [];
  let last: Thrash | null = null;
  for (const m of returnsOf(marks)) {
    if (!last || m.at - last.to > APART_S) {
      last = { from: m.at, to: m.at, models: [], returns: 0 };
      all.push(last);
    }
    last.to = m.at;
    last.returns++;
    if (!last.models.includes(m.model)) last.models.push(m.model);
  }
  return all.filter((t) => t.returns >= ENOUGH);
}
