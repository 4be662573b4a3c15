// SPDX-License-Identifier: MIT
// The view Models: the memory, then all models, those in memory first.
import type { JSX } from "preact";
import { askUnloadAll } from "../../actions/unload_all";
import { CurlButton } from "../../parts/curl";
import { may } from "../../state/store";
import { listed, moveSelection, query, selected, totals } from "./choice";
import { Devices } from "./devices";
import { showKeys, useKeys } from "./keys";
import { focusRow, List, useScroll } from "./list";
import type { Filter } from "./order";

const FILTERS: [filter: Filter, label: string][] = [
  ["all", "All"],
  ["memory", "In memory"],
  ["failed", "Failed"],
  ["held", "Held or pinned"],
];

function Search(): JSX.Element {
  return (
    <input
      id="search"
      class="input search"
      type="search"
      placeholder="Search  /"
      aria-label="Search models"
      aria-keyshortcuts="/"
      value={query.value.text}
      onInput={(e) => {
        query.value = { ...query.peek(), text: e.currentTarget.value };
      }}
      onKeyDown={(e) => {
        if (e.key === "Escape" || e.key === "Enter" || e.key === "ArrowDown") {
          e.preventDefault();
          if (e.key === "Escape") query.value = { ...query.peek(), text: "" };
          if (!listed.peek().includes(selected.peek())) selected.value = "";
          focusRow(moveSelection(0));
        }
      }}
    />
  );
}

function Filters(): JSX.Element {
  const { counts, tags } = totals.value;
  return (
    <>
      <div class="segments" role="group" aria-label="Which models">
        {FILTERS.map(([filter, label]) => (
          <button
            key={filter}
            type="button"
            aria-pressed={query.value.filter === filter}
            onClick={() => {
              query.value = { ...query.peek(), filter };
            }}
          >
            {label} <span class="segment-count">{counts[filter]}</span>
          </button>
        ))}
      </div>
      {tags.length > 0 && (
        <select
          class="select"
          aria-label="Tag"
          value={query.value.tag}
          onChange={(e) => {
            query.value = { ...query.peek(), tag: e.currentTarget.value };
          }}
        >
          <option value="">All tags</option>
          {tags.map((t) => <option key={t} value={t}>{t}</option>)}
        </select>
      )}
    </>
  );
}

export function View(): JSX.Element {
  useKeys();
  useScroll();
  const inMemory = totals.value.counts.memory;
  return (
    <section class="view models" aria-labelledby="view-title">
      <h1 id="view-title" class="only-read">Models</h1>
      <Devices />
      <div class="view-head">
        <Search />
        <Filters />
        <div class="view-tools">
          <button type="button" class="button button-quiet wide-only" aria-keyshortcuts="?" onClick={showKeys}>Keys <kbd>?</kbd></button>
          <CurlButton of={() => ({ path: "models" })} />
          {may("unload") && (
            <button type="button" class="button" disabled={inMemory === 0} onClick={() => void askUnloadAll()}>Unload all…</button>
          )}
        </div>
      </div>
      <List />
    </section>
  );
}
