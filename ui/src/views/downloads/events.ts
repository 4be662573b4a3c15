// SPDX-License-Identifier: MIT
// How downloads end, from /models/sse while the view is shown: the live state has what goes on, and a download that
// failed is in no list any more.
import { signal } from "@preact/signals";
import { send } from "../../api/client";
import { createEventReader } from "../../api/frames";

export interface Outcome {
  model: string;
  /** Unix seconds. */
  at: number;
  /** Why it failed; null: it is complete. */
  problem: string | null;
}

const KEPT = 20;

/** The newest first, one a model. */
export const outcomes = signal<Outcome[]>([]);

interface Event {
  model: string;
  event: string;
  data?: { message?: string } | null;
}

export function takeEvent(text: string, now = Date.now() / 1000): void {
  const e = JSON.parse(text) as Event;
  const problem = e.event === "download_finished" ? null : e.event === "download_failed" ? (e.data?.message ?? "it failed") : undefined;
  if (problem === undefined) return;
  forget(e.model);
  outcomes.value = [{ model: e.model, at: now, problem }, ...outcomes.peek()].slice(0, KEPT);
}

export function forget(model: string): void {
  outcomes.value = outcomes.peek().filter((o) => o.model !== model);
}

const RETRY_MS = 5000;

/** Until the function that it returns is called. */
export function listen(): () => void {
  const stop = new AbortController();
  const follow = async (): Promise<void> => {
    const answer = await send("models/sse", { signal: stop.signal, headers: { Accept: "text/event-stream" } });
    if (!answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const events = createEventReader((_, data) => takeEvent(data));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      events.push(value);
    }
  };
  const again = (): void => {
    if (!stop.signal.aborted) setTimeout(() => !stop.signal.aborted && void follow().then(again, again), RETRY_MS);
  };
  void follow().then(again, again);
  return () => stop.abort();
}
