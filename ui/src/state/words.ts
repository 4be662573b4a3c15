// SPDX-License-Identifier: MIT
// A model's state and its story in words: what it does, who loaded it, why it went.
import type { Model } from "../api/types";
import { ago, callerName, longDuration, shortCaller } from "../parts/format";

export type Tone = "good" | "warn" | "bad" | "idle";

/** Its engine runs, or is on its way in or out. */
export function isInMemory(m: Model): boolean {
  return !["unloaded", "downloading", "downloaded"].includes(m.state);
}

export function isGoing(m: Model): boolean {
  return m.draining === true || m.state === "draining" || m.state === "stopping" || m.state === "saving";
}

export function stateWord(m: Model): string {
  if (m.saving || m.state === "saving") return "saving";
  if (m.state === "stopping") return "stopping";
  if (isGoing(m)) return "draining";
  if (m.state === "unloaded") return m.failed ? "failed" : m.held ? "held" : m.reason === "missing" ? "missing" : "unloaded";
  return m.state;
}

export function stateTone(m: Model): Tone {
  const word = stateWord(m);
  if (word === "loaded") return "good";
  if (word === "failed" || word === "missing") return "bad";
  return ["loading", "draining", "saving", "stopping", "downloading", "held"].includes(word) ? "warn" : "idle";
}

const WENT: Record<string, string> = {
  unloaded: "unloaded by an operator",
  evicted: "evicted for another model",
  memory: "evicted, as memory ran short",
  idle: "unloaded, as nobody used it",
  replaced: "replaced by changed presets or files",
  removed: "removed from its source",
  shutdown: "unloaded at the server's end",
  crashed: "its engine crashed",
  load_failed: "it did not load",
  missing: "its file has not been downloaded",
  no_room: "it found no room",
};

/** Why it is not there, in the server's own words where it has some; empty when it was never loaded. */
export function whyGone(m: Model): string {
  if (m.message) return shortCaller(m.message, false);
  return m.reason ? (WENT[m.reason] ?? m.reason) : "";
}

export function holdText(m: Model, now: number): string {
  const hold = m.held;
  if (!hold) return "";
  const left = hold.until === null ? "until released" : `for ${longDuration(Math.max(0, hold.until - now))}`;
  return `held ${left}${hold.reason ? `: ${hold.reason}` : ""}`;
}

/** When it is unloaded for being idle; empty when it is not, or is used. */
export function ttlText(m: Model, now: number): string {
  if (!m.ttl_ms || !m.idle_since || m.pinned) return "";
  const left = m.idle_since + m.ttl_ms / 1000 - now;
  return left > 60 ? `unloaded in ${Math.round(left / 60)} min if nobody uses it` : "unloaded within a minute if nobody uses it";
}

function loadText(m: Model, now: number): string {
  const atStart = m.loaded_by?.startsWith("the start"); /* not by a caller */
  const by = atStart ? ` at ${m.loaded_by}` : m.loaded_by ? ` by ${callerName(m.loaded_by)}` : "";
  if (m.state === "loading") return `being loaded${by}`;
  return `loaded${by}${m.loaded_at ? `, ${ago(m.loaded_at, now)}` : ""}`;
}

/** The line beneath a model's name. */
export function story(m: Model, now: number): string {
  if (m.held) return holdText(m, now);
  if (!isInMemory(m)) return whyGone(m);
  return [loadText(m, now), ttlText(m, now)].filter(Boolean).join("; ");
}
