// SPDX-License-Identifier: MIT
// Choosing one of many models: a combobox as the ARIA authoring practices describe it. It lists MOST at a time.
import { useId, useMemo, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import type { Model } from "../../api/types";
import { models, shape } from "../../state/store";

const MOST = 50;

/** Those in service first, then by name. */
function rank(m: Model): number {
  return m.state === "loaded" || m.state === "sleeping" ? 0 : m.state === "loading" ? 1 : 2;
}

/** All words of `query` are in the name, an alias or a tag. */
export function search(all: Iterable<Model>, query: string): Model[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (m: Model): boolean => {
    const text = [m.id, ...(m.aliases ?? []), ...(m.tags ?? [])].join(" ").toLowerCase();
    return words.every((w) => text.includes(w));
  };
  return [...all]
    .filter((m) => m.state !== "downloading" && fits(m))
    .sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
}

interface ModelPickerProps {
  label: string;
  value: string;
  onPick: (id: string) => void;
}

export function ModelPicker({ label, value, onPick }: ModelPickerProps): JSX.Element {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<string | null>(null); // null: the list is closed
  const [active, setActive] = useState(0);
  const shapeNow = shape.value;
  const found = useMemo(
    () => (typed === null ? [] : search([...models.values()].map((m) => m.peek()), typed)),
    [typed, shapeNow],
  );
  const shown = found.slice(0, MOST);
  const at = Math.min(active, shown.length - 1);

  const close = (): void => setTyped(null);
  const pick = (m: Model | undefined): void => {
    if (m) onPick(m.id);
    close();
  };
  const openAll = (): void => {
    setTyped("");
    setActive(0);
  };
  const move = (to: number): void => {
    setActive(to);
    document.getElementById(`${id}-${to}`)?.scrollIntoView({ block: "nearest" });
  };

  function onKeyDown(e: KeyboardEvent): void {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      if (typed === null) openAll();
      else move(Math.max(0, Math.min(shown.length - 1, at + (e.key === "ArrowDown" ? 1 : -1))));
    } else if (e.key === "Enter" && typed !== null) {
      e.preventDefault();
      pick(shown[at]);
    } else if (e.key === "Escape" && typed !== null) {
      e.preventDefault();
      e.stopPropagation();
      close();
    }
  }

  return (
    <div class="picker">
      <label class="only-read" for={id}>{label}</label>
      <input
        id={id}
        ref={field}
        class="input picker-input"
        role="combobox"
        aria-expanded={typed !== null}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={typed !== null && shown.length > 0 ? `${id}-${at}` : undefined}
        placeholder={label}
        autocomplete="off"
        spellcheck={false}
        value={typed ?? value}
        onFocus={(e) => e.currentTarget.select()}
        onClick={() => typed === null && openAll()}
        onInput={(e) => {
          setTyped(e.currentTarget.value);
          setActive(0);
        }}
        onKeyDown={onKeyDown}
        onBlur={close}
      />
      <ul id={`${id}-list`} class="picker-list" role="listbox" aria-label={label} hidden={typed === null}>
        {shown.map((m, i) => (
          <li
            key={m.id}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === at}
            onPointerDown={(e) => {
              e.preventDefault(); /* the field keeps the focus */
              pick(m);
            }}
          >
            <span class={`dot dot-${rank(m) === 0 ? "good" : rank(m) === 1 ? "warn" : "idle"}`} aria-hidden="true" />
            <span class="picker-name">{m.id}</span>
            <span class="muted">{m.state}</span>
          </li>
        ))}
        {typed !== null && shown.length === 0 && (
          <li class="muted" role="option" aria-disabled="true" aria-selected="false">No model has that name</li>
        )}
        {found.length > MOST && (
          <li class="muted" role="option" aria-disabled="true" aria-selected="false">
            {found.length - MOST} more: type a part of the name
          </li>
        )}
      </ul>
    </div>
  );
}
