// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { extentOf, perPart, thrashes, type Mark, type Timeline } from "../src/views/timelines/timeline";

const mark = (at: number, event: string, model = "a"): Mark => ({ at, model, event, cause: null });

/** Two models that take turns each 30 s. */
function turns(n: number, from = 1000): Mark[] {
  return Array.from({ length: n }, (_, i) => {
    const [comes, goes] = i % 2 ? ["b", "a"] : ["a", "b"];
    return [mark(from + i * 30, "evicted", goes), mark(from + i * 30 + 1, "load", comes)];
  }).flat();
}

test("models that take turns are a thrash, from their first return to their last", () => {
  const [found, ...more] = thrashes(turns(10));
  assert.deepEqual(more, []);
  assert.deepEqual(found?.models.sort(), ["a", "b"]);
  assert.equal(found?.returns, 9);
  assert.equal(found?.to, 1000 + 9 * 30 + 1);
});

test("a swap now and then is none, nor is a load after an operator's unload", () => {
  assert.deepEqual(thrashes(turns(3)), []);
  assert.deepEqual(thrashes([0, 1, 2, 3, 4].flatMap((i) => [mark(i * 60, "unloaded"), mark(i * 60 + 1, "load")])), []);
  assert.deepEqual(thrashes([0, 1, 2, 3, 4].flatMap((i) => [mark(i * 1000, "evicted"), mark(i * 1000 + 400, "load")])), []);
});

test("two bursts far apart are two", () => {
  assert.equal(thrashes([...turns(8), ...turns(8, 9000)]).length, 2);
});

test("marks are counted by part of the time, those outside are left out", () => {
  const t: Timeline = {
    from: 3500, step: 5, devices: {}, tokens_per_second: new Array(20).fill(null), waiting: [], running: [],
    marks: [-1, 0, 1801, 3599.9, 3600].map((at) => mark(at, "load")).concat(mark(2000, "evicted")),
  };
  const hour = extentOf(t, "hour");
  assert.deepEqual(hour, [0, 3600]); /* of a server that has run for 100 s */
  assert.deepEqual(extentOf(t, "minutes"), [3000, 3600]);
  assert.deepEqual(perPart(t.marks, hour, "load", 10), [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual(perPart(t.marks, hour, "evicted", 2), [0, 1]);
});
