// SPDX-License-Identifier: MIT
// What is wanted of one load, as rows of a form and as POST /models/load takes it.
import type { CurlRequest } from "../api/curl";
import type { Argument, LoadValue, ThisLoad } from "../api/types";

/** An option as it is typed, with or without its dashes. */
export interface OptionRow {
  key: number;
  name: string;
  value: string;
}

export interface LoadForm {
  rows: OptionRow[];
  ttl: string;
}

type Args = Record<string, string | string[]>;

/** Those of GET /hostler/v1/estimate, and some that people change for a while. */
const OFTEN = [
  "ctx-size", "parallel", "batch-size", "ubatch-size", "cache-type-k", "cache-type-v", "n-gpu-layers", "n-cpu-moe",
  "cpu-moe", "kv-offload", "kv-unified", "swa-full", "flash-attn", "split-mode", "tensor-split", "main-gpu", "cache-ram",
  "ctx-checkpoints", "threads", "threads-batch", "temp", "top-k", "top-p", "min-p", "seed", "jinja", "reasoning-format",
];
/** Arguments of these origins are of the router. */
const NOT_OFFERED = ["hostler", "model's files"];

let lastKey = 0;

export function newRow(name = "", value = ""): OptionRow {
  return { key: ++lastKey, name, value };
}

/** As in a preset: `--ctx-size` is `ctx-size`. */
export function optionName(typed: string): string {
  return typed.trim().replace(/^-{1,2}/, "");
}

export function optionNames(known: Argument[]): string[] {
  const own = known.filter((a) => !NOT_OFFERED.includes(a.origin)).map((a) => optionName(a.option));
  return [...new Set([...OFTEN, ...own])].sort();
}

/** In the largest unit that divides it: `10m`; `0`: never unloaded when idle. */
export function ttlAsTyped(ms: number | undefined): string {
  if (ms === undefined) return "";
  const units = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]] as const;
  const [unit, size] = units.find(([, n]) => ms > 0 && ms % n === 0) ?? ["", 1000];
  return `${ms / size}${unit}`;
}

/** null: a secret, whose value is not told. */
function shown(value: LoadValue): string {
  return value === null ? "" : String(value);
}

/** What is in effect is where a change begins. */
export function formOf(load: ThisLoad | undefined): LoadForm {
  const rows = Object.entries(load?.args ?? {}).flatMap(([name, v]) => [v].flat().map((one) => newRow(name, shown(one))));
  return { rows: rows.length ? rows : [newRow()], ttl: ttlAsTyped(load?.ttl_ms) };
}

/** Options that are named; what is given several times is a list. */
export function argsOf(rows: OptionRow[]): Args {
  const args = new Map<string, string | string[]>();
  for (const { name: typed, value } of rows) {
    const name = optionName(typed);
    const before = args.get(name);
    if (name) args.set(name, before === undefined ? value : [before, value].flat());
  }
  return Object.fromEntries(args);
}

function sameArgs(args: Args, load: ThisLoad | undefined): boolean {
  const text = (of: Args): string => JSON.stringify(Object.entries(of).sort());
  return text(args) === text(argsOf(formOf(load).rows));
}

export interface LoadChange {
  args?: Args;
  ttl?: string | number;
}

/**
 * What a request has to say. `running`: what the engine that runs was loaded with, null: none runs; arguments that are the
 * same are left out, as they would be no reason to load it anew.
 */
export function changeOf(form: LoadForm, running: ThisLoad | undefined | null): LoadChange {
  const args = argsOf(form.rows);
  const ttl = form.ttl.trim();
  const withArgs = running === null ? Object.keys(args).length > 0 : !sameArgs(args, running);
  const withTtl = ttl !== "" && (running === null || ttl !== ttlAsTyped(running?.ttl_ms));
  return {
    ...(withArgs ? { args } : {}),
    ...(withTtl ? { ttl: /^\d+(\.\d+)?$/.test(ttl) ? Number(ttl) : ttl } : {}),
  };
}

export function loadRequest(id: string, change: LoadChange): CurlRequest & { method: string } {
  return { method: "POST", path: "models/load", body: { model: id, ...change } };
}

function argumentText(name: string, value: LoadValue): string {
  if (value === true) return name;
  return value === false ? `${name} off` : value === null ? name : `${name} ${value}`;
}

/** `with ctx-size 8192, ttl 10m`; empty when it was loaded as always. */
export function loadedWith(load: ThisLoad | undefined): string {
  const parts = Object.entries(load?.args ?? {}).flatMap(([name, v]) => [v].flat().map((one) => argumentText(name, one)));
  if (load?.ttl_ms !== undefined) parts.push(`ttl ${ttlAsTyped(load.ttl_ms)}`);
  return parts.length ? `with ${parts.join(", ")}` : "";
}
