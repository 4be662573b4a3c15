// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { effect } from "@preact/signals";
import type { Change, Frame, Model, Server } from "../src/api/types";
import { apply, begin, changes, complete, ENDED_KEPT, may, mergeChanges, models, requests, shape } from "../src/state/store";

const row = (id: string, more: Partial<Model> = {}): Model => ({ id, source: "models-dir", size: 1, state: "unloaded", ...more });
const told = (...rows: Model[]): Frame => ({ event: "models", data: { models: rows } });
const ready: Frame = { event: "ready", data: {} };
const server = (started: number): Frame => ({
  event: "server",
  data: { version: "1", started, router: true, classic: false, models_max: 1, autoload: true, rights: ["load"] } satisfies Server,
});

beforeEach(() => {
  begin();
  apply([ready]);
  requests.clear();
});

test("a row is replaced whole, and only its own signal changes", () => {
  apply([told(row("a", { requests: 1 }), row("b"))]);
  let drawnA = 0;
  let drawnB = 0;
  const stop = [effect(() => { models.get("a")!.value; drawnA++; }), effect(() => { models.get("b")!.value; drawnB++; })];
  apply([told(row("a", { tokens_per_second: 3 }))]);
  assert.deepEqual([drawnA, drawnB], [2, 1]);
  assert.equal(models.get("a")!.value.requests, undefined);
  stop.forEach((s) => s());
});

test("the list is put in order anew only when a row comes, goes or changes its state", () => {
  apply([told(row("a"))]);
  const before = shape.value;
  apply([told(row("a", { progress: 0.5 }))]);
  assert.equal(shape.value, before);
  apply([told(row("a", { state: "loading" }))]);
  assert.equal(shape.value, before + 1);
  apply([{ event: "removed", data: { models: ["a"] } }]);
  assert.equal(shape.value, before + 2);
});

test("several frames are one update", () => {
  let drawn = 0;
  const stop = effect(() => { shape.value; drawn++; });
  apply([told(row("a")), told(row("b")), ready]);
  assert.equal(drawn, 2);
  stop();
});

test("after a reconnect, what the server no longer tells of is gone at ready, not before", () => {
  apply([told(row("a"), row("b"))]);
  begin();
  apply([told(row("b"))]);
  assert.deepEqual([...models.keys()], ["a", "b"]);
  apply([ready]);
  assert.deepEqual([...models.keys()], ["b"]);
  assert.equal(complete.value, true);
});

test("requests: members that changed are merged, those that ended are kept, in bounds", () => {
  apply([{ event: "requests", data: { requests: [{ id: 1, model: "a", state: "running", client: "c" }], ended: [] } }]);
  apply([{ event: "requests", data: { requests: [{ id: 1, tokens: 7 }], ended: [1] } }]);
  const r = requests.get(1)!.value;
  assert.deepEqual([r.model, r.tokens, r.state], ["a", 7, "done"]);
  const ids = Array.from({ length: ENDED_KEPT + 50 }, (_, i) => i + 2);
  apply([{ event: "requests", data: { requests: ids.map((id) => ({ id, state: "done" as const })), ended: [] } }]);
  assert.equal(requests.size, ENDED_KEPT);
  assert.equal(requests.has(1), false);
});

test("a server that was started anew counts its requests anew", () => {
  apply([server(1), { event: "requests", data: { requests: [{ id: 1, state: "done" }] } }]);
  apply([server(1)]);
  assert.equal(requests.size, 1);
  apply([server(2)]);
  assert.equal(requests.size, 0);
});

test("rights are those that the server names", () => {
  apply([server(1)]);
  assert.deepEqual([may("load"), may("unload")], [true, false]);
});

test("changes are merged, the newest first, none twice", () => {
  const c = (at: number): Change => ({ at, model: "a", event: "load", why: null });
  assert.deepEqual(mergeChanges([c(2), c(1)], [c(3), c(2)]).map((x) => x.at), [3, 2, 1]);
  changes.value = [];
  apply([{ event: "changes", data: { changes: [c(1), c(2)] } }]);
  assert.deepEqual(changes.value.map((x) => x.at), [2, 1]);
});
