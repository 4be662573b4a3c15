// SPDX-License-Identifier: MIT
// The conversations that this browser keeps: open, export, delete.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ask } from "../../parts/dialog";
import { timeOfDay } from "../../parts/format";
import { sayError } from "../../parts/toast";
import { toStored } from "./conversation";
import { begin, conversation, open, refresh, remove, storageProblem, summaries } from "./session";
import { readAll } from "./storage";

function download(name: string, value: unknown): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function exportAll(): void {
  readAll().then(
    (all) => download("hostler-conversations.json", { conversations: all }),
    (e: unknown) => sayError("They are not exported", e),
  );
}

function askToRemove(ids: string[], what: string): void {
  ask({
    title: `Delete ${what}?`,
    yes: "Delete",
    danger: true,
    children: <p>Conversations are in this browser only: what is deleted is gone.</p>,
    act: () => remove(ids),
  });
}

export function History(): JSX.Element {
  useEffect(() => void refresh(), []);
  const all = summaries.value ?? [];
  const shown = conversation.value;
  return (
    <section class="history panel" aria-label="Conversations">
      <button type="button" class="button" onClick={begin}>New conversation</button>
      {storageProblem.value && <p class="muted">Conversations are not kept: {storageProblem.value}.</p>}
      <ul>
        {all.map((s) => (
          <li key={s.id}>
            <button type="button" class="row-button history-entry" aria-current={s.id === shown.id ? "true" : undefined} onClick={() => void open(s.id)}>
              <span class="one-line">{s.title}</span>
              <span class="muted">{timeOfDay(s.updated / 1000)}</span>
            </button>
            <button type="button" class="icon-button" aria-label={`Delete ${s.title}`} onClick={() => askToRemove([s.id], `"${s.title}"`)}>×</button>
          </li>
        ))}
      </ul>
      <div class="row">
        <button type="button" class="button button-quiet" disabled={shown.turns.length === 0} onClick={() => download("hostler-conversation.json", { conversations: [toStored(shown)] })}>
          Export this one
        </button>
        {all.length > 0 && (
          <>
            <button type="button" class="button button-quiet" onClick={exportAll}>Export all</button>
            <button type="button" class="button button-quiet" onClick={() => askToRemove(all.map((s) => s.id), "all conversations")}>Delete all</button>
          </>
        )}
      </div>
      <p class="muted">Kept in this browser only.</p>
    </section>
  );
}
