// SPDX-License-Identifier: MIT
// The JSON that hostler sends to the page: frames of /hostler/v1/live and answers of the routes that
// docs/api.md describes. Times are Unix seconds, sizes are bytes, unless a name says otherwise.

/** Bytes by device: `host`, `gpu0`, … */
export type ByDevice = Record<string, number>;

export type Right =
  | "list" | "infer" | "resume" | "status" | "logs" | "load" | "unload" | "hold" | "download" | "delete" | "admin";

export interface Capture {
  /** Until when bodies are kept; 0 or absent: they are not. */
  until?: number;
  model?: string | null;
  allowed?: boolean;
}

export interface Server {
  version: string;
  started: number;
  router: boolean;
  classic: boolean;
  models_max: number;
  autoload: boolean;
  rights: Right[];
  capture?: Capture | boolean | null;
  timeline?: unknown;
}

export type ModelState =
  | "unloaded" | "loading" | "loaded" | "sleeping" | "stopping" | "draining" | "saving" | "downloading" | "downloaded";

export interface Hold {
  /** null: until somebody releases it. */
  until: number | null;
  reason: string | null;
  by: string | null;
}

/** null: a secret. */
export type LoadValue = string | boolean | null;

/** What one load was given; it ends with its engine. */
export interface ThisLoad {
  args: Record<string, LoadValue | LoadValue[]>;
  ttl_ms?: number;
}

/** Of an engine's command line. */
export interface Argument {
  option: string;
  value: string | null;
  origin: string;
}

/** A row of the list. Members are absent where they do not apply. */
export interface Model {
  id: string;
  aliases?: string[];
  tags?: string[];
  source: string;
  size: number;
  context?: number | null;
  state: ModelState;
  /** 0..1, while it loads. */
  progress?: number;
  stage?: string;
  draining?: boolean;
  saving?: boolean;
  reason?: string;
  message?: string;
  failed?: boolean;
  held?: Hold;
  pinned?: boolean;
  memory?: ByDevice;
  memory_source?: string;
  ttl_ms?: number;
  this_load?: ThisLoad;
  idle_since?: number;
  requests?: number;
  waiting?: number;
  tokens_per_second?: number;
  loaded_by?: string | null;
  loaded_at?: number;
  can_remove?: boolean;
  /** What it takes beside text: `image`, `audio`. */
  inputs?: string[];
  download?: { done: number; total: number };
}

/** What flutters of a row, as far as it changed; null: the row has it no longer. */
export type ModelFigures = { id: string } & {
  [M in "requests" | "waiting" | "tokens_per_second" | "progress" | "idle_since" | "memory" | "download"]?: Model[M] | null;
};

export interface Device {
  total: number;
  available: number;
  /** What engines may have there at most; null where only their number is limited. */
  budget: number | null;
  engines?: number;
  others?: number;
  label?: string;
  card?: { pci: string; uuid: string; product: string };
  gone?: boolean;
}

export interface Queue {
  waiting: number;
  running: number;
  connections: number | { open: number; max: number };
  models_next: string[];
}

/** As in GET /hostler/v1/requests. */
export interface RequestRecord {
  id: number;
  at: number;
  model: string | null;
  request: string;
  state: "waiting" | "running" | "done";
  status: number | null;
  error: string | null;
  client: string;
  key: string | null;
  user_agent: string | null;
  waited_ms: number;
  elapsed_ms: number;
  position: number | null;
  loaded: boolean;
  unread: boolean;
  prompt_tokens: number | null;
  tokens: number | null;
  tokens_per_second: number | null;
  restored_tokens: number;
  saved_ms: number;
  eta_ms?: number | null;
}

export interface Change {
  at: number;
  model: string;
  event: string;
  why: string | null;
}

/** Frames of the live stream by the name of their event. */
export interface Frames {
  server: Server;
  models: { models: Model[] };
  figures: { models: ModelFigures[] };
  removed: { models: string[] };
  devices: { devices: Record<string, Device> };
  queue: Queue;
  requests: { requests: (Partial<RequestRecord> & { id: number })[]; ended?: number[] };
  changes: { changes: Change[] };
  ready: Record<string, never>;
}

export type Frame = { [E in keyof Frames]: { event: E; data: Frames[E] } }[keyof Frames];
