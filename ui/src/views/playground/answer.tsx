// SPDX-License-Identifier: MIT
// One model's answer: reasoning apart, Markdown as it comes, what it took.
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { copyText } from "../../parts/copy";
import { count } from "../../parts/format";
import { say } from "../../parts/toast";
import { Markdown } from "../../markdown/Markdown";
import { splitThinking, type Answer } from "./conversation";
import { figuresOf } from "./figures";
import { Refusal } from "./refusal";
import { Waiting } from "./waiting";

function Reasoning({ text, done }: { text: string; done: boolean }): JSX.Element {
  return (
    <details class="reasoning">
      <summary>{done ? "Reasoning" : "Reasoning…"} <span class="muted">{count(text.length)} characters</span></summary>
      <div class="reasoning-text" tabIndex={0} role="region" aria-label="Reasoning">{text}</div>
    </details>
  );
}

interface AnswerViewProps {
  answer: Signal<Answer | null>;
  again: () => void;
}

export function AnswerView({ answer, again }: AnswerViewProps): JSX.Element | null {
  const a = answer.value;
  if (!a) return null;
  const complete = a.state !== "waiting" && a.state !== "streaming";
  const thinking = splitThinking(a.text);
  const reasoning = a.reasoning || thinking.reasoning;
  return (
    <article class="answer" aria-label={`Answer of ${a.model}`} aria-busy={!complete}>
      <header class="answer-head">
        <strong class="one-line">{a.model}</strong>
        <span class="muted answer-figures">{figuresOf(a)}</span>
      </header>
      {a.state === "waiting" && <Waiting answer={a} />}
      {reasoning && <Reasoning text={reasoning} done={complete || thinking.text !== ""} />}
      {thinking.text && <Markdown text={thinking.text} complete={complete} />}
      {a.failure && <Refusal failure={a.failure} model={a.model} again={again} />}
      {complete && (
        <footer class="row">
          {thinking.text && (
            <button
              type="button"
              class="button button-quiet"
              onClick={() => void copyText(thinking.text).then((ok) => say(ok ? "Copied" : "The browser does not allow copying"))}
            >
              Copy
            </button>
          )}
          {!a.failure && <button type="button" class="button button-quiet" onClick={again}>Regenerate</button>}
        </footer>
      )}
      <span class="only-read" role="status">{a.state === "done" ? `${a.model} has answered` : ""}</span>
    </article>
  );
}
