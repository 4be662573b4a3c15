// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Model } from "../src/api/types";
import { stateTone, stateWord, story } from "../src/state/words";

const model = (more: Partial<Model>): Model => ({ id: "m", source: "models-dir", size: 1, state: "unloaded", ...more });
const by = "POST /v1/chat/completions from 127.0.0.1:1 (key alice, curl/8.0)";

test("a state's word says what an operator asks first", () => {
  assert.equal(stateWord(model({ state: "loaded", draining: true, saving: true })), "saving");
  assert.equal(stateWord(model({ state: "loaded", draining: true })), "draining");
  assert.equal(stateWord(model({ failed: true, reason: "crashed" })), "failed");
  assert.equal(stateWord(model({ held: { until: null, reason: null, by: null } })), "held");
  assert.equal(stateWord(model({ reason: "missing" })), "missing");
  assert.deepEqual([stateTone(model({ state: "loaded" })), stateTone(model({ failed: true }))], ["good", "bad"]);
});

test("who loaded it, and when it goes for being idle", () => {
  const m = model({ state: "loaded", loaded_by: by, loaded_at: 1000 });
  assert.equal(story(m, 1300), "loaded by alice, 5 min ago");
  assert.equal(story({ ...m, idle_since: 1200, ttl_ms: 600_000 }, 1300), "loaded by alice, 5 min ago; unloaded in 8 min if nobody uses it");
  assert.equal(story({ ...m, idle_since: 1200, ttl_ms: 600_000, pinned: true }, 1300), "loaded by alice, 5 min ago");
  assert.equal(story(model({ state: "loading", loaded_by: by }), 0), "being loaded by alice");
  assert.equal(story(model({ state: "loaded", loaded_by: "the start of the server", loaded_at: 100 }), 105), "loaded at the start of the server, now");
});

test("why it went, with the server's own words", () => {
  assert.equal(story(model({ reason: "idle" }), 0), "unloaded, as nobody used it");
  assert.equal(story(model({ reason: "unloaded", message: `unloaded by ${by}` }), 0), "unloaded by alice");
  assert.equal(story(model({ failed: true, reason: "crashed", message: "ended by signal 9" }), 0), "ended by signal 9");
  assert.equal(story(model({ held: { until: 700, reason: "backup", by: null } }), 100), "held for 10 min 00 s: backup");
  assert.equal(story(model({}), 0), "");
});
