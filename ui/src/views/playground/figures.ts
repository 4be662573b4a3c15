// SPDX-License-Identifier: MIT
// What an answer took, in a line.
import { count, duration, rate } from "../../parts/format";
import type { Answer } from "./conversation";

/** `132 tokens · 170 tokens/s · the first after 92 ms`. */
export function figuresOf(a: Answer): string {
  const parts: string[] = [];
  const tokens = a.timings?.predicted_n ?? a.pieces;
  const seconds = a.first !== undefined ? ((a.ended ?? Date.now()) - a.first) / 1000 : 0;
  const speed = a.timings?.predicted_per_second ?? (a.pieces > 1 && seconds > 0.2 ? a.pieces / seconds : null);
  if (tokens > 0) parts.push(`${count(tokens)} ${tokens === 1 ? "token" : "tokens"}`);
  if (speed !== null) parts.push(`${rate(speed)} tokens/s`);
  if (a.first !== undefined) parts.push(`the first after ${duration(a.first - a.asked)}`);
  if (a.timings?.prompt_n !== undefined) parts.push(`${count(a.timings.prompt_n + (a.timings.cache_n ?? 0))} prompt tokens`);
  if (a.service?.loaded) parts.push("loaded the model");
  else if ((a.service?.queued_ms ?? 0) >= 100) parts.push(`queued for ${duration(a.service?.queued_ms)}`);
  if (a.service && a.service.restored_tokens > 0) parts.push(`${count(a.service.restored_tokens)} restored`);
  if (a.state === "stopped") parts.push("stopped");
  if (a.finish === "length") parts.push("cut off at the limit of tokens");
  return parts.join(" · ");
}
