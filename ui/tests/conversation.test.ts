// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fromStored, messagesOf, newAnswer, newConversation, newTurn, parseExtra, requestOf, splitThinking, titleOf, toStored,
} from "../src/views/playground/conversation";
import { MOST_CONVERSATIONS, surplus } from "../src/views/playground/storage";
import { cosine, linesOf } from "../src/views/playground/vectors";

function talk(...models: string[]) {
  const c = newConversation(models, { system: "be brief", samplers: { temperature: 0 }, extra: '{"top_k": 1}' });
  const first = newTurn("one", [], models.length);
  first.answers.forEach((a, i) => (a.value = { ...newAnswer(models[i] ?? ""), text: `answer ${i}`, state: "done" }));
  const second = newTurn("two", [], models.length);
  return { c: { ...c, turns: [first, second] }, first, second };
}

test("each model of two gets its own answers back", () => {
  const { c, second } = talk("a", "b");
  assert.deepEqual(messagesOf(c, second, 1), [
    { role: "system", content: "be brief" },
    { role: "user", content: "one" },
    { role: "assistant", content: "answer 1" },
    { role: "user", content: "two" },
  ]);
});

test("a model that joins later has the first one's answers as its own", () => {
  const { c, first, second } = talk("a");
  const later = { ...c, models: ["a", "b"] };
  assert.deepEqual(messagesOf(later, second, 1)[2], { role: "assistant", content: "answer 0" });
  assert.equal(messagesOf(later, first, 1).length, 2);
});

test("a request has the samplers that are set, and the other members", () => {
  const { c, second } = talk("a");
  const r = requestOf(c, second, 0);
  assert.equal(r["model"], "a");
  assert.equal(r["temperature"], 0);
  assert.equal(r["top_k"], 1);
  assert.ok(!("top_p" in r));
  assert.throws(() => parseExtra("[1]"), /object/);
  assert.throws(() => parseExtra("{"));
  assert.deepEqual(parseExtra("  "), {});
});

test("pictures and sound are parts of the message", () => {
  const c = newConversation(["a"]);
  const turn = newTurn("what is it?", [
    { kind: "image", name: "p.png", url: "data:image/png;base64,AAAA" },
    { kind: "audio", name: "s.mp3", url: "data:audio/mpeg;base64,BBBB" },
  ], 1);
  assert.deepEqual(messagesOf({ ...c, turns: [turn] }, turn, 0)[0]?.content, [
    { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
    { type: "input_audio", input_audio: { data: "BBBB", format: "mp3" } },
    { type: "text", text: "what is it?" },
  ]);
});

test("reasoning in the text is told apart, also before it ends", () => {
  assert.deepEqual(splitThinking("<think>hm</think>\n\nyes"), { reasoning: "hm", text: "yes" });
  assert.deepEqual(splitThinking("<think>hm"), { reasoning: "hm", text: "" });
  assert.deepEqual(splitThinking("a <think> in the middle"), { reasoning: "", text: "a <think> in the middle" });
});

test("what is stored comes back, and nothing of it runs any more", () => {
  const { c, second } = talk("a");
  if (second.answers[0]) second.answers[0].value = { ...newAnswer("a"), state: "streaming", text: "half" };
  const back = fromStored(JSON.parse(JSON.stringify(toStored(c))));
  assert.equal(back.turns[0]?.answers[0]?.value?.text, "answer 0");
  assert.equal(back.turns[1]?.answers[0]?.value?.state, "stopped");
});

test("the oldest conversations go first, and the newest never", () => {
  const all = Array.from({ length: MOST_CONVERSATIONS + 2 }, (_, i) => ({ id: `${i}`, title: "", updated: i, size: 10 }));
  assert.deepEqual(surplus(all).map((s) => s.id), ["1", "0"]);
  assert.deepEqual(surplus([{ id: "a", title: "", updated: 2, size: 100 }, { id: "b", title: "", updated: 1, size: 1 }], 50).map((s) => s.id), ["b"]);
});

test("titles are the first line, cut", () => {
  assert.equal(titleOf("\n hello\nworld"), "hello");
  assert.equal(titleOf("x".repeat(100)).length, 60);
  assert.equal(titleOf(""), "Conversation");
});

test("vectors and lines", () => {
  assert.equal(cosine([1, 0], [2, 0]), 1);
  assert.equal(cosine([1, 0], [0, 3]), 0);
  assert.equal(cosine([0], [0]), 0);
  assert.deepEqual(linesOf(" a \n\nb\n"), ["a", "b"]);
});
