// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { curlOf } from "../src/api/curl";

test("a body makes it a POST, quotes in it survive the shell", () => {
  const text = curlOf({ method: "POST", path: "models/hold", body: { reason: "it's late" } }, false, "http://h/models/hold");
  assert.equal(text, `curl \\\n  'http://h/models/hold' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"reason":"it'\\''s late"}'`);
});

test("the key is a variable, other methods are named, streams are not buffered", () => {
  const text = curlOf({ method: "DELETE", path: "models", stream: true }, true, "http://h/models");
  assert.equal(text, `curl -N \\\n  -X DELETE \\\n  'http://h/models' \\\n  -H "Authorization: Bearer $HOSTLER_API_KEY"`);
});
