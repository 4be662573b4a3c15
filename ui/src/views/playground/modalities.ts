// SPDX-License-Identifier: MIT
// What a model takes beside text, as its entry of the list says.
import { effect, signal, type Signal } from "@preact/signals";
import { getJson } from "../../api/client";
import { server } from "../../state/store";

interface Entry {
  id: string;
  architecture?: { input_modalities?: string[] };
}

const known = new Map<string, Signal<readonly string[]>>();

async function ask(id: string): Promise<readonly string[]> {
  const entry = server.peek()?.classic
    ? (await getJson<{ data: Entry[] }>("v1/models")).data.find((e) => e.id === id)
    : await getJson<Entry>(`v1/models/${encodeURIComponent(id)}`);
  return entry?.architecture?.input_modalities ?? ["text"];
}

/** Text alone until the server has told. Use it in a component: it is asked for once the server is known. */
export function modalitiesOf(id: string): readonly string[] {
  if (!id) return ["text"];
  let s = known.get(id);
  if (!s) {
    const fresh = signal<readonly string[]>(["text"]);
    known.set(id, fresh);
    s = fresh;
    effect(() => {
      if (!server.value) return;
      ask(id).then(
        (m) => (fresh.value = m),
        () => known.delete(id),
      );
    });
  }
  return s.value;
}
