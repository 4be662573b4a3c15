// SPDX-License-Identifier: MIT
// What is searched for and which row is selected; they outlast a visit to another view.
import { computed, signal } from "@preact/signals";
import { models, queue, shape } from "../../state/store";
import { census, EVERYTHING, listOf, type Query } from "./order";

export const query = signal<Query>(EVERYTHING);
export const selected = signal("");

const next = computed(() => queue.value.models_next.join("\n"));

export const listed = computed(() => {
  shape.value;
  return listOf(models, query.value, new Set(next.value.split("\n")));
});

export const totals = computed(() => {
  shape.value;
  return census(models);
});

/** Selects the row that is `by` after the selected one; the first one when none is. */
export function moveSelection(by: number): number {
  const ids = listed.peek();
  const at = ids.indexOf(selected.peek());
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), ids.length - 1);
  selected.value = ids[next] ?? "";
  return next;
}
