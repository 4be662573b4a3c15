// SPDX-License-Identifier: MIT
// The API key: in memory, and in this tab's sessionStorage when the user wants that.
import { signal } from "@preact/signals";

const NAME = "hostler-key";

function stored(): string {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return ""; /* storage is blocked, or there is none */
  }
}

export const key = signal(stored());
/** The server has refused a request for want of a (valid) key. */
export const keyWanted = signal(false);

/** How often a key was given: the same one again is a try, too. */
export const keyGiven = signal(0);

export function setKey(value: string, keep: boolean): void {
  key.value = value;
  keyWanted.value = false;
  keyGiven.value++;
  try {
    if (keep && value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
  } catch {
    /* it stays in memory */
  }
}
