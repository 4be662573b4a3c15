// SPDX-License-Identifier: MIT
// One request, opened: sizes, timings, header fields without secrets, and bodies where they were captured.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getJson, messageOf, RequestError } from "../api/client";
import type { RequestRecord } from "../api/types";
import { CurlButton } from "../parts/curl";
import { closeDialog, Dialog, openDialog } from "../parts/dialog";
import { bytes, count, duration, rate, timeOfDay } from "../parts/format";
import { requests } from "../state/store";

type Headers = Record<string, string | null> | [string, string | null][];

interface Detail extends RequestRecord {
  timings?: Record<string, number | null>;
  headers?: { request?: Headers; response?: Headers; answer?: Headers };
  request_body?: string | null;
  response_body?: string | null;
  request_bytes?: number;
  response_bytes?: number;
}

function Facts({ of }: { of: [name: string, value: string | null | undefined][] }): JSX.Element {
  return (
    <dl class="facts">
      {of.filter(([, value]) => value).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function factsOf(r: Detail): [string, string | null][] {
  return [
    ["Model", r.model],
    ["State", `${r.state}${r.status ? `, ${r.status}` : ""}${r.error ? `, ${r.error}` : ""}`],
    ["Client", `${r.client}${r.key ? `, key ${r.key}` : ""}`],
    ["Program", r.user_agent],
    ["Arrived", timeOfDay(r.at)],
    ["Waited", duration(r.waited_ms)],
    ["Took", duration(r.elapsed_ms)],
    ["Prompt tokens", r.prompt_tokens === null ? null : count(r.prompt_tokens)],
    ["Of these restored", r.restored_tokens ? `${count(r.restored_tokens)}, which saved ${duration(r.saved_ms)}` : null],
    ["Tokens", r.tokens === null ? null : count(r.tokens)],
    ["Tokens a second", r.tokens_per_second ? rate(r.tokens_per_second) : null],
    ["Caused a load", r.loaded ? "yes" : null],
    ["Sent", r.request_bytes ? bytes(r.request_bytes) : null],
    ["Received", r.response_bytes ? bytes(r.response_bytes) : null],
  ];
}

const TIMINGS: Record<string, string> = {
  queued: "Queued", load: "Load", restore: "Restored", first_token: "First token", last: "Last byte",
};

function timingsOf(r: Detail): [string, string | null][] {
  return Object.entries(r.timings ?? {}).map(([name, ms]) => {
    const plain = name.replace(/_ms$/, "");
    return [TIMINGS[plain] ?? plain.replaceAll("_", " "), ms === null ? null : duration(ms)];
  });
}

function HeaderList({ title, of }: { title: string; of: Headers | undefined }): JSX.Element | null {
  const fields = Array.isArray(of) ? of : Object.entries(of ?? {});
  if (!fields.length) return null;
  return (
    <details>
      <summary>{title}</summary>
      <dl class="facts mono">
        {fields.map(([name, value], i) => (
          <div key={i}>
            <dt>{name}</dt>
            <dd>{value ?? <span class="muted">left out</span>}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; /* a stream, or cut */
  }
}

function Body({ title, text }: { title: string; text: string | null | undefined }): JSX.Element | null {
  if (!text) return null;
  return (
    <details open>
      <summary>{title}</summary>
      <pre class="code-block body-block" tabIndex={0}>{pretty(text)}</pre>
    </details>
  );
}

function RequestDialog({ id }: { id: number }): JSX.Element {
  const [detail, setDetail] = useState<Detail | null>(requests.get(id)?.peek() ?? null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    getJson<Detail>(`hostler/v1/requests/${id}`, stop.signal).then(setDetail, (e: unknown) => {
      const unknown = e instanceof RequestError && e.status === 404; /* too long ago: what the page knows is shown */
      if (!stop.signal.aborted && !unknown) setProblem(messageOf(e));
    });
    return () => stop.abort();
  }, [id]);
  const timings = detail ? timingsOf(detail) : [];
  return (
    <Dialog title={detail?.request ?? `Request ${id}`} wide onSubmit={closeDialog}>
      {problem && <p class="error-note" role="alert">{problem}</p>}
      {detail && <Facts of={factsOf(detail)} />}
      {timings.length > 0 && <><h3>Timings</h3><Facts of={timings} /></>}
      <HeaderList title="Header fields of the request" of={detail?.headers?.request} />
      <HeaderList title="Header fields of the answer" of={detail?.headers?.response ?? detail?.headers?.answer} />
      <Body title="Body of the request" text={detail?.request_body} />
      <Body title="Body of the answer" text={detail?.response_body} />
      {detail?.timings && !detail.request_body && !detail.response_body && (
        <p class="muted">Its bodies were not captured.</p>
      )}
      <footer class="dialog-foot">
        <CurlButton of={() => ({ path: detail?.timings ? `hostler/v1/requests/${id}` : "hostler/v1/requests" })} />
        <button type="submit" class="button" data-first>Close</button>
      </footer>
    </Dialog>
  );
}

export function openRequest(id: number): void {
  openDialog(() => <RequestDialog id={id} />);
}
