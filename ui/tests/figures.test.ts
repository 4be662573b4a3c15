// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { newAnswer } from "../src/views/playground/conversation";
import { figuresOf } from "../src/views/playground/figures";

const asked = { ...newAnswer("a"), asked: 1000 };

test("the engine's own figures go first", () => {
  const timings = { prompt_n: 3, cache_n: 4, prompt_per_second: 1, predicted_n: 132, predicted_per_second: 170.1 };
  const a = { ...asked, state: "done" as const, first: 1092, ended: 2000, pieces: 9, timings, finish: "length" };
  assert.equal(figuresOf(a), "132 tokens · 170 tokens/s · the first after 92 ms · 7 prompt tokens · cut off at the limit of tokens");
});

test("an engine that tells none has its pieces counted", () => {
  assert.equal(figuresOf({ ...asked, state: "done", first: 2000, ended: 4000, pieces: 20, timings: {} }), "20 tokens · 10.0 tokens/s · the first after 1.0 s");
  assert.equal(figuresOf(asked), "");
});

test("what hostler did for it is told", () => {
  assert.equal(figuresOf({ ...asked, service: { queued_ms: 3200, loaded: true, restored_tokens: 0 } }), "loaded the model");
  assert.equal(figuresOf({ ...asked, service: { queued_ms: 3200, loaded: false, restored_tokens: 1500 } }), "queued for 3.2 s · 1,500 restored");
});
