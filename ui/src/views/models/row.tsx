// SPDX-License-Identifier: MIT
// A model in the list: drawn anew only when that model changes.
import type { JSX } from "preact";
import type { Model } from "../../api/types";
import { byDevice } from "../../actions/estimate";
import { loadedWith } from "../../actions/load_options";
import { openMenu, start } from "../../actions/menu";
import { isOffered } from "../../actions/model";
import { Progress } from "../../parts/bar";
import { bytes, percent, rate, short, sum } from "../../parts/format";
import { every10Seconds } from "../../state/clock";
import { hrefOf } from "../../state/route";
import { models, queue } from "../../state/store";
import { isGoing, isInMemory, stateTone, stateWord, story } from "../../state/words";

function State({ m }: { m: Model }): JSX.Element {
  const next = m.state === "unloaded" && queue.value.models_next.includes(m.id);
  const known = m.progress !== undefined;
  const share = m.download && m.download.total > 0 ? m.download.done / m.download.total : m.progress;
  const busy = m.state === "loading" || m.state === "downloading";
  return (
    <div class="cell-state" role="gridcell">
      <span class="state-line">
        <span class={`dot dot-${next ? "warn" : stateTone(m)}`} aria-hidden="true" />
        {next ? "waits to load" : stateWord(m)}
        {busy && share !== undefined && <span class="muted">{percent(share)}</span>}
      </span>
      {busy && <Progress value={known || share !== undefined ? (share ?? null) : null} label={`${m.id} is ${m.state}`} />}
    </div>
  );
}

function Marks({ m }: { m: Model }): JSX.Element {
  const own = loadedWith(m.this_load);
  return (
    <>
      {m.pinned && <span class="mark" title="It is never evicted">pinned</span>}
      {m.held && m.state !== "unloaded" && <span class="mark mark-warn">held</span>}
      {own && <span class="mark own-load" title={`This load is ${own}`}>{own}</span>}
      {m.tags?.map((t) => <span key={t} class="tag">{t}</span>)}
    </>
  );
}

function Story({ m }: { m: Model }): JSX.Element {
  const now = m.held || isInMemory(m) ? every10Seconds.value : 0;
  const text = story(m, now);
  const bad = m.failed || m.reason === "no_room";
  return (
    <span class={`story one-line ${bad ? "bad" : "muted"}`} title={m.loaded_by ?? m.message ?? text}>
      {text || `${m.source}${m.aliases?.length ? `, also ${m.aliases.join(", ")}` : ""}`}
    </span>
  );
}

function Memory({ m }: { m: Model }): JSX.Element {
  const exact = m.memory_source === "measured" && isInMemory(m);
  return (
    <div class="cell-memory number" role="gridcell" title={m.memory ? `${byDevice(m.memory)} (${m.memory_source ?? ""})` : undefined}>
      <span class={exact ? "" : "muted"}>{m.memory ? `${exact ? "" : "≈ "}${bytes(sum(m.memory))}` : "–"}</span>
    </div>
  );
}

function Requests({ m }: { m: Model }): JSX.Element {
  const running = m.requests ?? 0;
  const waiting = m.waiting ?? 0;
  return (
    <div class="cell-requests number" role="gridcell">
      {running || waiting ? running : <span class="muted">{m.state === "loaded" && !isGoing(m) ? "idle" : ""}</span>}
      {waiting > 0 && <span class="warn"> +{waiting} wait</span>}
    </div>
  );
}

function Buttons({ m, tabIndex }: { m: Model; tabIndex: number }): JSX.Element {
  const name = isOffered("load", m) && !isGoing(m) ? "load" : isOffered("unload", m) ? "unload" : null;
  return (
    <div class="cell-buttons" role="gridcell">
      {name && (
        <button type="button" class="button" tabIndex={tabIndex} aria-label={`${name === "load" ? "Load" : "Unload"} ${m.id}`} onClick={() => start(name, m)}>
          {name === "load" ? "Load" : "Unload"}
        </button>
      )}
      <button type="button" class="icon-button" tabIndex={tabIndex} aria-label={`More for ${m.id}`} onClick={() => openMenu(m.id)}>
        ⋯
      </button>
    </div>
  );
}

interface RowProps {
  id: string;
  index: number;
  top: number;
  selected: boolean;
  /** The selected row, or the first when none is selected, takes the focus of the list. */
  focusable: boolean;
  onSelect: (id: string) => void;
}

export function Row({ id, index, top, selected, focusable, onSelect }: RowProps): JSX.Element | null {
  const m = models.get(id)?.value;
  if (!m) return null;
  const tabIndex = selected ? 0 : -1;
  return (
    <div
      class={`model-row${selected ? " selected" : ""}${isInMemory(m) ? " in-memory" : ""}`}
      role="row"
      data-id={id}
      aria-rowindex={index + 2}
      aria-selected={selected}
      tabIndex={focusable ? 0 : -1}
      style={{ transform: `translateY(${top}px)` }}
      onFocus={() => onSelect(id)}
      onClick={() => onSelect(id)}
    >
      <State m={m} />
      <div class="cell-model" role="gridcell">
        <span class="name-line">
          <a class="name one-line" href={hrefOf("models", id)} tabIndex={tabIndex}>{id}</a>
          <Marks m={m} />
        </span>
        <Story m={m} />
      </div>
      <Requests m={m} />
      <div class="cell-rate number" role="gridcell">{m.tokens_per_second ? rate(m.tokens_per_second) : ""}</div>
      <Memory m={m} />
      <div class="cell-size number" role="gridcell">{bytes(m.size)}</div>
      <div class="cell-context number" role="gridcell">{short(m.context)}</div>
      <Buttons m={m} tabIndex={tabIndex} />
    </div>
  );
}
