// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { lineRange, sectionAt, withLineEndsOf } from "../src/views/presets/file";
import { changesText } from "../src/views/presets/review";

const TEXT = "# head\n[*]\nctx-size = 4096\n\n  [ a:b ] ; note\nttl = 5\n";

test("a line belongs to the section above it", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6].map((l) => sectionAt(TEXT, l)), [null, "*", "*", "*", "a:b", "a:b"]);
});

test("a line's place in the text", () => {
  const [from, to] = lineRange(TEXT, 3);
  assert.equal(TEXT.slice(from, to), "ctx-size = 4096");
  assert.deepEqual(lineRange("", 1), [0, 0]);
});

test("changes are told by kind, and not all of many", () => {
  assert.equal(changesText([{ model: "a", change: "same" }]), "");
  const many = Array.from({ length: 7 }, (_, i) => ({ model: `m${i}`, change: "added" as const }));
  assert.equal(changesText([...many, { model: "x", change: "removed" }]), "added: m0, m1, m2, m3, m4 and 2 more; removed: x");
});

test("a file's line ends stay what they are", () => {
  assert.equal(withLineEndsOf("a\r\nb\r\n", "a\nc\n"), "a\r\nc\r\n");
  assert.equal(withLineEndsOf("a\nb", "a\nc"), "a\nc");
});
