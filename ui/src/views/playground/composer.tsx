// SPDX-License-Identifier: MIT
// Where a message is written: Enter sends, Shift+Enter begins a line, Escape stops what runs.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { bytes } from "../../parts/format";
import { CurlButton } from "../../parts/curl";
import { sayError } from "../../parts/toast";
import { may, server } from "../../state/store";
import { newTurn, requestOf, type Attachment } from "./conversation";
import { modalitiesOf } from "./modalities";
import { conversation, running, sendTurn, stop } from "./session";

const LARGEST_FILE = 32 << 20;

function readFile(file: File): Promise<Attachment> {
  return new Promise((resolve, reject) => {
    const kind = file.type.startsWith("audio/") ? "audio" : "image";
    if (file.size > LARGEST_FILE) reject(new Error(`${file.name} is larger than ${bytes(LARGEST_FILE)}`));
    const reader = new FileReader();
    reader.onload = () => resolve({ kind, name: file.name, url: String(reader.result) });
    reader.onerror = () => reject(reader.error ?? new Error("it cannot be read"));
    reader.readAsDataURL(file);
  });
}

/** What all models of the conversation take, as the `accept` of a file field; "" for text alone. */
function acceptOf(models: string[]): string {
  const takes = (kind: string): boolean => models.every((m) => modalitiesOf(m).includes(kind));
  return [takes("image") && "image/png,image/jpeg,image/webp,image/gif", takes("audio") && "audio/wav,audio/mpeg"].filter(Boolean).join(",");
}

export function AttachmentList({ attachments, onRemove }: { attachments: Attachment[]; onRemove?: (at: number) => void }): JSX.Element | null {
  if (attachments.length === 0) return null;
  return (
    <ul class="attachments">
      {attachments.map((a, at) => (
        <li key={at}>
          {a.kind === "image" ? <img src={a.url} alt={a.name} /> : <audio controls src={a.url} aria-label={a.name} />}
          {onRemove && (
            <button type="button" class="icon-button" aria-label={`Remove ${a.name}`} onClick={() => onRemove(at)}>×</button>
          )}
        </li>
      ))}
    </ul>
  );
}

export function Composer(): JSX.Element {
  const [text, setText] = useState("");
  const [attachments, setAttachments] = useState<Attachment[]>([]);
  const files = useRef<HTMLInputElement>(null);
  const { models } = conversation.value;
  const accept = acceptOf(models);
  const busy = running.value > 0;
  const allowed = server.value === null || may("infer");
  const ready = allowed && models.every((m) => m !== "") && (text.trim() !== "" || attachments.length > 0);

  function send(): void {
    if (!ready || busy) return;
    sendTurn(text, attachments);
    setText("");
    setAttachments([]);
  }

  function add(list: Iterable<File>): void {
    const wanted = [...list].filter((f) => accept.split(",").some((type) => type !== "" && f.type.startsWith(type.split("/", 1)[0] ?? "?")));
    Promise.all(wanted.map(readFile)).then(
      (read) => setAttachments((before) => [...before, ...read]),
      (e: unknown) => sayError("The file is not attached", e),
    );
  }

  function onKeyDown(e: KeyboardEvent): void {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      send();
    } else if (e.key === "Escape" && busy) stop();
  }

  return (
    <form
      class="composer"
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <AttachmentList attachments={attachments} onRemove={(at) => setAttachments(attachments.filter((_, i) => i !== at))} />
      <textarea
        class="textarea composer-text"
        aria-label="Message"
        placeholder={models.every((m) => m !== "") ? "Message (Enter sends, Shift+Enter begins a line)" : "Choose a model first"}
        rows={3}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={(e) => e.clipboardData && add(e.clipboardData.files)}
      />
      <div class="row">
        {accept && (
          <>
            <input
              ref={files}
              class="only-read"
              type="file"
              tabIndex={-1}
              aria-hidden="true"
              multiple
              accept={accept}
              onChange={(e) => {
                add(e.currentTarget.files ?? []);
                e.currentTarget.value = "";
              }}
            />
            <button type="button" class="button" onClick={() => files.current?.click()}>
              {accept.includes("audio") ? (accept.includes("image") ? "Attach a picture or sound" : "Attach sound") : "Attach a picture"}
            </button>
          </>
        )}
        <CurlButton
          of={() => {
            const c = conversation.peek();
            const turn = newTurn(text || "Hello", attachments, c.models.length);
            const next = { ...c, turns: [...c.turns, turn] };
            return c.models.map((_, lane) => ({ method: "POST", path: "v1/chat/completions", body: requestOf(next, turn, lane), stream: true }));
          }}
        />
        <span class="spring" />
        {!allowed && <span class="warn">This key may not use models.</span>}
        {busy ? (
          <button type="button" class="button button-danger" onClick={stop}>Stop</button>
        ) : (
          <button type="submit" class="button button-primary" disabled={!ready}>Send</button>
        )}
      </div>
    </form>
  );
}
