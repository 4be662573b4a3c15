// SPDX-License-Identifier: MIT
// The conversation that is shown, and its answers while they come. Only this file changes a conversation; each
// change is stored once the answers have ended.
import { signal, type Signal } from "@preact/signals";
import { messageOf, RequestError } from "../../api/client";
import { streamChat } from "../../api/chat";
import { sayError } from "../../parts/toast";
import {
  newAnswer, newConversation, newTurn, requestOf, titleOf,
  type Answer, type Attachment, type Conversation, type Failure, type Settings, type Turn,
} from "./conversation";
import * as storage from "./storage";

const DRAWN_EVERY_MS = 50; // what comes in between is drawn at once
const LAST_MODELS = "hostler-playground-models";

export const conversation = signal<Conversation>(newConversation(lastModels()));
/** Of all that are stored, the newest first; null until they are read, and where the browser stores nothing. */
export const summaries = signal<storage.Summary[] | null>(null);
/** Why conversations are not stored. */
export const storageProblem = signal("");
/** Answers that are under way. */
export const running = signal(0);

const controllers = new Map<Signal<Answer | null>, AbortController>();

function lastModels(): string[] {
  try {
    const names: unknown = JSON.parse(localStorage.getItem(LAST_MODELS) ?? "[]");
    if (Array.isArray(names) && names.length > 0 && names.every((n) => typeof n === "string")) return names.slice(0, 2);
  } catch {
    /* none is known */
  }
  return [""];
}

function change(part: Partial<Conversation>): void {
  conversation.value = { ...conversation.peek(), ...part };
}

/* --- storage --------------------------------------------------------------------------------------- */

async function store(c: Conversation): Promise<void> {
  if (c.turns.length === 0) return;
  try {
    await storage.save({ ...c, updated: Date.now() });
    await refresh();
  } catch (e) {
    storageProblem.value = messageOf(e);
  }
}

export async function refresh(): Promise<void> {
  try {
    summaries.value = await storage.list();
    storageProblem.value = "";
  } catch (e) {
    storageProblem.value = messageOf(e);
  }
}

export async function open(id: string): Promise<void> {
  stop();
  try {
    const c = await storage.read(id);
    if (c) conversation.value = c;
  } catch (e) {
    sayError("The conversation cannot be read", e);
  }
}

export async function remove(ids: string[]): Promise<void> {
  try {
    if (ids.includes(conversation.peek().id)) begin();
    await storage.remove(ids);
    await refresh();
  } catch (e) {
    sayError("They are not deleted", e);
  }
}

/** An empty conversation with the same models and settings. */
export function begin(): void {
  stop();
  const { models, settings } = conversation.peek();
  conversation.value = newConversation(models, settings);
}

/* --- models and settings --------------------------------------------------------------------------- */

export function setModels(models: string[]): void {
  change({ models });
  try {
    localStorage.setItem(LAST_MODELS, JSON.stringify(models));
  } catch {
    /* it is chosen anew next time */
  }
}

export function setSettings(part: Partial<Settings>): void {
  change({ settings: { ...conversation.peek().settings, ...part } });
}

/* --- answers --------------------------------------------------------------------------------------- */

function failureOf(e: unknown): Failure {
  const refused = e instanceof RequestError;
  return { message: messageOf(e), state: refused ? e.state : "", status: refused ? e.status : 0 };
}

/** Collects changes of an answer, and shows them together. */
function updater(answer: Signal<Answer | null>): { set(part: Partial<Answer>): void; draw(): void; now(): Answer } {
  let value = answer.peek() as Answer;
  let timer = 0;
  const draw = (): void => {
    clearTimeout(timer);
    timer = 0;
    answer.value = value;
  };
  return {
    now: () => value,
    set(part) {
      value = { ...value, ...part };
      if (!timer) timer = window.setTimeout(draw, DRAWN_EVERY_MS);
    },
    draw,
  };
}

async function answerTurn(turn: Turn, lane: number): Promise<void> {
  const c = conversation.peek();
  const answer = turn.answers[lane];
  const model = c.models[lane];
  if (!answer || !model) return;
  controllers.get(answer)?.abort();
  const controller = new AbortController();
  controllers.set(answer, controller);
  running.value++;
  answer.value = newAnswer(model);
  const u = updater(answer);
  const piece = (part: Partial<Answer>): void =>
    u.set({ ...part, state: "streaming", first: u.now().first ?? Date.now(), pieces: u.now().pieces + 1 });
  try {
    const finish = await streamChat(requestOf(c, turn, lane), controller.signal, {
      begun: (service) => u.set({ service }),
      text: (text) => piece({ text: u.now().text + text }),
      reasoning: (text) => piece({ reasoning: u.now().reasoning + text }),
      prompt: (done, total) => u.set({ prompt: { done, total } }),
      timings: (timings) => u.set({ timings }),
    });
    u.set({ state: "done", finish, ended: Date.now() });
  } catch (e) {
    u.set(controller.signal.aborted ? { state: "stopped", ended: Date.now() } : { state: "failed", ended: Date.now(), failure: failureOf(e) });
  } finally {
    if (controllers.get(answer) === controller) controllers.delete(answer);
    u.draw();
    running.value--;
  }
}

async function answerLanes(turn: Turn, lanes: number[]): Promise<void> {
  const { id } = conversation.peek();
  await Promise.all(lanes.map((lane) => answerTurn(turn, lane)));
  if (conversation.peek().id === id) await store(conversation.peek());
}

function lanes(): number[] {
  return conversation.peek().models.map((_, lane) => lane);
}

export function sendTurn(text: string, attachments: Attachment[]): void {
  const c = conversation.peek();
  const turn = newTurn(text, attachments, c.models.length);
  change({ turns: [...c.turns, turn], title: c.title || titleOf(text || attachments[0]?.name || "") });
  void answerLanes(turn, lanes());
}

/** The turn with another text, and all that followed it gone. */
export function editTurn(id: string, text: string): void {
  stop();
  const c = conversation.peek();
  const at = c.turns.findIndex((t) => t.id === id);
  const old = c.turns[at];
  if (!old) return;
  const turn = newTurn(text, old.attachments, c.models.length);
  change({ turns: [...c.turns.slice(0, at), turn], title: at === 0 ? titleOf(text) : c.title });
  void answerLanes(turn, lanes());
}

/** Another answer in the place of this one; the turns after it go. */
export function regenerate(id: string, lane: number): void {
  const c = conversation.peek();
  const at = c.turns.findIndex((t) => t.id === id);
  const old = c.turns[at];
  if (!old) return;
  const turn = { ...old, answers: c.models.map((_, i) => old.answers[i] ?? signal<Answer | null>(null)) };
  change({ turns: [...c.turns.slice(0, at), turn] });
  void answerLanes(turn, [lane]);
}

export function stop(): void {
  for (const controller of controllers.values()) controller.abort();
}
