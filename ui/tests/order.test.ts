// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Model } from "../src/api/types";
import { census, EVERYTHING, listOf } from "../src/views/models/order";

function all(...rows: (Partial<Model> & { id: string })[]): Map<string, { peek(): Model }> {
  return new Map(rows.map((r) => {
    const m: Model = { source: "models-dir", size: 1, state: "unloaded", ...r };
    return [m.id, { peek: () => m }];
  }));
}

const some = all(
  { id: "qwen-10" },
  { id: "qwen-2", tags: ["code"] },
  { id: "zephyr", state: "loaded", aliases: ["default"] },
  { id: "alpha", failed: true },
  { id: "gemma", held: { until: null, reason: null, by: null } },
);

test("what is in memory comes first, the rest by name with numbers as numbers", () => {
  assert.deepEqual(listOf(some, EVERYTHING), ["zephyr", "alpha", "gemma", "qwen-2", "qwen-10"]);
});

test("models that wait to be loaded come before the rest", () => {
  assert.deepEqual(listOf(some, EVERYTHING, new Set(["qwen-10"])).slice(0, 3), ["zephyr", "qwen-10", "alpha"]);
});

test("a search finds names, aliases, tags and states, all words of it", () => {
  assert.deepEqual(listOf(some, { ...EVERYTHING, text: "DEF loaded" }), ["zephyr"]);
  assert.deepEqual(listOf(some, { ...EVERYTHING, text: "qwen code" }), ["qwen-2"]);
  assert.deepEqual(listOf(some, { ...EVERYTHING, text: "failed" }), ["alpha"]);
});

test("filters and the tag narrow the list, and are counted", () => {
  assert.deepEqual(listOf(some, { ...EVERYTHING, filter: "held" }), ["gemma"]);
  assert.deepEqual(listOf(some, { ...EVERYTHING, tag: "code" }), ["qwen-2"]);
  assert.deepEqual(census(some), { counts: { all: 5, memory: 1, failed: 1, held: 1 }, tags: ["code"] });
});

test("the list follows models that come and go", () => {
  const rows = all({ id: "b" }, { id: "c" });
  assert.deepEqual(listOf(rows, EVERYTHING), ["b", "c"]);
  rows.delete("b");
  rows.set("a", all({ id: "a" }).get("a")!);
  assert.deepEqual(listOf(rows, EVERYTHING), ["a", "c"]);
});
