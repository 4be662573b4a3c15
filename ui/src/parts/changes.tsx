// SPDX-License-Identifier: MIT
// What happened, as a list: the newest first.
import type { JSX } from "preact";
import type { Change } from "../api/types";
import { hrefOf } from "../state/route";
import { shortCaller, timeOfDay } from "./format";

const TONES: Record<string, string> = { ready: "good", failed: "bad", end: "warn", stop: "warn", hold: "warn" };

interface ChangeListProps {
  changes: Change[];
  withModel?: boolean;
  /** The request that caused it, when it is known. */
  causeOf?: (c: Change) => (() => void) | null;
}

export function ChangeList({ changes, withModel = true, causeOf }: ChangeListProps): JSX.Element {
  if (!changes.length) return <p class="empty">Nothing has happened yet.</p>;
  return (
    <ol class="changes">
      {changes.map((c) => {
        const open = causeOf?.(c);
        return (
          <li key={`${c.at} ${c.model} ${c.event}`}>
            <time class="muted" dateTime={new Date(c.at * 1000).toISOString()}>{timeOfDay(c.at)}</time>
            <span class={`event ${TONES[c.event] ?? ""}`}>{c.event}</span>
            <span class="change-text">
              {withModel && <a href={hrefOf("models", c.model)}>{c.model}</a>}
              {c.why && <span class="muted" title={c.why}> {shortCaller(c.why)}</span>}
              {open && <> <button type="button" class="link" onClick={open}>open the request</button></>}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
