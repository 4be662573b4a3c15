// SPDX-License-Identifier: MIT
// The list of models: only the rows that can be seen are in the document, and the selected one, which has the
// focus. Ten thousand rows cost what forty do.
import { useSignal } from "@preact/signals";
import type { JSX, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { narrow } from "../../parts/media";
import { scrollToShow, windowOf } from "../../parts/window";
import { complete } from "../../state/store";
import { listed, query, selected } from "./choice";
import { EVERYTHING } from "./order";
import { Row } from "./row";

const HEIGHT = 46;
const NARROW_HEIGHT = 62;

export function rowHeight(): number {
  return narrow.value ? NARROW_HEIGHT : HEIGHT;
}

function Head(): JSX.Element {
  return (
    <div class="model-row model-head" role="row" aria-rowindex={1}>
      <div role="columnheader" class="cell-state">State</div>
      <div role="columnheader" class="cell-model">Model</div>
      <div role="columnheader" class="cell-requests number">Requests</div>
      <div role="columnheader" class="cell-rate number">Tokens/s</div>
      <div role="columnheader" class="cell-memory number">Memory</div>
      <div role="columnheader" class="cell-size number">File</div>
      <div role="columnheader" class="cell-context number">Context</div>
      <div role="columnheader" class="cell-buttons"><span class="only-read">Actions</span></div>
    </div>
  );
}

function Empty(): JSX.Element {
  if (!complete.value) return <div class="empty" aria-busy="true" />;
  const searched = query.value !== EVERYTHING;
  return (
    <div class="empty">
      <h2>{searched ? "No model matches" : "No models yet"}</h2>
      <p>
        {searched
          ? "Search looks at names, aliases, tags and states."
          : "Put GGUF files into the models folder, name some in the presets, or download one."}
      </p>
      {searched ? (
        <button type="button" class="button" onClick={() => { query.value = EVERYTHING; }}>Show all</button>
      ) : (
        <a class="button" href="#/downloads">Download a model</a>
      )}
    </div>
  );
}

/** The element's scroll position and height, as signals. */
function useScrollPosition(element: RefObject<HTMLDivElement | null>): { top: { value: number }; height: { value: number } } {
  const top = useSignal(0);
  const height = useSignal(600);
  useLayoutEffect(() => {
    const e = element.current;
    if (!e) return;
    const measure = (): void => {
      top.value = e.scrollTop;
      height.value = e.clientHeight;
    };
    const sizes = new ResizeObserver(measure);
    sizes.observe(e);
    e.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      sizes.disconnect();
      e.removeEventListener("scroll", measure);
    };
  }, [element, top, height]);
  return { top, height };
}

/** One function for all, so that rows whose members are the same are not drawn anew. */
function select(id: string): void {
  selected.value = id;
}

export function List(): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const { top, height } = useScrollPosition(element);
  const ids = listed.value;
  const each = rowHeight();
  const at = ids.indexOf(selected.value);
  const { first, end } = windowOf(top.value, height.value - each, each, ids.length);
  const drawn = ids.slice(first, end).map((id, i) => ({ id, index: first + i }));
  if (at >= 0 && (at < first || at >= end)) drawn.push({ id: selected.value, index: at });
  const grid = ids.length ? { role: "grid" as const, "aria-label": "Models", "aria-rowcount": ids.length + 1 } : {};
  return (
    <div class="model-list" ref={element} {...grid}>
      {ids.length ? <Head /> : <Empty />}
      <div class="model-rows" role={ids.length ? "rowgroup" : undefined} style={{ height: `${ids.length * each}px` }}>
        {drawn.map(({ id, index }) => (
          <Row
            key={id}
            id={id}
            index={index}
            top={index * each}
            selected={id === selected.value}
            focusable={at >= 0 ? index === at : index === 0}
            onSelect={select}
          />
        ))}
      </div>
    </div>
  );
}

/** Puts the focus on the selected row and shows it. */
export function focusRow(index: number): void {
  const list = document.querySelector<HTMLElement>(".model-list");
  if (!list) return;
  const each = rowHeight();
  const head = list.querySelector<HTMLElement>(".model-head")?.offsetHeight ?? 0;
  list.scrollTop = scrollToShow(index, list.scrollTop, list.clientHeight - head, each);
  requestAnimationFrame(() => {
    const row = list.querySelector<HTMLElement>(".model-row.selected");
    row?.focus({ preventScroll: true });
  });
}

/** The list shows its beginning when it is searched anew; who comes back to it, the selected row. */
export function useScroll(): void {
  const searched = query.value;
  const came = useRef(true);
  useEffect(() => {
    const list = document.querySelector(".model-list");
    if (list && !came.current) list.scrollTop = 0;
    else if (selected.peek()) focusRow(listed.peek().indexOf(selected.peek()));
    came.current = false;
  }, [searched]);
}
