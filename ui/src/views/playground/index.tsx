// SPDX-License-Identifier: MIT
// The view Playground: models tried. Conversations stay in the browser.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { route } from "../../state/route";
import { complete, models, shape } from "../../state/store";
import { Chat } from "./chat";
import { conversation, setModels } from "./session";
import { EmbeddingsTrial, RerankTrial } from "./trials";

const KINDS = [
  { name: "Chat", Content: Chat },
  { name: "Embeddings", Content: EmbeddingsTrial },
  { name: "Rerank", Content: RerankTrial },
] as const;
const kind = signal<(typeof KINDS)[number]>(KINDS[0]);

/** The model that the address names; else, where none is chosen yet, one that is in memory. */
function useFirstModel(): void {
  const { rest } = route.value;
  const known = complete.value ? shape.value : -1;
  const set = (first: string): void => setModels([first, ...conversation.peek().models.slice(1)]);
  useEffect(() => {
    if (rest) set(rest);
  }, [rest]);
  useEffect(() => {
    const loaded = [...models.values()].find((m) => m.peek().state === "loaded");
    if (loaded && !rest && conversation.peek().models[0] === "") set(loaded.peek().id);
  }, [known]);
}

export function View(): JSX.Element {
  useFirstModel();
  const { Content } = kind.value;
  return (
    <section class="view playground" aria-labelledby="view-title">
      <div class="view-head">
        <h1 id="view-title">Playground</h1>
        <div class="segments" role="group" aria-label="What to try">
          {KINDS.map((k) => (
            <button key={k.name} type="button" class="button" aria-pressed={k === kind.value} onClick={() => (kind.value = k)}>
              {k.name}
            </button>
          ))}
        </div>
      </div>
      <Content />
    </section>
  );
}
