// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEventReader } from "../src/api/frames";

function read(...pieces: string[]): [string, string][] {
  const seen: [string, string][] = [];
  const reader = createEventReader((event, data) => seen.push([event, data]));
  pieces.forEach((p) => reader.push(p));
  return seen;
}

test("events are read whole from pieces cut anywhere", () => {
  const text = 'event: models\ndata: {"models":[]}\n\n: a comment\n\nevent: ready\ndata: {}\n\n';
  const whole = [["models", '{"models":[]}'], ["ready", "{}"]];
  assert.deepEqual(read(text), whole);
  assert.deepEqual(read(...text), whole);
});

test("line ends of every kind, cut between CR and LF", () => {
  assert.deepEqual(read("event: a\r", "\ndata: 1\r", "\n\r", "\n"), [["a", "1"]]);
});

test("several data lines are joined, an event without data is none", () => {
  assert.deepEqual(read("data: a\ndata:b\n\nevent: empty\n\n"), [["message", "a\nb"]]);
});

test("an event without an end is refused when it grows too long", () => {
  const reader = createEventReader(() => undefined);
  assert.throws(() => {
    for (let i = 0; i < 6; i++) reader.push("x".repeat(1 << 20));
  });
});
