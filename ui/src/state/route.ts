// SPDX-License-Identifier: MIT
// Which view is shown: the part of the address after `#/`.
import { computed, signal } from "@preact/signals";

function read(): string {
  return typeof location === "undefined" ? "" : location.hash.replace(/^#\/?/, "");
}

const hash = signal(read());

export interface Route {
  /** `models`, `activity`, …; the first screen when the address names none. */
  view: string;
  /** What follows the view's name, decoded: a model's id. */
  rest: string;
}

export function parseRoute(text: string): Route {
  const [path = ""] = text.split("?");
  const slash = path.indexOf("/");
  const view = slash < 0 ? path : path.slice(0, slash);
  const rest = slash < 0 ? "" : path.slice(slash + 1);
  try {
    return { view: view || "models", rest: decodeURIComponent(rest) };
  } catch {
    return { view: view || "models", rest };
  }
}

export const route = computed(() => parseRoute(hash.value));

export function hrefOf(view: string, rest = ""): string {
  return rest ? `#/${view}/${encodeURIComponent(rest)}` : `#/${view}`;
}

export function go(view: string, rest = ""): void {
  location.hash = hrefOf(view, rest);
}

export function followAddress(): void {
  addEventListener("hashchange", () => {
    hash.value = read();
  });
}
