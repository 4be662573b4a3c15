// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { diff, hunks, type DiffLine } from "../src/views/presets/diff";

function show(lines: readonly DiffLine[]): string[] {
  return lines.map((l) => ({ same: " ", added: "+", removed: "-" })[l.kind] + l.text);
}

test("lines that were added, removed and changed", () => {
  assert.deepEqual(show(diff("a\nb\nc\n", "a\nx\nc\nd\n")), [" a", "-b", "+x", " c", "+d"]);
  assert.deepEqual(show(diff("", "a\n")), ["+a"]);
  assert.deepEqual(show(diff("a\n", "")), ["-a"]);
  assert.deepEqual(show(diff("a\n", "a")), [" a"]);
});

test("numbers are those of each text", () => {
  const [, removed, added, last] = diff("a\nb\nc", "a\nx\nc");
  assert.deepEqual([removed?.old, removed?.new, added?.old, added?.new, last?.old, last?.new], [2, undefined, undefined, 2, 3, 3]);
});

test("both texts can be had back from the difference", () => {
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 200; round++) {
    const make = (): string[] => Array.from({ length: random(12) }, () => "abc"[random(3)] ?? "");
    const [a, b] = [make(), make()];
    const lines = diff(a.map((l) => `${l}\n`).join(""), b.map((l) => `${l}\n`).join(""));
    assert.deepEqual(lines.filter((l) => l.kind !== "added").map((l) => l.text), a);
    assert.deepEqual(lines.filter((l) => l.kind !== "removed").map((l) => l.text), b);
  }
});

test("hunks have context, and join where it meets", () => {
  const old = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const fresh = old.slice();
  fresh[5] = "five";
  fresh[10] = "ten";
  fresh[25] = "twenty-five";
  const found = hunks(diff(old.join("\n"), fresh.join("\n")));
  assert.equal(found.length, 2);
  assert.deepEqual(found.map((h) => [h[0]?.old, h.at(-1)?.new]), [[3, 14], [23, 29]]);
  assert.deepEqual(hunks(diff("a\nb", "a\nb")), []);
});

test("texts without a line in common, and large ones, end soon", () => {
  const a = Array.from({ length: 5000 }, (_, i) => `a${i}`).join("\n");
  const b = Array.from({ length: 5000 }, (_, i) => `b${i}`).join("\n");
  assert.equal(diff(a, b).length, 10000);
});
