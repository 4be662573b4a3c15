// SPDX-License-Identifier: MIT
// Which requests a table shows, in which order, and what of a request is told in words.
import { batch } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getJson } from "../api/client";
import { connection } from "../api/live";
import { sayError } from "../parts/toast";
import type { RequestRecord } from "../api/types";
import { incomplete, putRequest, requests, requestsShape, type LiveRequest } from "../state/store";

export type RequestFilter = "all" | "running" | "waiting" | "failed";

export function hasFailed(r: RequestRecord): boolean {
  return r.state === "done" && (r.error !== null || (r.status ?? 0) >= 400);
}

export function passes(r: RequestRecord, filter: RequestFilter): boolean {
  switch (filter) {
    case "all":
      return true;
    case "running":
    case "waiting":
      return r.state === filter;
    case "failed":
      return hasFailed(r);
  }
}

const RANK = { running: 0, waiting: 1, done: 2 };

/** Those that run, those that wait in their turn, those that are over; else the newest first. */
export function compare(a: RequestRecord, b: RequestRecord): number {
  if (a.state !== b.state) return RANK[a.state] - RANK[b.state];
  if (a.state === "waiting") return (a.position ?? 0) - (b.position ?? 0) || a.id - b.id;
  return b.id - a.id;
}

export function listOf(rows: Iterable<{ peek(): LiveRequest }>, wanted: (r: LiveRequest) => boolean): LiveRequest[] {
  return [...rows].map((s) => s.peek()).filter(wanted).sort(compare);
}

/** `POST /v1/chat/completions` without what every path begins with. */
export function pathOf(request: string): string {
  return request.replace(/^POST /, "").split("?")[0] ?? request;
}

export function clientOf(r: RequestRecord): string {
  return r.key ?? r.client;
}

/** How long it has been there, of one that goes on as of `now` (performance.now()). */
export function elapsed(r: LiveRequest, now: number): number {
  return r.state === "done" ? r.elapsed_ms : r.elapsed_ms + Math.max(0, now - r.seen);
}

const FETCHED = 1000;
const FETCHED_AGAIN = 100;
const SOON_MS = 2000;

/** Those that were over before the page was opened: the live stream does not tell of them. */
async function fetchEnded(limit: number): Promise<void> {
  const { requests: list } = await getJson<{ requests: RequestRecord[] }>(`hostler/v1/requests?limit=${limit}`);
  batch(() => {
    for (const r of list) if (!requests.has(r.id) || r.state === "done") putRequest(r);
    requestsShape.value++;
  });
}

/** For a view with a table of requests: those that are over are there, too. */
export function useEnded(): void {
  const open = connection.value === "open";
  const lacking = incomplete.value;
  const failed = (e: unknown): void => sayError("The requests that are over", e);
  useEffect(() => {
    if (open) fetchEnded(FETCHED).catch(failed);
  }, [open]);
  useEffect(() => {
    if (!open || !lacking) return;
    const timer = setTimeout(() => fetchEnded(FETCHED_AGAIN).catch(failed), SOON_MS);
    return () => clearTimeout(timer);
  }, [open, lacking]);
}
