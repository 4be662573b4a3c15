// SPDX-License-Identifier: MIT
// Requests to hostler. Every URL is relative to where the bundle was loaded from (PREFIX/hostler/), so
// that --api-prefix needs no setting. The key goes into a header field only, never into a URL.
import { key, keyWanted } from "../state/key";

/** PREFIX/ of the server, since the bundle is PREFIX/hostler/main.js. */
const base = new URL("..", import.meta.url);

/** What the server, or the browser, says about a request that failed. */
export class RequestError extends Error {
  constructor(
    message: string,
    /** 0: no answer came. */
    readonly status: number,
    /** hostler's own word for a refusal (`held`, `no_room`, …); empty when it has none. */
    readonly state = "",
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

/** `path` begins without a slash: `hostler/v1/status`. */
export function urlOf(path: string): URL {
  return new URL(path, base);
}

export interface Options {
  method?: string;
  /** Sent as JSON. */
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

function initOf(o: Options): RequestInit {
  const headers = new Headers(o.headers);
  const secret = key.peek();
  if (secret) headers.set("Authorization", `Bearer ${secret}`);
  const init: RequestInit = { method: o.method ?? "GET", headers, cache: "no-store", credentials: "omit" };
  if (o.signal) init.signal = o.signal;
  if (o.body instanceof FormData) init.body = o.body;
  else if (o.body !== undefined) {
    headers.set("Content-Type", "application/json");
    init.body = JSON.stringify(o.body);
  }
  return init;
}

async function errorOf(answer: Response): Promise<RequestError> {
  const text = await answer.text().catch(() => "");
  let body: unknown = null;
  try {
    body = JSON.parse(text);
  } catch {
    /* a proxy's page, say */
  }
  const error = (body as { error?: { message?: string; state?: string } } | null)?.error;
  const message = error?.message ?? (text && text.length < 300 ? text : `${answer.status} ${answer.statusText}`);
  return new RequestError(message, answer.status, error?.state ?? "", body);
}

/** The answer, of which only the head has come. Throws RequestError for 4xx, 5xx and no answer. */
export async function send(path: string, options: Options = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(urlOf(path), initOf(options));
  } catch (e) {
    if (options.signal?.aborted) throw e;
    throw new RequestError("the server does not answer", 0);
  }
  if (answer.ok) return answer;
  const error = await errorOf(answer);
  if (answer.status === 401) keyWanted.value = true;
  throw error;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send(path, signal ? { signal } : {})).json() as Promise<T>;
}

export async function sendJson<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await send(path, { method, body })).json() as Promise<T>;
}

/** What an exception says, for a person. */
export function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
