// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestRecord } from "../src/api/types";
import { compare, hasFailed, pathOf } from "../src/requests/list";
import { callersOf, causeOf } from "../src/views/activity/cause";

function record(id: number, more: Partial<RequestRecord> = {}): RequestRecord {
  return {
    id, at: 1000 + id, model: "m", request: "POST /v1/chat/completions", state: "done", status: 200, error: null, client: "127.0.0.1:7",
    key: null, user_agent: null, waited_ms: 0, elapsed_ms: 0, position: null, loaded: false, unread: false, prompt_tokens: null,
    tokens: null, tokens_per_second: null, restored_tokens: 0, saved_ms: 0, ...more,
  };
}

test("those that run come first, then those that wait in their turn, then the newest that are over", () => {
  const all = [
    record(1), record(2), record(3, { state: "waiting", position: 1 }), record(4, { state: "waiting" }), record(5, { state: "running" }),
  ];
  assert.deepEqual(all.sort(compare).map((r) => r.id), [5, 4, 3, 2, 1]);
});

test("a request has failed by its status, or when its client left", () => {
  assert.deepEqual([record(1), record(2, { status: 503 }), record(3, { error: "client_gone" })].map(hasFailed), [false, true, true]);
  assert.equal(hasFailed(record(4, { state: "running", status: null })), false);
});

test("a path is told without its method and query", () => {
  assert.equal(pathOf("POST /v1/chat/completions?autoload=1"), "/v1/chat/completions");
  assert.equal(pathOf("GET /slots"), "GET /slots");
});

test("the request that caused a change is the last of that client before it", () => {
  const why = "evicted to make room for 'b', which POST /v1/chat/completions from 127.0.0.1:7 (curl/8) asked for";
  const all = [record(1), record(2), record(50), record(3, { client: "127.0.0.1:70" })];
  assert.equal(causeOf({ at: 1010, model: "a", event: "stop", why }, callersOf(all))?.id, 2);
  assert.equal(causeOf({ at: 9000, model: "a", event: "stop", why }, callersOf(all)), null); /* long ago: its port was used again */
  assert.equal(causeOf({ at: 1010, model: "a", event: "end", why: "after 20 ms" }, callersOf(all)), null);
});

test("an address that begins like another is not taken for it", () => {
  const why = "POST /v1/chat/completions from 127.0.0.1:70 (curl/8)";
  assert.equal(causeOf({ at: 1010, model: "a", event: "load", why }, callersOf([record(1), record(3, { client: "127.0.0.1:70" })]))?.id, 3);
  assert.equal(causeOf({ at: 1010, model: "a", event: "load", why }, callersOf([record(1)])), null);
});
