// SPDX-License-Identifier: MIT
// The log of one model as it is written, with search. At most KEPT lines are kept; the stream is closed while
// the page is hidden.
import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { connection } from "../../api/live";
import { messageOf, send } from "../../api/client";
import { CurlButton } from "../../parts/curl";
import { may } from "../../state/store";

const KEPT = 2000;
const AT_START = 400;

const lines = signal<string[]>([]);
const search = signal("");
const problem = signal("");

const found = computed(() => {
  const words = search.value.toLowerCase();
  return words ? lines.value.filter((l) => l.toLowerCase().includes(words)) : lines.value;
});

function logPath(id: string): string {
  return `hostler/v1/logs?${new URLSearchParams({ model: id, lines: String(AT_START), follow: "1" })}`;
}

async function follow(id: string, stop: AbortSignal): Promise<void> {
  const answer = await send(logPath(id), { signal: stop });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let fresh: string[] = [];
  let rest = "";
  let due = false;
  const show = (): void => {
    due = false;
    if (stop.aborted) return;
    lines.value = [...lines.peek(), ...fresh].slice(-KEPT);
    fresh = [];
  };
  for (;;) {
    const piece = await reader?.read();
    if (!piece || piece.done) return;
    const split = (rest + piece.value).split("\n");
    rest = split.pop() ?? "";
    fresh.push(...split);
    if (!due) {
      due = true;
      requestAnimationFrame(show);
    }
  }
}

/** While the page is live, which is to say: seen, and the server is there. */
function useLog(id: string): void {
  const open = connection.value === "open";
  const allowed = may("logs");
  useEffect(() => {
    if (!open || !allowed) return;
    const stop = new AbortController();
    lines.value = [];
    problem.value = "";
    follow(id, stop.signal).catch((e: unknown) => {
      if (!stop.signal.aborted) problem.value = messageOf(e);
    });
    return () => stop.abort();
  }, [id, open, allowed]);
}

/** Stays at its end, unless the user has scrolled up. */
function Lines(): JSX.Element {
  const element = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  const text = found.value.join("\n");
  useLayoutEffect(() => {
    const e = element.current;
    if (e && atEnd.current) e.scrollTop = e.scrollHeight;
  }, [text]);
  return (
    <pre
      ref={element}
      class="log-lines"
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label="Log"
      onScroll={(e) => {
        const box = e.currentTarget;
        atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
      }}
    >
      {text || (search.value ? "No line has that." : "No lines yet.")}
    </pre>
  );
}

export function Log({ id }: { id: string }): JSX.Element | null {
  useLog(id);
  if (!may("logs")) return null;
  return (
    <section class="panel log" aria-labelledby="log">
      <div class="view-head">
        <h2 id="log">Log</h2>
        <input
          class="input search"
          type="search"
          placeholder="Search"
          aria-label="Search the log"
          value={search.value}
          onInput={(e) => { search.value = e.currentTarget.value; }}
        />
        <span class="muted">{search.value ? `${found.value.length} of ${lines.value.length} lines` : ""}</span>
        <div class="view-tools"><CurlButton of={() => ({ path: logPath(id), stream: true })} /></div>
      </div>
      {problem.value && <p class="error-note" role="alert">{problem.value}</p>}
      <Lines />
    </section>
  );
}
