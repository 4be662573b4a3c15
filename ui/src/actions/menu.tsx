// SPDX-License-Identifier: MIT
// All that can be done with one model, as a list of buttons with their keys.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { messageOf } from "../api/client";
import type { Model } from "../api/types";
import { showCurl } from "../parts/curl";
import { ask, closeDialog, Dialog, openDialog } from "../parts/dialog";
import { go } from "../state/route";
import { may, models } from "../state/store";
import { isInMemory } from "../state/words";
import { byDevice, estimatePath, getEstimate, verdict } from "./estimate";
import { askHold } from "./hold";
import { load } from "./load";
import { askLoadWith, mayLoadWith } from "./load_with";
import { ACTIONS, isOffered, run, type ActionName } from "./model";

/** Loading asks where others would have to go, force asks always. */
export function start(name: ActionName, m: Model): void {
  if (name === "load") void load(m.id, m.held !== undefined);
  else if (name === "force" && (m.requests ?? 0) > 0) askForce(m);
  else void run(name, m.id);
}

function askForce(m: Model): void {
  const n = m.requests ?? 0;
  ask({
    title: `Unload ${m.id} now?`,
    yes: "Unload now",
    danger: true,
    children: <p>{n === 1 ? "A request is" : `${n} requests are`} being answered and would be cut off.</p>,
    act: () => run("force", m.id),
  });
}

interface ItemProps {
  label: string;
  hint?: string;
  first?: boolean;
  act: () => void;
  curl?: () => void;
}

function Item({ label, hint, first, act, curl }: ItemProps): JSX.Element {
  return (
    <li class="menu-item">
      <button
        type="button"
        class="row-button menu-button"
        data-first={first}
        onClick={() => {
          closeDialog();
          act();
        }}
      >
        <span>{label}</span>
        {hint && <kbd>{hint}</kbd>}
      </button>
      {curl && (
        <button type="button" class="button button-quiet" aria-label={`${label}, as curl`} onClick={curl}>
          as curl
        </button>
      )}
    </li>
  );
}

const KEYS: Partial<Record<ActionName, string>> = { load: "l", unload: "u", pin: "p", unpin: "p", release: "h" };

/** What a load would mean now. */
function Outlook({ id }: { id: string }): JSX.Element {
  const [text, setText] = useState("…");
  useEffect(() => {
    const stop = new AbortController();
    getEstimate(id, [], stop.signal).then(
      (e) => setText(`${verdict(e)}: ${byDevice(e.memory)} (${e.source})`),
      (e: unknown) => !stop.signal.aborted && setText(messageOf(e)),
    );
    return () => stop.abort();
  }, [id]);
  return <p class="muted">{text}</p>;
}

function Menu({ id }: { id: string }): JSX.Element | null {
  const m = models.get(id)?.value;
  if (!m) return <Dialog title={id}><p>This model is gone.</p></Dialog>;
  const names = (Object.keys(ACTIONS) as ActionName[]).filter((n) => isOffered(n, m));
  return (
    <Dialog title={id}>
      <Outlook id={id} />
      <ul class="menu">
        <Item label="Open" hint="Enter" first act={() => go("models", id)} />
        {may("infer") && <Item label="Chat with it" act={() => go("playground", id)} />}
        {names.map((name) => (
          <Item
            key={name}
            label={ACTIONS[name].verb}
            {...(KEYS[name] ? { hint: KEYS[name] } : {})}
            act={() => start(name, m)}
            curl={() => showCurl(ACTIONS[name].request(id))}
          />
        ))}
        {mayLoadWith(m) && <Item label="Load with…" hint="L" act={() => askLoadWith(id)} />}
        {may("hold") && !m.held && <Item label="Hold…" hint="h" act={() => askHold(id, isInMemory(m))} />}
        <Item label="Estimate, as curl" act={() => showCurl({ path: estimatePath(id) })} />
      </ul>
    </Dialog>
  );
}

export function openMenu(id: string): void {
  openDialog(() => <Menu id={id} />);
}
