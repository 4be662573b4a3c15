// SPDX-License-Identifier: MIT
// Which request caused a change: the server names it by its first line and its client's address.
import type { Change, RequestRecord } from "../../api/types";

const NEAR_S = 3600; /* a client's port is used again later */

export function causeOf(c: Change, requests: RequestRecord[]): RequestRecord | null {
  const { why } = c;
  if (!why) return null;
  const mine = requests.filter((r) => {
    const near = r.at <= c.at + 1 && c.at - r.at < NEAR_S;
    return near && r.client !== "" && `${why} `.includes(`${r.request} from ${r.client} `);
  });
  /* A kept connection has several: the last that came before it. */
  return mine.reduce<RequestRecord | null>((best, r) => (!best || r.at > best.at ? r : best), null);
}
