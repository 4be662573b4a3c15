// SPDX-License-Identifier: MIT
// The keys of the list of models, and the dialog that tells them.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { askHold } from "../../actions/hold";
import { askLoadWith, mayLoadWith } from "../../actions/load_with";
import { openMenu, start } from "../../actions/menu";
import { isOffered, type ActionName } from "../../actions/model";
import type { Model } from "../../api/types";
import { closeDialog, Dialog, dialogIsOpen, openDialog } from "../../parts/dialog";
import { go } from "../../state/route";
import { may, models } from "../../state/store";
import { isInMemory } from "../../state/words";
import { moveSelection, selected } from "./choice";
import { focusRow } from "./list";

const HELP: [keys: string, what: string][] = [
  ["/", "search"],
  ["j  k  ↓  ↑", "next, previous model"],
  ["Home  End", "first, last model"],
  ["Enter", "open the model"],
  ["l", "load"],
  ["L", "load with other options; on a loaded one also its TTL"],
  ["u", "unload"],
  ["h", "hold, or release"],
  ["p", "pin, or unpin"],
  ["m", "everything that can be done with it"],
  ["Esc", "leave the search"],
  ["?", "this list"],
];

function KeysDialog(): JSX.Element {
  return (
    <Dialog title="Keys" onSubmit={closeDialog}>
      <dl class="keys">
        {HELP.map(([keys, what]) => (
          <div key={keys}>
            <dt>{keys.split("  ").map((k) => <kbd key={k}>{k}</kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <footer class="dialog-foot">
        <button type="submit" class="button" data-first>Close</button>
      </footer>
    </Dialog>
  );
}

export function showKeys(): void {
  openDialog(() => <KeysDialog />);
}

function hold(m: Model): void {
  if (m.held) start("release", m);
  else askHold(m.id, isInMemory(m));
}

/** What a key does with the selected model; false: nothing. */
function actOn(m: Model, key: string): boolean {
  const named: Record<string, ActionName> = { l: "load", u: "unload", p: m.pinned ? "unpin" : "pin" };
  const name = named[key];
  if (name && isOffered(name, m)) start(name, m);
  else if (key === "h" && may("hold")) hold(m);
  else if (key === "L" && mayLoadWith(m)) askLoadWith(m.id);
  else if (key === "m") openMenu(m.id);
  else if (key === "Enter") go("models", m.id);
  else return false;
  return true;
}

const STEPS: Record<string, number> = {
  j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity,
};

function onKey(e: KeyboardEvent): void {
  const target = e.target as HTMLElement;
  if (e.ctrlKey || e.altKey || e.metaKey || dialogIsOpen() || target.closest("input, select, textarea")) return;
  const step = STEPS[e.key];
  const m = models.get(selected.peek())?.peek();
  const onControl = target.closest("a, button") !== null;
  if (e.key === "/") document.getElementById("search")?.focus();
  else if (e.key === "?") showKeys();
  else if (step !== undefined) focusRow(moveSelection(step));
  else if (!m || (onControl && e.key === "Enter") || !actOn(m, e.key)) return;
  e.preventDefault();
}

export function useKeys(): void {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
