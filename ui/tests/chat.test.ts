// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { takeChunk, type ChatListener } from "../src/api/chat";

function listener(): ChatListener & { told: string[] } {
  const told: string[] = [];
  return {
    told,
    begun: () => undefined,
    text: (t) => void told.push(`text ${t}`),
    reasoning: (t) => void told.push(`reasoning ${t}`),
    prompt: (done, total) => void told.push(`prompt ${done}/${total}`),
    timings: (t) => void told.push(`timings ${t.predicted_n}`),
  };
}

test("what a frame of an answer has is told", () => {
  const on = listener();
  assert.equal(takeChunk('{"choices":[{"delta":{"role":"assistant","content":null}}]}', on), null);
  takeChunk('{"choices":[],"prompt_progress":{"total":9,"processed":3,"cache":0,"time_ms":1}}', on);
  takeChunk('{"choices":[{"delta":{"reasoning_content":"hm"}}]}', on);
  takeChunk('{"choices":[{"delta":{"content":"yes"}}]}', on);
  assert.equal(takeChunk('{"choices":[{"delta":{},"finish_reason":"length"}],"timings":{"predicted_n":5}}', on), "length");
  assert.equal(takeChunk("[DONE]", on), null);
  assert.deepEqual(on.told, ["prompt 3/9", "reasoning hm", "text yes", "timings 5"]);
});

test("an error in the stream is thrown with hostler's word for it", () => {
  assert.throws(
    () => takeChunk('{"error":{"code":502,"message":"the engine ended","state":"crashed"}}', listener()),
    (e: { message: string; status: number; state: string }) => e.message === "the engine ended" && e.status === 502 && e.state === "crashed",
  );
});
