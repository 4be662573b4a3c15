// SPDX-License-Identifier: MIT
// The file of presets: what the server has, what was typed here, and what the daemon's own reader says of that.
// The draft outlives the view, not the page.
import { computed, effect, signal } from "@preact/signals";
import { getJson, messageOf, RequestError, sendJson } from "../../api/client";

export const PATH = "hostler/v1/presets";
export const CHECK_PATH = "hostler/v1/presets/check";
const CHECK_AFTER_MS = 400;

export interface Section {
  name: string;
  line: number;
  keys: { key: string; value: string; line: number }[];
}

export interface PresetFile {
  path: string | null;
  writable: boolean;
  why?: string | null;
  text: string;
  etag: string;
  sections: Section[];
  problem: string | null;
  /** Whether the models are those of this text. */
  in_effect?: boolean;
}

export interface Problem {
  line?: number | null;
  section?: string | null;
  message: string;
}

export interface ModelChange {
  model: string;
  /** `settings`: its engine goes on with others. */
  change: "added" | "removed" | "replaced" | "settings" | "same";
}

export interface Check {
  ok: boolean;
  problems: Problem[];
  /** Perhaps slips, which forbid nothing. */
  warnings?: Problem[];
  changes: ModelChange[];
}

/** As the server had it when it was read last. */
export const file = signal<PresetFile | null>(null);
/** Why there is none. */
export const readProblem = signal("");
/** What was typed; null: nothing. */
export const draft = signal<string | null>(null);
export const check = signal<Check | null>(null);
export const checking = signal(false);
/** The file was changed by others since it was read: what it is now. */
export const conflict = signal<PresetFile | null>(null);

export const text = computed(() => draft.value ?? file.value?.text ?? "");
export const changed = computed(() => file.value !== null && draft.value !== null && draft.value !== file.value.text);

/** Whoever closes the tab with an unwritten draft is asked, whatever view is shown. */
function warn(e: BeforeUnloadEvent): void {
  e.preventDefault();
}
effect(() => {
  if (typeof window === "undefined") return;
  if (changed.value) window.addEventListener("beforeunload", warn);
  else window.removeEventListener("beforeunload", warn);
});

const LINE_END = /\r\n/g;

/** As a text field has it: the browser makes each line's end a \n. */
export const fieldText = computed(() => text.value.replace(LINE_END, "\n"));

/** With the line ends of the file, so that a change of one line is that. */
export function withLineEndsOf(original: string, typed: string): string {
  return original.includes("\r\n") ? typed.replace(/\r?\n/g, "\r\n") : typed;
}

export async function read(): Promise<void> {
  try {
    const fresh = await getJson<PresetFile>(PATH);
    const old = file.peek();
    if (changed.peek() && old && old.etag !== fresh.etag) {
      conflict.value = fresh;
      return;
    }
    file.value = fresh;
    readProblem.value = "";
  } catch (e) {
    readProblem.value = messageOf(e);
  }
}

let timer = 0;
let asked = 0;

async function checkNow(): Promise<void> {
  const number = ++asked;
  try {
    const found = await sendJson<Check>("POST", CHECK_PATH, { text: text.peek() });
    if (number === asked) check.value = found;
  } catch (e) {
    if (number === asked) check.value = { ok: false, problems: [{ message: messageOf(e) }], changes: [] };
  } finally {
    if (number === asked) checking.value = false;
  }
}

export function type(value: string): void {
  draft.value = withLineEndsOf(file.peek()?.text ?? "", value);
  checking.value = true;
  asked++; /* an answer about an older text does not count */
  clearTimeout(timer);
  timer = window.setTimeout(() => void checkNow(), CHECK_AFTER_MS);
}

export function discard(): void {
  clearTimeout(timer);
  asked++;
  draft.value = null;
  check.value = null;
  checking.value = false;
  conflict.value = null;
}

/** Takes over the file that others wrote; the draft stays, and is compared with that from now on. */
export function takeTheirs(keepDraft: boolean): void {
  const theirs = conflict.peek();
  if (!theirs) return;
  const mine = draft.peek();
  discard();
  file.value = theirs;
  if (keepDraft && mine !== null) type(mine);
}

/** "" when it is written; else why it is not. */
export async function write(): Promise<string> {
  const before = file.peek();
  if (!before) return "nothing was read";
  try {
    await sendJson("PUT", PATH, { text: text.peek(), etag: before.etag });
    discard();
    await read();
    return "";
  } catch (e) {
    if (e instanceof RequestError && e.status === 409) {
      const theirs = await getJson<PresetFile>(PATH).catch(() => null);
      if (theirs && theirs.etag !== before.etag) {
        conflict.value = theirs;
        return "";
      }
    }
    return messageOf(e);
  }
}

/** The section that `line` (from 1) of `all` is in; null before the first one. */
export function sectionAt(all: string, line: number): string | null {
  for (const l of all.split("\n").slice(0, line).reverse()) {
    const name = /^\s*\[([^\]]+)\]/.exec(l)?.[1];
    if (name !== undefined) return name.trim();
  }
  return null;
}

/** Where line `line` (from 1) begins and ends in `all`. */
export function lineRange(all: string, line: number): [from: number, to: number] {
  const lines = all.split("\n");
  const from = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
  return [from, from + (lines[line - 1]?.length ?? 0)];
}
