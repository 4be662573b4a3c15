// SPDX-License-Identifier: MIT
// One streamed answer of POST /v1/chat/completions.
import { RequestError, send } from "./client";
import { createEventReader } from "./frames";

/** What llama-server measured of an answer; other engines may tell less. */
export interface Timings {
  prompt_n?: number;
  prompt_per_second?: number;
  predicted_n?: number;
  predicted_per_second?: number;
  /** Tokens of the prompt that were in the engine's cache. */
  cache_n?: number;
}

/** What hostler did before the engine had the request, from the header fields of its answer. */
export interface Service {
  queued_ms: number;
  loaded: boolean;
  restored_tokens: number;
}

export interface ChatListener {
  begun(service: Service): void;
  text(piece: string): void;
  reasoning(piece: string): void;
  /** Tokens of the prompt that were read so far. */
  prompt(done: number, total: number): void;
  timings(timings: Timings): void;
}

interface Chunk {
  error?: { message?: string; code?: number; state?: string };
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; finish_reason?: string | null }[];
  timings?: Timings;
  prompt_progress?: { total: number; processed: number };
}

function serviceOf(headers: Headers): Service {
  return {
    queued_ms: Number(headers.get("X-Hostler-Queued-Ms") ?? 0),
    loaded: headers.get("X-Hostler-Loaded") === "1",
    restored_tokens: Number(headers.get("X-Hostler-Restored-Tokens") ?? 0),
  };
}

/** Tells `on` what a frame of the stream has; returns why the answer ended, if the frame says so. */
export function takeChunk(data: string, on: ChatListener): string | null {
  if (data === "[DONE]") return null;
  const chunk = JSON.parse(data) as Chunk;
  if (chunk.error) {
    throw new RequestError(chunk.error.message ?? "the answer broke off", chunk.error.code ?? 502, chunk.error.state ?? "", chunk);
  }
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) on.reasoning(choice.delta.reasoning_content);
  if (choice?.delta?.content) on.text(choice.delta.content);
  if (chunk.prompt_progress) on.prompt(chunk.prompt_progress.processed, chunk.prompt_progress.total);
  if (chunk.timings) on.timings(chunk.timings);
  return choice?.finish_reason ?? null;
}

/**
 * Returns why the answer ended (`stop`, `length`, …); null when the stream ended without saying. Throws
 * RequestError when it was refused or broke off.
 */
export async function streamChat(body: object, signal: AbortSignal, on: ChatListener): Promise<string | null> {
  const answer = await send("v1/chat/completions", { method: "POST", body, signal });
  on.begun(serviceOf(answer.headers));
  if (!answer.body) return null;
  let finish: string | null = null;
  const events = createEventReader((_, data) => {
    finish = takeChunk(data, on) ?? finish;
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return finish;
      events.push(value);
    }
  } catch (e) {
    if (e instanceof RequestError || signal.aborted) throw e;
    throw new RequestError("the connection broke off", 0);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
