// SPDX-License-Identifier: MIT
// Which request caused a change: the server names it by its first line and its client's address.
import type { Change, RequestRecord } from "../../api/types";

const NEAR_S = 3600; /* a client's port is used again later */
const CALLER = /([A-Z]+ \S+ from \S+) /;

/** The requests by that name, each list in no order. */
export type Callers = ReadonlyMap<string, readonly RequestRecord[]>;

/** Made once for all changes of a list. */
export function callersOf(requests: Iterable<RequestRecord>): Callers {
  const callers = new Map<string, RequestRecord[]>();
  for (const r of requests) {
    if (r.client === "") continue;
    const name = `${r.request} from ${r.client}`;
    const known = callers.get(name);
    if (known) known.push(r);
    else callers.set(name, [r]);
  }
  return callers;
}

export function causeOf(c: Change, callers: Callers): RequestRecord | null {
  const name = CALLER.exec(`${c.why ?? ""} `)?.[1];
  if (!name) return null;
  const mine = callers.get(name)?.filter((r) => r.at <= c.at + 1 && c.at - r.at < NEAR_S) ?? [];
  /* A kept connection has several: the last that came before it. */
  return mine.reduce<RequestRecord | null>((best, r) => (!best || r.at > best.at ? r : best), null);
}
