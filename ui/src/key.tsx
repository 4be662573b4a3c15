// SPDX-License-Identifier: MIT
// The question for the API key, and the button that changes or forgets it.
import { useEffect, useRef } from "preact/hooks";
import type { JSX } from "preact";
import { connection, problem } from "./api/live";
import { key, keyWanted, setKey } from "./state/key";

/** In the page, not above it: without a key there is nothing behind it to see. */
export function KeyQuestion(): JSX.Element | null {
  const field = useRef<HTMLInputElement>(null);
  const keep = useRef<HTMLInputElement>(null);
  const wanted = keyWanted.value;
  useEffect(() => field.current?.focus(), [wanted]);
  if (!wanted) {
    return connection.value === "refused" ? (
      <p class="error-note" role="alert">{problem.value}</p>
    ) : null;
  }
  return (
    <form
      class="key-question"
      onSubmit={(e) => {
        e.preventDefault();
        const value = field.current?.value.trim() ?? "";
        if (value) setKey(value, keep.current?.checked ?? false);
      }}
    >
      <h2>This server asks for a key</h2>
      {key.value !== "" && <p class="error-note" role="alert">The server does not accept the key that was given.</p>}
      <label class="field">
        <span>API key</span>
        <input ref={field} class="input" type="password" autocomplete="off" required />
      </label>
      <label class="check">
        <input ref={keep} type="checkbox" /> keep it until this tab is closed
      </label>
      <p class="muted">Otherwise it is kept in memory until the page is left or loaded again.</p>
      <button type="submit" class="button button-primary">Continue</button>
    </form>
  );
}

export function KeyButton(): JSX.Element | null {
  if (!key.value && !keyWanted.value) return null;
  return (
    <button
      type="button"
      class="button button-quiet"
      disabled={keyWanted.value}
      onClick={() => {
        setKey("", false);
        keyWanted.value = true;
      }}
    >
      Change key
    </button>
  );
}
