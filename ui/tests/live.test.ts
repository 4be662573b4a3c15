// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { retryDelay } from "../src/api/live";

test("the wait for the next try doubles, has an end, and differs between pages", () => {
  const middle = [0, 1, 2, 3, 4, 5, 10].map((n) => retryDelay(n, 0.5));
  assert.deepEqual(middle, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
  assert.deepEqual([retryDelay(1, 0), retryDelay(1, 1)], [750, 1250]);
});
