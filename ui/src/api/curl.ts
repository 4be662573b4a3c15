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

const LONGEST_WORD = 100_000; /* characters; Linux takes 128 KiB a word of a command line */
const END = "END_OF_BODY";

/** What follows the command for its body: as a word, or as the command's input where it is too long for one. */
function bodyOf(text: string): { option: string; input: string } {
  return text.length <= LONGEST_WORD
    ? { option: `-d ${quote(text)}`, input: "" }
    : { option: `--data-binary @- <<'${END}'`, input: `\n${text}\n${END}` };
}

export function curlOf(r: CurlRequest, withKey = key.peek() !== "", url = urlOf(r.path).href): string {
  const method = r.method ?? "GET";
  const parts = [r.stream ? "curl -N" : "curl"];
  if (method !== "GET" && !(method === "POST" && r.body !== undefined)) parts.push(`-X ${method}`);
  parts.push(quote(url));
  if (withKey) parts.push(`-H "Authorization: Bearer $HOSTLER_API_KEY"`);
  let input = "";
  if (r.body !== undefined) {
    const body = bodyOf(JSON.stringify(r.body));
    parts.push(`-H 'Content-Type: application/json'`, body.option);
    input = body.input;
  }
  return parts.join(" \\\n  ") + input;
}
