// SPDX-License-Identifier: MIT
// What the server told on its live stream. One signal a model and a request, so that a row is drawn anew
// only when it changed itself; `shape` changes when rows come, go or would be sorted elsewhere.
// Only apply() writes here.
import { batch, computed, signal, type Signal } from "@preact/signals";
import type { Change, Device, Frame, Model, ModelFigures, Queue, RequestRecord, Right, Server } from "../api/types";

export const CHANGES_KEPT = 500;
export const ENDED_KEPT = 1000;

export const server = signal<Server | null>(null);
export const devices = signal<Record<string, Device>>({});
export const queue = signal<Queue>({ waiting: 0, running: 0, connections: 0, models_next: [] });
/** The newest first. */
export const changes = signal<Change[]>([]);

export const models = new Map<string, Signal<Model>>();
export const shape = signal(0);

/** A request, and when what passes by itself was told (performance.now()): the server does not repeat that. */
export interface LiveRequest extends RequestRecord {
  /** Of elapsed_ms. */
  seen: number;
  /** Of eta_ms. */
  etaSeen: number;
}
/** Those that wait or run, and the last ENDED_KEPT that ended while the page looked. */
export const requests = new Map<number, Signal<LiveRequest>>();
export const requestsShape = signal(0);

/** How often a request ended of which the stream did not say how: GET /hostler/v1/requests does. */
export const incomplete = signal(0);

/** All that was there at the start has come once. */
export const complete = signal(false);

const rights = computed(() => new Set(server.value?.rights ?? []));
export function may(right: Right): boolean {
  return rights.value.has(right);
}

/* --- models -------------------------------------------------------------------------------------- */

/** What of a row the list is sorted and searched by. */
function placeOf(m: Model): string {
  return [m.state, m.reason, m.held ? 1 : 0, m.pinned ? 1 : 0, m.tags?.join(), m.aliases?.join(), m.failed].join("|");
}

function putModel(m: Model): boolean {
  const row = models.get(m.id);
  if (!row) {
    models.set(m.id, signal(m));
    return true;
  }
  const moved = placeOf(row.peek()) !== placeOf(m);
  row.value = m;
  return moved;
}

/** Members that changed; null: it has that no longer. */
function putFigures(f: ModelFigures): void {
  const row = models.get(f.id);
  if (!row) return;
  const after = { ...row.peek() } as Record<string, unknown>;
  for (const [name, value] of Object.entries(f)) {
    if (value === null) delete after[name];
    else after[name] = value;
  }
  row.value = after as unknown as Model;
}

/* --- requests ------------------------------------------------------------------------------------ */

const EMPTY: Omit<LiveRequest, "id"> = {
  at: 0, model: null, request: "", state: "waiting", status: null, error: null, client: "", key: null,
  user_agent: null, waited_ms: 0, elapsed_ms: 0, position: null, loaded: false, unread: false, prompt_tokens: null,
  tokens: null, tokens_per_second: null, restored_tokens: 0, saved_ms: 0, seen: 0, etaSeen: 0,
};

export function putRequest(r: Partial<RequestRecord> & { id: number }): boolean {
  const row = requests.get(r.id);
  const before = row?.peek() ?? { ...EMPTY, id: r.id, at: Date.now() / 1000 };
  const now = performance.now();
  const after = { ...before, ...r };
  if (!row || r.elapsed_ms !== undefined) after.seen = now;
  if (r.eta_ms !== undefined) after.etaSeen = now;
  if (row) row.value = after;
  else requests.set(r.id, signal(after));
  return !row || before.state !== after.state;
}

function endRequest(id: number): boolean {
  const row = requests.get(id);
  const r = row?.peek();
  if (!row || !r || r.state === "done") return false;
  const passed = Math.max(0, performance.now() - r.seen);
  row.value = { ...r, state: "done", elapsed_ms: r.elapsed_ms + passed, position: null };
  incomplete.value++;
  return true;
}

/** Forgets the oldest of those that ended. */
function trimRequests(): void {
  const over = requests.size - ENDED_KEPT;
  if (over <= 0) return;
  const ended = [...requests.values()].map((s) => s.peek()).filter((r) => r.state === "done");
  ended.sort((a, b) => a.id - b.id);
  for (const r of ended.slice(0, over)) requests.delete(r.id);
}

/* --- changes ------------------------------------------------------------------------------------- */

/** Both newest first; an entry that both have is taken once. */
export function mergeChanges(known: Change[], more: Change[]): Change[] {
  const nameOf = (c: Change): string => `${c.at} ${c.model} ${c.event}`;
  const have = new Set(known.map(nameOf));
  const all = [...more.filter((c) => !have.has(nameOf(c))), ...known];
  all.sort((a, b) => b.at - a.at);
  return all.slice(0, CHANGES_KEPT);
}

/* --- frames -------------------------------------------------------------------------------------- */

/** Between begin() and `ready`: what the stream has told of; whatever else is known is out of date. */
let listed: { models: Set<string>; requests: Set<number> } | null = null;

/** A new stream begins. What is shown stays until `ready`, so that a reconnect does not blank the page. */
export function begin(): void {
  listed = { models: new Set(), requests: new Set() };
}

function sweep(): boolean[] {
  const all = listed;
  listed = null;
  if (!all) return [false, false];
  let gone = false;
  let ended = false;
  for (const id of models.keys()) if (!all.models.has(id)) gone = models.delete(id) || gone;
  for (const [id, r] of requests) {
    if (!all.requests.has(id) && r.peek().state !== "done") ended = endRequest(id) || ended;
  }
  return [gone, ended];
}

/** A daemon that was started anew counts its requests from 1. */
function takeServer(s: Server): void {
  const before = server.peek();
  if (before && before.started !== s.started) {
    requests.clear();
    requestsShape.value++;
    changes.value = [];
  }
  server.value = s;
}

function applyOne(f: Frame): void {
  let moved = false;
  let requestsMoved = false;
  switch (f.event) {
    case "server":
      return takeServer(f.data);
    case "models":
      for (const m of f.data.models) {
        listed?.models.add(m.id);
        moved = putModel(m) || moved;
      }
      break;
    case "figures":
      f.data.models.forEach(putFigures);
      return;
    case "removed":
      for (const id of f.data.models) moved = models.delete(id) || moved;
      break;
    case "devices":
      devices.value = f.data.devices;
      return;
    case "queue":
      queue.value = { ...queue.peek(), ...f.data };
      return;
    case "requests":
      for (const r of f.data.requests) {
        listed?.requests.add(r.id);
        requestsMoved = putRequest(r) || requestsMoved;
      }
      for (const id of f.data.ended ?? []) requestsMoved = endRequest(id) || requestsMoved;
      if (requestsMoved) trimRequests();
      break;
    case "changes":
      changes.value = mergeChanges(changes.peek(), f.data.changes);
      return;
    case "ready":
      [moved, requestsMoved] = sweep() as [boolean, boolean];
      complete.value = true;
      break;
  }
  if (moved) shape.value++;
  if (requestsMoved) requestsShape.value++;
}

/** Takes the frames over in one update of the page. */
export function apply(frames: Frame[]): void {
  batch(() => frames.forEach(applyOne));
}
