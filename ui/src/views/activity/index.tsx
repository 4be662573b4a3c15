// SPDX-License-Identifier: MIT
// The view Activity: requests as they come, wait, run and end, and what happened to models.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Change } from "../../api/types";
import { ChangeList } from "../../parts/changes";
import { CurlButton } from "../../parts/curl";
import { rate } from "../../parts/format";
import { openRequest } from "../../requests/detail";
import { useEnded, passes, type RequestFilter } from "../../requests/list";
import { RequestTable } from "../../requests/table";
import { changes, models, queue, requests, requestsShape, type LiveRequest } from "../../state/store";
import { Capture } from "./capture";
import { callersOf, causeOf } from "./cause";
import { ExportButton } from "./export";

const FILTERS: [RequestFilter, string][] = [
  ["all", "All"],
  ["running", "Running"],
  ["waiting", "Waiting"],
  ["failed", "Failed"],
];

const filter = signal<RequestFilter>("all");
const text = signal("");

function wanted(r: LiveRequest): boolean {
  if (!passes(r, filter.value)) return false;
  const words = text.value.toLowerCase();
  return !words || `${r.model} ${r.client} ${r.key} ${r.request} ${r.error} ${r.user_agent}`.toLowerCase().includes(words);
}

function Figure({ name, value }: { name: string; value: string | number }): JSX.Element {
  return (
    <div class="big-figure">
      <span class="big-value">{value}</span>
      <span class="muted">{name}</span>
    </div>
  );
}

function Figures(): JSX.Element {
  const q = queue.value;
  const connections = typeof q.connections === "number" ? q.connections : (q.connections?.open ?? 0);
  let speed = 0;
  for (const row of models.values()) speed += row.value.tokens_per_second ?? 0;
  return (
    <div class="big-figures panel">
      <Figure name="running" value={q.running} />
      <Figure name="waiting" value={q.waiting} />
      <Figure name="tokens a second" value={rate(speed)} />
      <Figure name="connections" value={connections} />
    </div>
  );
}

function Happened(): JSX.Element {
  requestsShape.value;
  const callers = callersOf([...requests.values()].map((s) => s.peek()));
  const openCause = (c: Change): (() => void) | null => {
    const cause = causeOf(c, callers);
    return cause ? () => openRequest(cause.id) : null;
  };
  return (
    <section class="panel" aria-labelledby="happened">
      <h2 id="happened">What happened</h2>
      <div class="changes-scroll" tabIndex={0} role="group" aria-label="Changes">
        <ChangeList changes={changes.value.slice(0, 200)} causeOf={openCause} />
      </div>
    </section>
  );
}

function Tools(): JSX.Element {
  return (
    <div class="view-head">
      <h1 id="view-title">Activity</h1>
      <div class="segments" role="group" aria-label="Which requests">
        {FILTERS.map(([name, label]) => (
          <button key={name} type="button" aria-pressed={filter.value === name} onClick={() => { filter.value = name; }}>
            {label}
          </button>
        ))}
      </div>
      <input
        class="input search"
        type="search"
        placeholder="Search"
        aria-label="Search requests"
        value={text.value}
        onInput={(e) => { text.value = e.currentTarget.value; }}
      />
      <div class="view-tools">
        <CurlButton of={() => ({ path: "hostler/v1/requests" })} />
        <ExportButton />
      </div>
    </div>
  );
}

export function View(): JSX.Element {
  useEnded();
  filter.value;
  text.value;
  return (
    <section class="view activity" aria-labelledby="view-title">
      <Tools />
      <div class="activity-columns">
        <div class="activity-main">
          <Figures />
          <div class="panel panel-table">
            <RequestTable wanted={wanted} label="Requests" />
          </div>
        </div>
        <aside class="activity-side">
          <Capture />
          <Happened />
        </aside>
      </div>
    </section>
  );
}
