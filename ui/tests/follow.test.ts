// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { followLoad } from "../src/actions/follow";
import type { Model } from "../src/api/types";
import { toasts } from "../src/parts/toast";
import { apply } from "../src/state/store";

mock.timers.enable({ apis: ["setTimeout"] }); /* messages stay, and nothing keeps the test from its end */

function tell(more: Partial<Model>): void {
  apply([{ event: "models", data: { models: [{ id: "m", source: "", size: 1, state: "unloaded", ...more }] } }]);
}

const said = (): string[] => toasts.value.map((t) => t.text);

test("a load's end is told once, with how it ended", () => {
  tell({});
  followLoad("m");
  assert.deepEqual(said(), []); /* the row from before the load says nothing */
  tell({ state: "loading" });
  tell({ reason: "crashed", message: "ended by signal 9" });
  assert.deepEqual(said(), ["m was not loaded: ended by signal 9"]);
});

test("a load that was over before the page saw it", async () => {
  toasts.value = [];
  followLoad("m");
  tell({ state: "loaded" });
  await Promise.resolve();
  tell({});
  tell({ state: "loaded" });
  assert.equal(said().length, 1);
  assert.match(said()[0]!, /^m is loaded, after /);
});
