// SPDX-License-Identifier: MIT
// A table of requests. A row is drawn anew only when its request changes; one that goes on, each second. A request
// that ends moves all rows below it, and painting takes most of the browser's time on a busy server: rows are put into
// order each other second, and the table has only as many as can be seen, and gets more as its end comes into view.
import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { duration, longDuration, rate, short, timeOfDay } from "../parts/format";
import { everySecond } from "../state/clock";
import { hrefOf } from "../state/route";
import { requests, requestsShape, type LiveRequest } from "../state/store";
import { openRequest } from "./detail";
import { clientOf, elapsed, hasFailed, listOf, pathOf } from "./list";

const SHOWN = 16;
const MORE = 8; /* at a time, until they fill the window */
const SCROLLED = 50; /* when there are so many, who looks scrolls: larger steps */

function Eta({ r }: { r: LiveRequest }): JSX.Element | null {
  everySecond.value;
  const left = (r.eta_ms ?? 0) - (performance.now() - r.etaSeen);
  return left > 500 ? <span class="muted"> ≈ {longDuration(Math.round(left / 1000))}</span> : null;
}

function State({ r }: { r: LiveRequest }): JSX.Element {
  if (r.state === "running") {
    return <span><span class="dot dot-good" aria-hidden="true" /> {r.unread ? "runs unread" : "running"}</span>;
  }
  if (r.state === "waiting") {
    const turn = r.position ? `, ${r.position} ahead` : ", next";
    return (
      <span>
        <span class="dot dot-warn" aria-hidden="true" /> waiting{turn}
        <Eta r={r} />
      </span>
    );
  }
  return (
    <span class={hasFailed(r) ? "bad" : ""}>
      <span class={`dot dot-${hasFailed(r) ? "bad" : "idle"}`} aria-hidden="true" /> {r.status ?? ""} {r.error ?? ""}
    </span>
  );
}

function Elapsed({ r }: { r: LiveRequest }): JSX.Element {
  if (r.state !== "done") everySecond.value;
  return <>{duration(r.state === "done" ? r.elapsed_ms : Math.round(elapsed(r, performance.now()) / 1000) * 1000)}</>;
}

function Row({ id, withModel }: { id: number; withModel: boolean }): JSX.Element | null {
  const r = requests.get(id)?.value;
  if (!r) return null;
  return (
    <tr class={r.state === "done" ? "" : "goes-on"}>
      <td class="number muted">{timeOfDay(r.at)}</td>
      <td class="request-state">
        <State r={r} />
        {r.loaded && <span class="tag" title="This request caused the load of its model">load</span>}
      </td>
      {withModel && (
        <td>{r.model ? <a href={hrefOf("models", r.model)}>{r.model}</a> : <span class="muted">–</span>}</td>
      )}
      <td>
        <button type="button" class="link mono" title={r.request} onClick={() => openRequest(id)}>
          {pathOf(r.request) || "–"}
        </button>
      </td>
      <td class="wide-column" title={`${r.client}, ${r.user_agent ?? ""}`}>{clientOf(r)}</td>
      <td class="number wait-column">{r.waited_ms >= 10 ? duration(r.waited_ms) : ""}</td>
      <td class="number wide-column" title={r.restored_tokens ? `${r.restored_tokens} restored from a saved prompt` : undefined}>{short(r.prompt_tokens)}</td>
      <td class="number">{short(r.tokens)}</td>
      <td class="number wide-column">{r.tokens_per_second ? rate(r.tokens_per_second) : ""}</td>
      <td class="number"><Elapsed r={r} /></td>
    </tr>
  );
}

interface TableProps {
  wanted: (r: LiveRequest) => boolean;
  /** The column with the model's name is left out where all are of one. */
  withModel?: boolean;
  label: string;
}

/* What comes each second finds the order a second old, then two: it is drawn anew with that, in every second frame. */
const CALM_MS = 1500;
const LATEST_MS = 2500; /* where nothing comes any more */

/** Draws the table anew when requests come, or go to another place: a long one not each second. A row that changes in its
 * place is drawn at once. */
function useCalmOrder(): { isLong: boolean } {
  const [, draw] = useState(0);
  const table = useRef({ isLong: false }).current;
  useEffect(() => {
    let timer = 0;
    let drawn = 0;
    const drawNow = (): void => {
      clearTimeout(timer);
      timer = 0;
      drawn = performance.now();
      draw((n) => n + 1);
    };
    const stop = effect(() => {
      requestsShape.value;
      const age = performance.now() - drawn;
      if (!table.isLong || age >= CALM_MS) drawNow();
      else if (!timer) timer = window.setTimeout(drawNow, LATEST_MS - age);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [table]);
  return table;
}

/** Calls `onSeen` when its button comes into view, and when it is pressed. */
function More({ left, drawn, onSeen }: { left: number; drawn: number; onSeen: () => void }): JSX.Element {
  const button = useRef<HTMLButtonElement>(null);
  /* `drawn`: observed anew after each step, which tells at once whether it is still in view. */
  useEffect(() => {
    if (!button.current) return;
    const watch = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && onSeen());
    watch.observe(button.current);
    return () => watch.disconnect();
  }, [drawn]);
  return <button ref={button} type="button" class="button button-quiet" onClick={onSeen}>Show more ({left})</button>;
}

export function RequestTable({ wanted, withModel = true, label }: TableProps): JSX.Element {
  const [most, setMost] = useState(SHOWN);
  const table = useCalmOrder();
  const all = listOf(requests.values(), wanted);
  table.isLong = all.length > SHOWN;
  if (!all.length) return <p class="empty">No requests. They appear here as they come.</p>;
  return (
    <div class="table-scroll requests-scroll" tabIndex={0} role="group" aria-label={label}>
      <table class="table requests">
        <thead>
          <tr>
            <th scope="col" class="column-time number">Time</th>
            <th scope="col" class="column-state">State</th>
            {withModel && <th scope="col">Model</th>}
            <th scope="col">Request</th>
            <th scope="col" class="column-client wide-column">Client</th>
            <th scope="col" class="column-took number wait-column">Waited</th>
            <th scope="col" class="column-count number wide-column">Prompt</th>
            <th scope="col" class="column-count number">Tokens</th>
            <th scope="col" class="column-count number wide-column">Tokens/s</th>
            <th scope="col" class="column-took number">Took</th>
          </tr>
        </thead>
        <tbody>
          {all.slice(0, most).map((r) => <Row key={r.id} id={r.id} withModel={withModel} />)}
        </tbody>
      </table>
      {all.length > most && (
        <More left={all.length - most} drawn={most} onSeen={() => setMost(most + (most < SCROLLED ? MORE : SCROLLED))} />
      )}
    </div>
  );
}
