// SPDX-License-Identifier: MIT
// Which models are listed, in which order: what is in memory first, then by name. O(models) a call; names are
// sorted only when models come or go.
import type { Model } from "../../api/types";
import { isInMemory, stateWord } from "../../state/words";

export type Filter = "all" | "memory" | "failed" | "held";

export interface Query {
  /** Words that must all be found in a model's names, tags and state. */
  text: string;
  tag: string;
  filter: Filter;
}

export type Models = ReadonlyMap<string, { peek(): Model }>;

export const EVERYTHING: Query = { text: "", tag: "", filter: "all" };

/* --- by name ------------------------------------------------------------------------------------- */

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
let sorted: string[] = [];

function hasAll(ids: string[], all: ReadonlyMap<string, unknown>): boolean {
  return ids.length === all.size && ids.every((id) => all.has(id));
}

function byName(all: ReadonlyMap<string, unknown>): string[] {
  if (!hasAll(sorted, all)) sorted = [...all.keys()].sort(collator.compare);
  return sorted;
}

/* --- what is found ------------------------------------------------------------------------------- */

const texts = new WeakMap<Model, string>();

function textOf(m: Model): string {
  let text = texts.get(m);
  if (text === undefined) {
    text = [m.id, ...(m.aliases ?? []), ...(m.tags ?? []), stateWord(m)].join("\n").toLowerCase();
    texts.set(m, text);
  }
  return text;
}

export function passes(m: Model, filter: Filter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "memory":
      return isInMemory(m);
    case "failed":
      return m.failed === true || m.reason === "missing";
    case "held":
      return m.held !== undefined || m.pinned === true;
  }
}

/** 0: in memory or on its way in or out; 1: waits to be loaded, or is downloaded; 2: all others. */
function group(m: Model, next: ReadonlySet<string>): number {
  return isInMemory(m) ? 0 : m.state === "downloading" || next.has(m.id) ? 1 : 2;
}

/** `next`: models that wait to be loaded. */
export function listOf(all: Models, query: Query, next: ReadonlySet<string> = new Set()): string[] {
  const words = query.text.toLowerCase().split(/\s+/).filter(Boolean);
  const groups: [string[], string[], string[]] = [[], [], []];
  for (const id of byName(all)) {
    const m = all.get(id)?.peek();
    if (!m || !passes(m, query.filter) || (query.tag && !m.tags?.includes(query.tag))) continue;
    if (words.length && !words.every((w) => textOf(m).includes(w))) continue;
    groups[group(m, next)]?.push(id);
  }
  return groups.flat();
}

/** How many models each filter would list, and the tags there are. */
export function census(all: Models): { counts: Record<Filter, number>; tags: string[] } {
  const counts: Record<Filter, number> = { all: 0, memory: 0, failed: 0, held: 0 };
  const tags = new Set<string>();
  for (const row of all.values()) {
    const m = row.peek();
    for (const filter of Object.keys(counts) as Filter[]) if (passes(m, filter)) counts[filter]++;
    m.tags?.forEach((t) => tags.add(t));
  }
  return { counts, tags: [...tags].sort(collator.compare) };
}
