// SPDX-License-Identifier: MIT
// The view Downloads: models fetched into the cache, and deleted from it.
import { useSignal, type Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { messageOf, sendJson } from "../../api/client";
import type { Model } from "../../api/types";
import { Progress } from "../../parts/bar";
import { CurlButton } from "../../parts/curl";
import { ask } from "../../parts/dialog";
import { ago, bytes, longDuration, percent } from "../../parts/format";
import { say, sayError } from "../../parts/toast";
import { every10Seconds } from "../../state/clock";
import { hrefOf } from "../../state/route";
import { complete, may, models, shape } from "../../state/store";
import { forget, listen, outcomes } from "./events";
import { createSpeed } from "./speed";

const MOST_ROWS = 200;

const deletePath = (id: string): string => `models?model=${encodeURIComponent(id)}`;

function rows(wanted: (m: Model) => boolean): Signal<Model>[] {
  shape.value;
  return [...models.values()].filter((m) => wanted(m.peek())).sort((a, b) => a.peek().id.localeCompare(b.peek().id));
}

/* --- a new one ------------------------------------------------------------------------------------- */

function begin(model: string): Promise<unknown> {
  forget(model);
  return sendJson("POST", "models", { model });
}

function NewDownload(): JSX.Element {
  const name = useSignal("");
  const problem = useSignal("");
  const busy = useSignal(false);
  const model = name.value.trim();

  async function submit(): Promise<void> {
    busy.value = true;
    problem.value = "";
    try {
      await begin(model);
      name.value = "";
    } catch (e) {
      problem.value = messageOf(e);
    } finally {
      busy.value = false;
    }
  }

  return (
    <form
      class="panel download-form"
      onSubmit={(e) => {
        e.preventDefault();
        if (model) void submit();
      }}
    >
      <label class="field">
        <span>Model on Hugging Face</span>
        <input
          class="input"
          placeholder="USER/REPO or USER/REPO:QUANTIZATION"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-describedby={problem.value ? "download-problem" : undefined}
          value={name.value}
          onInput={(e) => (name.value = e.currentTarget.value)}
        />
      </label>
      <div class="row">
        <button type="submit" class="button button-primary" disabled={busy.value || !model}>Download</button>
        <CurlButton of={() => ({ method: "POST", path: "models", body: { model: model || "USER/REPO:QUANTIZATION" } })} />
      </div>
      {problem.value && <p id="download-problem" class="bad download-problem" role="alert">{problem.value}</p>}
    </form>
  );
}

/* --- those under way ------------------------------------------------------------------------------- */

function cancel(m: Model): void {
  ask({
    title: `Cancel the download of ${m.id}?`,
    yes: "Cancel the download",
    danger: true,
    children: <p>What has come stays in the cache, and a later download goes on from there.</p>,
    act: () => sendJson("DELETE", deletePath(m.id)).catch((e: unknown) => sayError(`${m.id} is not cancelled`, e)),
  });
}

function Running({ row }: { row: Signal<Model> }): JSX.Element {
  const m = row.value;
  const speed = useRef(createSpeed());
  const { done, total } = m.download ?? { done: 0, total: 0 };
  const perSecond = useRef<number | null>(null);
  const seen = useRef(-1);
  if (seen.current !== done) {
    seen.current = done;
    perSecond.current = speed.current.add(performance.now(), done);
  }
  const rest = perSecond.current && total > done ? (total - done) / perSecond.current : null;
  return (
    <li class="panel download">
      <strong class="download-name">{m.id}</strong>
      <Progress value={total > 0 ? done / total : null} label={`Download of ${m.id}`} />
      <span class="muted">
        {total > 0 ? `${percent(done / total)} · ${bytes(done)} of ${bytes(total)}` : "begins"}
        {perSecond.current ? ` · ${bytes(perSecond.current)}/s` : ""}
        {rest !== null ? ` · ${longDuration(rest)} left` : ""}
      </span>
      <span class="row download-actions">
        <CurlButton of={() => ({ method: "DELETE", path: deletePath(m.id) })} />
        {may("download") && <button type="button" class="button" aria-label={`Cancel ${m.id}`} onClick={() => cancel(m)}>Cancel</button>}
      </span>
    </li>
  );
}

/* --- those that ended ------------------------------------------------------------------------------ */

function Outcomes(): JSX.Element | null {
  if (outcomes.value.length === 0) return null;
  return (
    <section aria-labelledby="outcomes-title" class="downloads-part">
      <h2 id="outcomes-title">Ended</h2>
      <ul class="downloads">
        {outcomes.value.map((o) => (
          <li key={o.model} class="panel download">
            <strong class="download-name">{o.model}</strong>
            <span class={o.problem === null ? "good" : "bad"}>{o.problem === null ? "complete" : o.problem}</span>
            <span class="muted">{ago(o.at, every10Seconds.value)}</span>
            <span class="row download-actions">
              {o.problem !== null && may("download") && (
                <button type="button" class="button" onClick={() => void begin(o.model).catch((e: unknown) => sayError(`${o.model} is not downloaded`, e))}>
                  Try again
                </button>
              )}
              <button type="button" class="icon-button" aria-label={`Dismiss ${o.model}`} onClick={() => forget(o.model)}>×</button>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/* --- the cache ------------------------------------------------------------------------------------- */

function remove(m: Model): void {
  const served = m.state === "loaded" || m.state === "sleeping";
  ask({
    title: `Delete ${m.id}?`,
    yes: "Delete",
    danger: true,
    children: (
      <>
        <p>Its files ({bytes(m.size)}) are removed from the disk. To use it again, it must be downloaded again.</p>
        {served && <p>It is loaded now, and is unloaded first when no request uses it.</p>}
      </>
    ),
    act: () => sendJson("DELETE", deletePath(m.id)).then(
      () => say(`${m.id} is deleted`),
      (e: unknown) => sayError(`${m.id} is not deleted`, e),
    ),
  });
}

function Cached({ row }: { row: Signal<Model> }): JSX.Element {
  const m = row.value;
  return (
    <tr>
      <th scope="row"><a href={hrefOf("models", m.id)}>{m.id}</a></th>
      <td class="number">{bytes(m.size)}</td>
      <td>{m.state}</td>
      <td class="row download-actions">
        <CurlButton of={() => ({ method: "DELETE", path: deletePath(m.id) })} />
        {may("delete") && <button type="button" class="button" aria-label={`Delete ${m.id}`} onClick={() => remove(m)}>Delete</button>}
      </td>
    </tr>
  );
}

function Cache(): JSX.Element {
  const wanted = useSignal("");
  const cached = rows((m) => m.can_remove === true && m.state !== "downloading");
  const found = cached.filter((m) => m.peek().id.toLowerCase().includes(wanted.value.toLowerCase()));
  return (
    <section aria-labelledby="cache-title" class="downloads-part">
      <div class="row">
        <h2 id="cache-title">In the cache</h2>
        {cached.length > 10 && (
          <input class="input" type="search" aria-label="Search the cache" placeholder="Search" onInput={(e) => (wanted.value = e.currentTarget.value)} />
        )}
      </div>
      {cached.length === 0 ? (
        <p class="muted">{complete.value ? "No model is in the cache." : "…"}</p>
      ) : (
        <div class="panel table-scroll" tabIndex={0} role="region" aria-labelledby="cache-title">
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col" class="number">Size</th>
                <th scope="col">State</th>
                <th scope="col"><span class="only-read">Actions</span></th>
              </tr>
            </thead>
            <tbody>{found.slice(0, MOST_ROWS).map((m) => <Cached key={m.peek().id} row={m} />)}</tbody>
          </table>
          {found.length > MOST_ROWS && <p class="muted">{found.length - MOST_ROWS} more: search for them</p>}
        </div>
      )}
    </section>
  );
}

export function View(): JSX.Element {
  useEffect(listen, []);
  const running = rows((m) => m.state === "downloading");
  return (
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title">Downloads</h1>
      {may("download") && <NewDownload />}
      {running.length > 0 && (
        <section aria-labelledby="running-title" class="downloads-part">
          <h2 id="running-title">Under way</h2>
          <ul class="downloads">{running.map((m) => <Running key={m.peek().id} row={m} />)}</ul>
        </section>
      )}
      <Outcomes />
      <Cache />
    </section>
  );
}
