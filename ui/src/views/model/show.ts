// SPDX-License-Identifier: MIT
// GET /hostler/v1/show: all that is known of one model, asked again when its row changes.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Footprint } from "../../actions/estimate";
import { getJson, messageOf } from "../../api/client";
import type { Argument, Change } from "../../api/types";
import { models } from "../../state/store";

export interface Variable {
  name: string;
  value: string | null;
  origin: string;
}

export interface Exit {
  reason: string;
  exit_code: number;
  signal: number;
  cause: string | null;
  message: string | null;
  log: string | null;
}

export interface Show {
  id: string;
  path: string | null;
  mmproj: string | null;
  draft: string | null;
  header: Record<string, string | number | boolean> | null;
  arguments: Argument[];
  environment: Variable[];
  footprint: Record<"estimated" | "fitted" | "measured" | "given", Footprint | null>;
  status: { args: string[]; preset: string };
  load_ms: number;
  ttl_ms: number;
  priority: number;
  max_requests: number;
  prompt_cache: Record<string, string | number | null> | null;
  last_exit: Exit | null;
  recent: Change[];
}

export const shown = signal<Show | null>(null);
export const problem = signal("");

/** What of its row makes the rest out of date. */
function versionOf(id: string): string {
  const m = models.get(id)?.value;
  return m ? [m.state, m.reason, m.held?.until, m.pinned, m.memory_source, m.failed, m.loaded_at, m.ttl_ms, JSON.stringify(m.this_load)].join() : "";
}

export function showPath(id: string): string {
  return `hostler/v1/show?${new URLSearchParams({ model: id })}`;
}

export function useShow(id: string): void {
  const version = versionOf(id);
  useEffect(() => {
    const stop = new AbortController();
    if (shown.peek()?.id !== id) shown.value = null;
    const answered = (s: Show | null, text: string): void => {
      if (stop.signal.aborted) return;
      if (s) shown.value = s;
      problem.value = text;
    };
    getJson<Show>(showPath(id), stop.signal).then((s) => answered(s, ""), (e: unknown) => answered(null, messageOf(e)));
    return () => stop.abort();
  }, [id, version]);
}
