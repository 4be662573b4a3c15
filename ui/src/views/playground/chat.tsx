// SPDX-License-Identifier: MIT
// The chat: one model, or two side by side, which get the same messages.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { AnswerView } from "./answer";
import { AttachmentList, Composer } from "./composer";
import type { Turn } from "./conversation";
import { History } from "./history";
import { ModelPicker } from "./picker";
import { conversation, editTurn, regenerate, running, setModels } from "./session";
import { SettingsPanel } from "./settings";

function EditField({ turn, close }: { turn: Turn; close: () => void }): JSX.Element {
  const [text, setText] = useState(turn.text);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="edit"
      onSubmit={(e) => {
        e.preventDefault();
        editTurn(turn.id, text);
        close();
      }}
      onKeyDown={(e) => e.key === "Escape" && close()}
    >
      <textarea ref={field} class="textarea" aria-label="Edited message" rows={4} value={text} onInput={(e) => setText(e.currentTarget.value)} />
      <div class="row">
        <button type="submit" class="button button-primary" disabled={!text.trim() && turn.attachments.length === 0}>Send the edited message</button>
        <button type="button" class="button" onClick={close}>Cancel</button>
      </div>
    </form>
  );
}

function TurnView({ turn }: { turn: Turn }): JSX.Element {
  const [editing, setEditing] = useState(false);
  return (
    <li class="turn">
      <div class="message">
        <AttachmentList attachments={turn.attachments} />
        {editing ? <EditField turn={turn} close={() => setEditing(false)} /> : <p class="message-text">{turn.text}</p>}
        {!editing && <button type="button" class="button button-quiet" onClick={() => setEditing(true)}>Edit</button>}
      </div>
      <div class={turn.answers.length > 1 ? "answers answers-two" : "answers"}>
        {turn.answers.map((answer, lane) => (
          <AnswerView key={lane} answer={answer} again={() => regenerate(turn.id, lane)} />
        ))}
      </div>
    </li>
  );
}

const NEAR_END_PX = 80;

/** Follows the end while the reader is there, and stays where the reader scrolled to otherwise. */
function Turns(): JSX.Element {
  const list = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const { id, turns } = conversation.value;
  useLayoutEffect(() => {
    follow.current = true;
    const element = list.current;
    const content = element?.firstElementChild;
    if (!element || !content) return;
    const toEnd = (): void => {
      if (follow.current) element.scrollTop = element.scrollHeight;
    };
    const observer = new ResizeObserver(toEnd);
    observer.observe(content);
    toEnd();
    return () => observer.disconnect();
  }, [id, turns.length]);
  return (
    <div
      ref={list}
      class="turns"
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label="Conversation"
      onScroll={(e) => {
        const { scrollTop, scrollHeight, clientHeight } = e.currentTarget;
        follow.current = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
      }}
    >
      {turns.length === 0 ? (
        <div class="empty">
          <h2>Try a model</h2>
          <p>What you write goes to the model that you choose, which is loaded if need be.</p>
        </div>
      ) : (
        <ol>{turns.map((t) => <TurnView key={t.id} turn={t} />)}</ol>
      )}
    </div>
  );
}

function Lanes(): JSX.Element {
  const { models } = conversation.value;
  const set = (lane: number, id: string): void => setModels(models.map((m, i) => (i === lane ? id : m)));
  return (
    <div class="row">
      <ModelPicker label="Model" value={models[0] ?? ""} onPick={(id) => set(0, id)} />
      {models.length > 1 ? (
        <>
          <span class="muted">beside</span>
          <ModelPicker label="Second model" value={models[1] ?? ""} onPick={(id) => set(1, id)} />
          <button type="button" class="button button-quiet" disabled={running.value > 0} onClick={() => setModels(models.slice(0, 1))}>
            One model
          </button>
        </>
      ) : (
        <button type="button" class="button button-quiet" disabled={running.value > 0} onClick={() => setModels([models[0] ?? "", ""])}>
          Compare with another
        </button>
      )}
    </div>
  );
}

type Panel = "history" | "settings";

export function Chat(): JSX.Element {
  const wide = matchMedia("(min-width: 1100px)").matches;
  const [shown, setShown] = useState<Record<Panel, boolean>>({ history: wide, settings: wide });
  const toggle = (panel: Panel): void => setShown({ ...shown, [panel]: !shown[panel] });
  return (
    <>
      <div class="row chat-head">
        <Lanes />
        <button type="button" class="button button-quiet" aria-expanded={shown.history} onClick={() => toggle("history")}>Conversations</button>
        <button type="button" class="button button-quiet" aria-expanded={shown.settings} onClick={() => toggle("settings")}>Settings</button>
      </div>
      <div class="chat">
        {shown.history && <History />}
        <div class="chat-middle">
          <Turns />
          <Composer />
        </div>
        {shown.settings && <SettingsPanel />}
      </div>
    </>
  );
}
