// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { scrollToShow, windowOf } from "../src/parts/window";

test("only what can be seen and some rows around it are drawn", () => {
  assert.deepEqual(windowOf(0, 400, 40, 10_000, 5), { first: 0, end: 15 });
  assert.deepEqual(windowOf(40_000, 400, 40, 10_000, 5), { first: 995, end: 1015 });
});

test("a list that is shorter than the window, empty, or scrolled beyond its end", () => {
  assert.deepEqual(windowOf(0, 400, 40, 3, 5), { first: 0, end: 3 });
  assert.deepEqual(windowOf(0, 400, 40, 0, 5), { first: 0, end: 0 });
  assert.deepEqual(windowOf(90_000, 400, 40, 3, 5), { first: 3, end: 3 });
});

test("a row is scrolled to only when it cannot be seen", () => {
  assert.equal(scrollToShow(2, 0, 400, 40), 0);
  assert.equal(scrollToShow(0, 100, 400, 40), 0);
  assert.equal(scrollToShow(20, 0, 400, 40), 440);
});
