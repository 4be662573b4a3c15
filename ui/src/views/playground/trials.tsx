// SPDX-License-Identifier: MIT
// Embeddings and reranking tried: texts in, similarities or scores out.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { messageOf, RequestError, sendJson } from "../../api/client";
import { CurlButton } from "../../parts/curl";
import { duration, short } from "../../parts/format";
import { ModelPicker } from "./picker";
import { Refusal } from "./refusal";
import { cosine, linesOf } from "./vectors";

interface Outcome<T> {
  value?: T;
  took?: number;
  error?: { message: string; state: string; status: number };
}

interface TrialProps<T> {
  /** What is sent where, of the model that is chosen. */
  path: string;
  bodyOf: (model: string) => object;
  ready: boolean;
  verb: string;
  children: ComponentChildren;
  show: (value: T) => JSX.Element;
}

/** A form whose fields are `children`, and what came of it. */
function Trial<T>({ path, bodyOf, ready, verb, children, show }: TrialProps<T>): JSX.Element {
  const [model, setModel] = useState("");
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome<T>>({});

  async function run(): Promise<void> {
    setBusy(true);
    const begun = performance.now();
    try {
      const value = await sendJson<T>("POST", path, bodyOf(model));
      setOutcome({ value, took: performance.now() - begun });
    } catch (e) {
      const refused = e instanceof RequestError;
      setOutcome({ error: { message: messageOf(e), state: refused ? e.state : "", status: refused ? e.status : 0 } });
    } finally {
      setBusy(false);
    }
  }

  return (
    <div class="trial">
      <form
        class="panel trial-form"
        onSubmit={(e) => {
          e.preventDefault();
          void run();
        }}
      >
        <ModelPicker label="Model" value={model} onPick={setModel} />
        {children}
        <div class="row">
          <CurlButton of={() => ({ method: "POST", path, body: bodyOf(model) })} />
          <span class="spring" />
          <button type="submit" class="button button-primary" disabled={busy || !model || !ready}>{verb}</button>
        </div>
      </form>
      <div aria-live="polite" aria-busy={busy}>
        {busy && <p class="muted">{model} works on it</p>}
        {!busy && outcome.error && <Refusal failure={outcome.error} model={model} again={() => void run()} />}
        {!busy && outcome.value && (
          <div class="panel">
            <p class="muted">after {duration(outcome.took)}</p>
            {show(outcome.value)}
          </div>
        )}
      </div>
    </div>
  );
}

/* --- embeddings ------------------------------------------------------------------------------------ */

interface Embeddings {
  data: { index: number; embedding: number[] }[];
}

function Similarities({ texts, value }: { texts: string[]; value: Embeddings }): JSX.Element {
  const vectors = [...value.data].sort((a, b) => a.index - b.index).map((d) => d.embedding);
  return (
    <>
      <p>{short(vectors[0]?.length)} dimensions. How similar the texts are (cosine):</p>
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Similarities">
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Text</th>
              {vectors.map((_, i) => <th key={i} scope="col" class="number">{i + 1}</th>)}
            </tr>
          </thead>
          <tbody>
            {vectors.map((v, i) => (
              <tr key={i}>
                <th scope="row" class="trial-text">{i + 1}. {texts[i]}</th>
                {vectors.map((w, j) => <td key={j} class="number">{cosine(v, w).toFixed(3)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

export function EmbeddingsTrial(): JSX.Element {
  const [text, setText] = useState("A cat sleeps.\nA kitten naps.\nThe disk is full.");
  const texts = linesOf(text);
  return (
    <Trial<Embeddings>
      path="v1/embeddings"
      bodyOf={(model) => ({ model, input: texts })}
      ready={texts.length > 0}
      verb="Embed"
      show={(value) => <Similarities texts={texts} value={value} />}
    >
      <label class="field">
        <span>Texts, one a line</span>
        <textarea class="textarea" rows={6} value={text} onInput={(e) => setText(e.currentTarget.value)} />
      </label>
    </Trial>
  );
}

/* --- rerank ---------------------------------------------------------------------------------------- */

interface Ranking {
  results: { index: number; relevance_score: number }[];
}

function Ranks({ documents, value }: { documents: string[]; value: Ranking }): JSX.Element {
  const ranked = [...value.results].sort((a, b) => b.relevance_score - a.relevance_score);
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Document</th>
          <th scope="col" class="number">Score</th>
        </tr>
      </thead>
      <tbody>
        {ranked.map((r) => (
          <tr key={r.index}>
            <td>{documents[r.index]}</td>
            <td class="number">{r.relevance_score.toPrecision(4)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function RerankTrial(): JSX.Element {
  const [query, setQuery] = useState("Where does a cat sleep?");
  const [text, setText] = useState("Cats sleep in baskets.\nThe disk is full.\nDogs bark at night.");
  const documents = linesOf(text);
  return (
    <Trial<Ranking>
      path="v1/rerank"
      bodyOf={(model) => ({ model, query, documents })}
      ready={documents.length > 0 && query.trim() !== ""}
      verb="Rerank"
      show={(value) => <Ranks documents={documents} value={value} />}
    >
      <label class="field">
        <span>Query</span>
        <input class="input" value={query} onInput={(e) => setQuery(e.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Documents, one a line</span>
        <textarea class="textarea" rows={6} value={text} onInput={(e) => setText(e.currentTarget.value)} />
      </label>
    </Trial>
  );
}
