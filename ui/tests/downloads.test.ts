// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { forget, outcomes, takeEvent } from "../src/views/downloads/events";
import { createSpeed } from "../src/views/downloads/speed";

test("the last outcome of each model is kept", () => {
  takeEvent('{"model":"u/r","event":"download_failed","data":{"message":"no such repository"}}', 1);
  takeEvent('{"model":"u/s","event":"download_finished"}', 2);
  takeEvent('{"model":"u/s","event":"status_change","data":{"status":"loaded"}}', 3);
  assert.deepEqual(outcomes.value, [{ model: "u/s", at: 2, problem: null }, { model: "u/r", at: 1, problem: "no such repository" }]);
  takeEvent('{"model":"u/r","event":"download_finished"}', 4);
  assert.deepEqual(outcomes.value.map((o) => o.problem), [null, null]);
  forget("u/r");
  assert.deepEqual(outcomes.value.map((o) => o.model), ["u/s"]);
});

test("the speed is that of the last seconds", () => {
  const speed = createSpeed();
  assert.equal(speed.add(0, 0), null);
  assert.equal(speed.add(1000, 500), 500);
  for (let t = 2; t <= 30; t++) speed.add(t * 1000, 500 + t * 100);
  assert.equal(speed.add(31_000, 500 + 3100), 100);
  assert.equal(speed.add(32_000, 0), null, "a download that begins anew has no speed yet");
});
