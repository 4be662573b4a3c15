// SPDX-License-Identifier: MIT
// A request of the page as a command for a shell. The key is $HOSTLER_API_KEY, never the key itself.
import { key } from "../state/key";
import { urlOf } from "./client";

export interface CurlRequest {
  method?: string;
  path: string;
  body?: unknown;
  /** It streams: curl must not buffer. */
  stream?: boolean;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curlOf(r: CurlRequest, withKey = key.peek() !== "", url = urlOf(r.path).href): string {
  const method = r.method ?? "GET";
  const parts = [r.stream ? "curl -N" : "curl"];
  if (method !== "GET" && !(method === "POST" && r.body !== undefined)) parts.push(`-X ${method}`);
  parts.push(quote(url));
  if (withKey) parts.push(`-H "Authorization: Bearer $HOSTLER_API_KEY"`);
  if (r.body !== undefined) {
    parts.push(`-H 'Content-Type: application/json'`, `-d ${quote(JSON.stringify(r.body))}`);
  }
  return parts.join(" \\\n  ");
}
