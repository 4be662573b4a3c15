// SPDX-License-Identifier: MIT
// The view of one model: what it does, what it takes, its requests, log, arguments and history.
import type { JSX } from "preact";
import { askHold } from "../../actions/hold";
import { loadedWith } from "../../actions/load_options";
import { askLoadWith, mayLoadWith } from "../../actions/load_with";
import { openMenu, start } from "../../actions/menu";
import { ACTIONS, isOffered, type ActionName } from "../../actions/model";
import type { Model } from "../../api/types";
import { Progress } from "../../parts/bar";
import { ChangeList } from "../../parts/changes";
import { CurlButton } from "../../parts/curl";
import { percent, rate } from "../../parts/format";
import { useEnded } from "../../requests/list";
import { RequestTable } from "../../requests/table";
import { every10Seconds } from "../../state/clock";
import { hrefOf, route } from "../../state/route";
import { complete, may, models, shape } from "../../state/store";
import { isInMemory, stateTone, stateWord, story } from "../../state/words";
import { Arguments, Header, LastExit, Settings } from "./facts";
import { Log } from "./log";
import { MemoryPanel } from "./memory";
import { problem, shown, showPath, useShow } from "./show";

const BUTTONS: ActionName[] = ["load", "unload", "release", "pin", "unpin"];

function Buttons({ m }: { m: Model }): JSX.Element {
  return (
    <div class="view-tools">
      <CurlButton of={() => ({ path: showPath(m.id) })} />
      {BUTTONS.filter((name) => isOffered(name, m)).map((name) => (
        <button key={name} type="button" class={name === "load" ? "button button-primary" : "button"} onClick={() => start(name, m)}>
          {ACTIONS[name].verb}
        </button>
      ))}
      {mayLoadWith(m) && <button type="button" class="button" onClick={() => askLoadWith(m.id)}>Load with…</button>}
      {may("hold") && !m.held && (
        <button type="button" class="button" onClick={() => askHold(m.id, isInMemory(m))}>Hold…</button>
      )}
      <button type="button" class="icon-button" aria-label="More" onClick={() => openMenu(m.id)}>⋯</button>
    </div>
  );
}

function State({ m }: { m: Model }): JSX.Element {
  const busy = m.state === "loading" || m.state === "downloading";
  const figures = [
    m.requests ? `${m.requests} running` : "",
    m.waiting ? `${m.waiting} waiting` : "",
    m.tokens_per_second ? `${rate(m.tokens_per_second)} tokens/s` : "",
  ].filter(Boolean).join(", ");
  return (
    <div class="panel model-state">
      <p>
        <span class={`dot dot-${stateTone(m)}`} aria-hidden="true" /> <strong>{stateWord(m)}</strong>
        {m.progress !== undefined && ` ${percent(m.progress)}${m.stage ? `, ${m.stage.replaceAll("_", " ")}` : ""}`}
        {figures && <span>, {figures}</span>}
        {m.pinned && <span class="mark">pinned</span>}
        {m.this_load && <span class="mark">{loadedWith(m.this_load)}</span>}
        {m.tags?.map((t) => <span key={t} class="tag">{t}</span>)}
      </p>
      {busy && <Progress value={m.progress ?? null} label={`${m.id} is ${m.state}`} />}
      <p class={m.failed || m.reason === "no_room" ? "bad" : "muted"} title={m.loaded_by ?? undefined}>{story(m, every10Seconds.value)}</p>
      {isInMemory(m) && m.loaded_by && <p class="muted">{m.loaded_by}</p>}
      <Settings />
    </div>
  );
}

function Missing({ id }: { id: string }): JSX.Element {
  if (!complete.value) return <section class="view" aria-busy="true" />;
  return (
    <section class="view">
      <div class="empty">
        <h1>No model {id}</h1>
        <p>There is none of that name, or it is gone from its source.</p>
        <a class="button" href={hrefOf("models")}>All models</a>
      </div>
    </section>
  );
}

export function View(): JSX.Element {
  const id = route.value.rest;
  shape.value; /* it may come later, or go */
  const m = models.get(id)?.value;
  useShow(id);
  useEnded();
  if (!m) return <Missing id={id} />;
  const s = shown.value;
  return (
    <section class="view" aria-labelledby="view-title">
      <div class="view-head">
        <h1 id="view-title"><a class="back" href={hrefOf("models")}>Models</a> / {id}</h1>
        <Buttons m={m} />
      </div>
      {problem.value && <p class="error-note" role="alert">{problem.value}</p>}
      <div class="model-columns">
        <div class="stack">
          <State m={m} />
          <MemoryPanel id={id} />
          <section class="panel stack" aria-labelledby="requests">
            <h2 id="requests">Requests</h2>
            <RequestTable wanted={(r) => r.model === id} withModel={false} label={`Requests of ${id}`} />
          </section>
          <Log id={id} />
        </div>
        <div class="stack">
          {s && <LastExit of={s} />}
          <Header />
          <Arguments />
          <section class="panel stack" aria-labelledby="history">
            <h2 id="history">History</h2>
            <ChangeList changes={s?.recent ?? []} withModel={false} />
          </section>
        </div>
      </div>
    </section>
  );
}
