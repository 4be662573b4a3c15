// SPDX-License-Identifier: MIT
// One model's answer: reasoning apart, Markdown as it comes, what it took.
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { copyText } from "../../parts/copy";
import { count, duration, rate } from "../../parts/format";
import { say } from "../../parts/toast";
import { Markdown } from "../../markdown/Markdown";
import { splitThinking, type Answer } from "./conversation";
import { Refusal } from "./refusal";
import { Waiting } from "./waiting";

/** `132 tokens · 170 tokens/s · the first after 92 ms`. */
export function figuresOf(a: Answer): string {
  const parts: string[] = [];
  const tokens = a.timings?.predicted_n ?? a.pieces;
  const seconds = a.first !== undefined ? ((a.ended ?? Date.now()) - a.first) / 1000 : 0;
  const speed = a.timings?.predicted_per_second ?? (a.pieces > 1 && seconds > 0.2 ? a.pieces / seconds : null);
  if (tokens > 0) parts.push(`${count(tokens)} ${tokens === 1 ? "token" : "tokens"}`);
  if (speed !== null) parts.push(`${rate(speed)} tokens/s`);
  if (a.first !== undefined) parts.push(`the first after ${duration(a.first - a.asked)}`);
  if (a.timings) parts.push(`${count(a.timings.prompt_n + (a.timings.cache_n ?? 0))} of the prompt`);
  if (a.service?.loaded) parts.push("loaded the model");
  else if ((a.service?.queued_ms ?? 0) >= 100) parts.push(`queued for ${duration(a.service?.queued_ms)}`);
  if (a.service && a.service.restored_tokens > 0) parts.push(`${count(a.service.restored_tokens)} restored`);
  if (a.state === "stopped") parts.push("stopped");
  if (a.finish === "length") parts.push("cut off at the limit of tokens");
  return parts.join(" · ");
}

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
