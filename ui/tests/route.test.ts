// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { hrefOf, parseRoute } from "../src/state/route";

test("a model's id with slashes and colons survives the address", () => {
  const id = "ggml-org/Qwen3-8B-GGUF:Q4_K_M";
  assert.deepEqual(parseRoute(hrefOf("models", id).slice(2)), { view: "models", rest: id });
});

test("no view, an unknown one, and what cannot be decoded", () => {
  assert.deepEqual(parseRoute(""), { view: "models", rest: "" });
  assert.deepEqual(parseRoute("x"), { view: "x", rest: "" });
  assert.deepEqual(parseRoute("models/%zz"), { view: "models", rest: "%zz" });
});
