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

test("a body that is too long for a word is the command's input", () => {
  const body = { url: "x".repeat(200_000), text: "it's" };
  const [command = "", rest = ""] = curlOf({ method: "POST", path: "v1/x", body }, false, "http://h/v1/x").split(" <<'END_OF_BODY'\n");
  assert.ok(command.endsWith("--data-binary @-"));
  assert.equal(rest, `${JSON.stringify(body)}\nEND_OF_BODY`);
});
