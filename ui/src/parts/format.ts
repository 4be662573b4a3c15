// SPDX-License-Identifier: MIT
// Figures as text: sizes in powers of 1024 with three digits, times in the largest unit that says enough.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const DASH = "–";

function digits(n: number): string {
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return DASH;
  let unit = 0;
  let value = Math.abs(n);
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 ? String(value) : digits(value);
  return `${n < 0 ? "−" : ""}${text} ${UNITS[unit]}`;
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? DASH : n.toLocaleString("en-US");
}

/** `1 load`, `2 loads`, `3,000 loads`. */
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** Tokens of a context or a parameter count: `32k`, `1.05M`, `7.24B`. */
export function short(n: number | null | undefined): string {
  if (n === null || n === undefined) return DASH;
  if (n < 1000) return String(n);
  if (n < 1e6 && n % 1024 === 0) return `${n / 1024}k`;
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]] as const) {
    if (n >= size) return `${trimZeros((n / size).toPrecision(3))}${letter}`;
  }
  return String(n);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export function rate(n: number | null | undefined): string {
  if (n === null || n === undefined) return DASH;
  return n >= 100 || n === 0 ? n.toFixed(0) : n.toFixed(1);
}

export function percent(share: number): string {
  return `${Math.round(Math.min(Math.max(share, 0), 1) * 100)} %`;
}

/** `840 ms`, `3.2 s`, `4 min 05 s`, `3 h 12 min`, `2 d 4 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return DASH;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return longDuration(Math.round(ms / 1000));
}

/** Of whole seconds. */
export function longDuration(s: number): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(Math.floor(s % 60))} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** `now`, `40 s ago`, `5 min ago`, `3 h ago`, `2 d ago`; both in Unix seconds. */
export function ago(at: number, now: number): string {
  const s = now - at;
  if (s < 10) return "now";
  if (s < 60) return `${Math.floor(s / 10) * 10} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

/** The time of day, with the date when it is not today. */
export function timeOfDay(at: number, now = Date.now() / 1000): string {
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date(now * 1000).toDateString()
    ? time
    : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** As the server describes a caller: `POST /v1/x from 192.0.2.7:4711 via 127.0.0.1 (key alice, curl/8.0)`. */
const CALLER = /([A-Z]+ \S+ from )(\S+)( via \S+)?( \((?:[^()]|\([^()]*\))*\)?)?/;

function nameIn(address: string, rest: string | undefined): string {
  return /\(key ([^,)]+)/.exec(rest ?? "")?.[1] ?? address;
}

/** Who it was, for a table: the key's name, else the address. */
export function callerName(why: string | null | undefined): string {
  if (!why) return DASH;
  const [, , address, , rest] = CALLER.exec(why) ?? [];
  return address ? nameIn(address, rest) : why;
}

/** `text` with its caller in short: without the program, and the key's name in place of the address. */
export function shortCaller(text: string, withRequest = true): string {
  return text.replace(CALLER, (_all, request: string, address: string, _via, rest?: string) =>
    `${withRequest ? request : ""}${nameIn(address, rest)}`,
  );
}

export function sum(by: Record<string, number> | null | undefined): number {
  return Object.values(by ?? {}).reduce((a, b) => a + b, 0);
}
