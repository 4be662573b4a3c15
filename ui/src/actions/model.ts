// SPDX-License-Identifier: MIT
// What can be done with a model: the request, the right that it needs, and when it applies. Buttons, keys and
// "as curl" are all made of these.
import { send } from "../api/client";
import type { CurlRequest } from "../api/curl";
import type { Model, Right } from "../api/types";
import { say, sayError } from "../parts/toast";
import { followLoad } from "./follow";
import { may } from "../state/store";
import { isGoing, isInMemory } from "../state/words";

export type ActionName = "load" | "unload" | "force" | "release" | "pin" | "unpin";

export interface Action {
  name: ActionName;
  /** On its button. */
  verb: string;
  /** Said when it was accepted. */
  done: string;
  right: Right;
  applies: (m: Model) => boolean;
  request: (id: string) => CurlRequest & { method: string };
}

function post(path: string, more: object = {}): (id: string) => CurlRequest & { method: string } {
  return (id) => ({ method: "POST", path, body: { model: id, ...more } });
}

function canLoad(m: Model): boolean {
  const there = m.state === "unloaded" && m.reason !== "missing";
  return (there || isGoing(m)) && m.state !== "downloading";
}

export const ACTIONS: Record<ActionName, Action> = {
  load: { name: "load", verb: "Load", done: "is being loaded", right: "load", applies: canLoad, request: post("models/load") },
  unload: {
    name: "unload", verb: "Unload", done: "is unloaded", right: "unload",
    applies: (m) => isInMemory(m) && !isGoing(m), request: post("models/unload"),
  },
  force: {
    name: "force", verb: "Unload now, cutting requests off", done: "is unloaded", right: "unload",
    applies: isInMemory, request: post("models/unload", { force: true }),
  },
  release: {
    name: "release", verb: "Release", done: "is no longer held", right: "hold",
    applies: (m) => m.held !== undefined, request: post("models/release"),
  },
  pin: {
    name: "pin", verb: "Pin", done: "is pinned: it is never evicted", right: "hold",
    applies: (m) => !m.pinned, request: post("models/pin"),
  },
  unpin: {
    name: "unpin", verb: "Unpin", done: "may be evicted again", right: "hold",
    applies: (m) => m.pinned === true, request: post("models/unpin"),
  },
};

/** Whether it is offered: this caller may, and it makes sense now. */
export function isOffered(name: ActionName, m: Model): boolean {
  return may(ACTIONS[name].right) && ACTIONS[name].applies(m);
}

/** Does it; tells how it went. */
export async function run(name: ActionName, id: string): Promise<void> {
  const action = ACTIONS[name];
  const { method, path, body } = action.request(id);
  try {
    await send(path, { method, body });
    say(`${id} ${action.done}`);
    if (name === "load") followLoad(id);
  } catch (e) {
    sayError(`${action.verb} ${id}`, e);
  }
}
