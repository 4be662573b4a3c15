// SPDX-License-Identifier: MIT
// A conversation: turns, each with what the user wrote and an answer by each of its one or two models.
import { signal, type Signal } from "@preact/signals";
import type { Service, Timings } from "../../api/chat";

export interface Attachment {
  kind: "image" | "audio";
  name: string;
  /** A data: URL. */
  url: string;
}

export interface Failure {
  message: string;
  /** hostler's word for a refusal; empty when it has none. */
  state: string;
  status: number;
}

export interface Answer {
  model: string;
  state: "waiting" | "streaming" | "done" | "stopped" | "failed";
  text: string;
  reasoning: string;
  /** Unix ms. */
  asked: number;
  first?: number;
  ended?: number;
  /** Pieces of the stream, about one a token. */
  pieces: number;
  prompt?: { done: number; total: number };
  timings?: Timings;
  service?: Service;
  finish?: string | null;
  failure?: Failure;
}

export interface Turn {
  id: string;
  text: string;
  attachments: Attachment[];
  /** By lane; null where that lane had no model then. */
  answers: Signal<Answer | null>[];
}

/** Of the request; a member that is not given is the model's own default. */
export interface Settings {
  system: string;
  samplers: Record<string, number>;
  /** JSON text: more members of the request. */
  extra: string;
}

export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  /** One, or two side by side; "" where none is chosen. */
  models: string[];
  settings: Settings;
  turns: Turn[];
}

export interface Sampler {
  name: string;
  label: string;
  min: number;
  max: number;
  step: number;
}

export const SAMPLERS: readonly Sampler[] = [
  { name: "temperature", label: "Temperature", min: 0, max: 5, step: 0.05 },
  { name: "top_p", label: "Top P", min: 0, max: 1, step: 0.01 },
  { name: "top_k", label: "Top K", min: 0, max: 1000, step: 1 },
  { name: "min_p", label: "Min P", min: 0, max: 1, step: 0.01 },
  { name: "repeat_penalty", label: "Repeat penalty", min: 0, max: 5, step: 0.05 },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.1 },
  { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: 0.1 },
  { name: "max_tokens", label: "Max tokens", min: 1, max: 1_000_000, step: 1 },
  { name: "seed", label: "Seed", min: -1, max: 4_294_967_295, step: 1 },
];

function newId(): string {
  return `${Date.now().toString(36)}-${Math.floor(Math.random() * 2 ** 40).toString(36)}`;
}

export function newConversation(models: string[], settings: Settings = { system: "", samplers: {}, extra: "" }): Conversation {
  const now = Date.now();
  return { id: newId(), title: "", created: now, updated: now, models, settings, turns: [] };
}

export function newTurn(text: string, attachments: Attachment[], lanes: number): Turn {
  return { id: newId(), text, attachments, answers: Array.from({ length: lanes }, () => signal<Answer | null>(null)) };
}

export function newAnswer(model: string): Answer {
  return { model, state: "waiting", text: "", reasoning: "", asked: Date.now(), pieces: 0 };
}

/** The words before `</think>` apart from those after it, for engines that do not tell reasoning apart. */
export function splitThinking(text: string): { reasoning: string; text: string } {
  const begun = /^\s*<think(?:ing)?>/.exec(text);
  if (!begun) return { reasoning: "", text };
  const ended = /<\/think(?:ing)?>\s*/.exec(text);
  if (!ended) return { reasoning: text.slice(begun[0].length), text: "" };
  return { reasoning: text.slice(begun[0].length, ended.index).trim(), text: text.slice(ended.index + ended[0].length) };
}

/** The first words of the conversation. */
export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > 60 ? `${line.slice(0, 59)}…` : line || "Conversation";
}

/* --- the request ----------------------------------------------------------------------------------- */

type Part =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string } }
  | { type: "input_audio"; input_audio: { data: string; format: string } };

export interface Message {
  role: "system" | "user" | "assistant";
  content: string | Part[];
}

function partOf(a: Attachment): Part {
  if (a.kind === "image") return { type: "image_url", image_url: { url: a.url } };
  const [head = "", data = ""] = a.url.split(",", 2);
  return { type: "input_audio", input_audio: { data, format: /mpeg|mp3/.test(head) ? "mp3" : "wav" } };
}

function contentOf(turn: Turn): Message["content"] {
  if (turn.attachments.length === 0) return turn.text;
  const text: Part[] = turn.text ? [{ type: "text", text: turn.text }] : [];
  return [...turn.attachments.map(partOf), ...text];
}

/** What the model of `lane` is sent to answer `last`. A lane that came later has the first one's answers as its own. */
export function messagesOf(c: Conversation, last: Turn, lane: number): Message[] {
  const messages: Message[] = c.settings.system ? [{ role: "system", content: c.settings.system }] : [];
  for (const turn of c.turns) {
    messages.push({ role: "user", content: contentOf(turn) });
    if (turn.id === last.id) break;
    const answer = turn.answers[lane]?.peek() ?? turn.answers[0]?.peek();
    if (answer?.text) messages.push({ role: "assistant", content: splitThinking(answer.text).text });
  }
  return messages;
}

/** The object in `text`, {} when it is empty. Throws when it is no JSON object. */
export function parseExtra(text: string): Record<string, unknown> {
  if (!text.trim()) return {};
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("an object is needed, such as {\"logit_bias\": []}");
  return value as Record<string, unknown>;
}

export function requestOf(c: Conversation, last: Turn, lane: number): Record<string, unknown> {
  return {
    model: c.models[lane] ?? "",
    messages: messagesOf(c, last, lane),
    stream: true,
    stream_options: { include_usage: true },
    return_progress: true,
    ...c.settings.samplers,
    ...parseExtra(c.settings.extra),
  };
}

/* --- stored as plain objects ----------------------------------------------------------------------- */

export interface StoredConversation extends Omit<Conversation, "turns"> {
  turns: (Omit<Turn, "answers"> & { answers: (Answer | null)[] })[];
}

/** An answer that has not ended when it is stored will never end: the page that read it is gone by then. */
function settled(a: Answer | null): Answer | null {
  return a && (a.state === "waiting" || a.state === "streaming") ? { ...a, state: "stopped" } : a;
}

export function toStored(c: Conversation): StoredConversation {
  return { ...c, turns: c.turns.map((t) => ({ ...t, answers: t.answers.map((a) => settled(a.peek())) })) };
}

export function fromStored(s: StoredConversation): Conversation {
  return { ...s, turns: s.turns.map((t) => ({ ...t, answers: t.answers.map((a) => signal(a)) })) };
}
