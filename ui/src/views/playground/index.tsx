// SPDX-License-Identifier: MIT
// The view Playground: models tried. Conversations stay in the browser.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Chat } from "./chat";
import { EmbeddingsTrial, RerankTrial } from "./trials";

const KINDS = [
  { name: "Chat", Content: Chat },
  { name: "Embeddings", Content: EmbeddingsTrial },
  { name: "Rerank", Content: RerankTrial },
] as const;
const kind = signal<(typeof KINDS)[number]>(KINDS[0]);

export function View(): JSX.Element {
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
