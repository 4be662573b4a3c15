// SPDX-License-Identifier: MIT
// What an action came to, for some seconds: said once to screen readers, errors at once.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { messageOf } from "../api/client";

interface Toast {
  id: number;
  text: string;
  error: boolean;
}

const SHOWN_MS = 5000;
const ERROR_SHOWN_MS = 12_000;
const MOST = 4;

export const toasts = signal<Toast[]>([]);
let next = 1;

function remove(id: number): void {
  toasts.value = toasts.peek().filter((t) => t.id !== id);
}

function add(text: string, error: boolean): void {
  const id = next++;
  toasts.value = [...toasts.peek().filter((t) => t.text !== text), { id, text, error }].slice(-MOST);
  setTimeout(() => remove(id), error ? ERROR_SHOWN_MS : SHOWN_MS);
}

export function say(text: string): void {
  add(text, false);
}

/** The server's own words stand after `what`. */
export function sayError(what: string, e: unknown): void {
  add(`${what}: ${messageOf(e)}`, true);
}

function List({ error }: { error: boolean }): JSX.Element {
  return (
    <div class="toasts" role={error ? "alert" : "status"}>
      {toasts.value
        .filter((t) => t.error === error)
        .map((t) => (
          <div key={t.id} class={error ? "toast toast-error" : "toast"}>
            <span>{t.text}</span>
            <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => remove(t.id)}>
              ×
            </button>
          </div>
        ))}
    </div>
  );
}

/** Both regions are there from the start: screen readers tell only of what is added to one. */
export function ToastPlace(): JSX.Element {
  return (
    <div class="toast-place">
      <List error={true} />
      <List error={false} />
    </div>
  );
}
