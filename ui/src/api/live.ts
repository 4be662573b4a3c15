// SPDX-License-Identifier: MIT
// The stream of /hostler/v1/live: open while the page can be seen, opened again when it breaks. It is read
// by fetch, since EventSource cannot send the key in a header field. Frames are applied once a frame of the
// display at most.
import { batch, effect, signal } from "@preact/signals";
import { touchClock } from "../state/clock";
import { keyGiven, keyWanted } from "../state/key";
import { apply, begin } from "../state/store";
import { messageOf, RequestError, send } from "./client";
import { createEventReader } from "./frames";
import type { Frame } from "./types";

export type Connection =
  | "connecting" /* for the first time */
  | "open"
  | "lost" /* it broke off or was refused; the next try is due */
  | "paused" /* the page is hidden */
  | "refused"; /* the key is missing, or has not the right */

export const connection = signal<Connection>("connecting");
/** Why it is lost or refused. */
export const problem = signal("");
/** Unix seconds: since when what is shown may be out of date. */
export const lostAt = signal(0);

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;
const SILENCE_MS = 40_000; /* the server sends a comment each 15 s */
const FIRST_MS = 20_000; /* it begins at once, with all there is */

/** With some randomness, so that many pages do not ask a server that comes back all at once. */
export function retryDelay(failures: number, random = Math.random()): number {
  return Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS) * (0.75 + random / 2);
}

/* --- frames -------------------------------------------------------------------------------------- */

const NAMES = new Set(["server", "models", "figures", "removed", "devices", "queue", "requests", "changes", "ready"]);
let waiting: Frame[] = [];
let due = 0;

function flush(): void {
  due = 0;
  const frames = waiting;
  waiting = [];
  batch(() => {
    apply(frames);
    touchClock();
  });
}

function take(event: string, data: string): void {
  if (!NAMES.has(event)) return; /* a newer server's */
  waiting.push({ event, data: JSON.parse(data) } as Frame);
  if (!due) due = requestAnimationFrame(flush);
}

function drop(): void {
  cancelAnimationFrame(due);
  due = 0;
  waiting = [];
}

/* --- one stream ---------------------------------------------------------------------------------- */

const NOTHING = "nothing has come for 20 s. A reverse proxy in between must pass hostler/v1/live on as it comes, without buffering";

/** Until the stream ends; throws when it broke off. */
async function readStream(stop: AbortController): Promise<void> {
  const begins = window.setTimeout(() => stop.abort(new Error(NOTHING)), FIRST_MS);
  const answer = await send("hostler/v1/live", { signal: stop.signal, headers: { Accept: "text/event-stream" } }).finally(() => clearTimeout(begins));
  if (!answer.body) return;
  drop();
  begin();
  connection.value = "open";
  problem.value = "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = createEventReader(take);
  let silence = 0;
  try {
    for (;;) {
      silence = window.setTimeout(() => stop.abort(new Error("the server has gone silent")), SILENCE_MS);
      const { done, value } = await reader.read();
      clearTimeout(silence);
      if (done) return;
      events.push(value);
    }
  } finally {
    clearTimeout(silence);
  }
}

/* --- the connection ------------------------------------------------------------------------------ */

let current: AbortController | null = null;
let retry = 0;
let failures = 0;

function close(state: Connection): void {
  clearTimeout(retry);
  current?.abort();
  current = null;
  connection.value = state;
}

function lose(e: unknown): void {
  const status = e instanceof RequestError ? e.status : 0;
  problem.value = e === undefined ? "the server ended the stream" : messageOf(e);
  if (status === 401 || status === 403) {
    connection.value = "refused";
    return;
  }
  if (connection.peek() === "open") lostAt.value = Date.now() / 1000;
  if (messageOf(e) === NOTHING) failures++; /* it need not fail twice */
  if (connection.peek() !== "connecting" || failures) connection.value = "lost";
  retry = window.setTimeout(open, retryDelay(failures++));
}

function open(): void {
  clearTimeout(retry);
  current?.abort();
  const stop = new AbortController();
  current = stop;
  const ended = (e?: unknown): void => {
    if (current !== stop) return; /* another has taken its place, or the page is hidden */
    current = null;
    lose(e);
  };
  const began = performance.now();
  readStream(stop).then(
    () => ended(),
    (e: unknown) => ended(stop.signal.aborted ? stop.signal.reason : e),
  );
  /* A stream that held for a while was a good one: the next failure is a new one. */
  window.setTimeout(() => {
    if (current === stop && connection.peek() === "open") failures = 0;
  }, Math.max(0, 5000 - (performance.now() - began)));
}

/** Tries at once, whatever the wait. */
export function reconnect(): void {
  failures = 0;
  open();
}

export function startLive(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close("paused");
    else if (!current) reconnect();
  });
  window.addEventListener("online", () => {
    if (!document.hidden && connection.peek() !== "open") reconnect();
  });
  effect(() => {
    keyGiven.value; /* another key may have other rights */
    if (!document.hidden) reconnect();
  });
  effect(() => {
    if (keyWanted.value && connection.peek() !== "open") close("refused");
  });
}
