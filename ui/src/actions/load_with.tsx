// SPDX-License-Identifier: MIT
// "Load with…": one load with options of the engine and a ttl of its own. What the server refuses is told in the
// dialog, so that nothing of what was typed is lost.
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { getJson, messageOf, RequestError, send } from "../api/client";
import type { Argument, Model } from "../api/types";
import { CurlDetails } from "../parts/curl";
import { closeDialog, Dialog, openDialog } from "../parts/dialog";
import { say } from "../parts/toast";
import { may, models } from "../state/store";
import { isGoing, isInMemory } from "../state/words";
import { byDevice, getEstimate, verdict, type Estimate, type Option } from "./estimate";
import { followLoad } from "./follow";
import {
  argsOf, changeOf, formOf, loadRequest, newRow, optionName, optionNames, ttlAsTyped,
  type LoadChange, type LoadForm, type OptionRow,
} from "./load_options";
import { ACTIONS } from "./model";
import { useEstimate } from "./use_estimate";

const TTLS = ["10m", "1h", "8h", "0"];

/** Its engine runs and stays, so that a load with other arguments replaces it. */
function runs(m: Model): boolean {
  return isInMemory(m) && !isGoing(m);
}

export function mayLoadWith(m: Model): boolean {
  return may("load") && (runs(m) || ACTIONS.load.applies(m));
}

/* --- what it would take --- */

interface Outlook extends Estimate {
  /** Of the arguments that it has without these, since some of these are none that the estimate knows. */
  usual?: boolean;
}

async function estimateWith(id: string, options: Option[], signal: AbortSignal): Promise<Outlook> {
  try {
    return await getEstimate(id, options, signal);
  } catch (e) {
    if (!options.length || !(e instanceof RequestError) || e.status !== 400) throw e;
    return { ...(await getEstimate(id, [], signal)), usual: true };
  }
}

function Outlook({ id, rows }: { id: string; rows: OptionRow[] }): JSX.Element {
  const options = rows.filter((r) => r.value.trim()).map((r): Option => [optionName(r.name), r.value.trim()]);
  const [e] = useEstimate(id, options.filter(([name]) => name), estimateWith);
  if (!e || (e.usual && e.loaded)) return <div aria-live="polite" class="load-outlook" />; /* what it has now is told elsewhere */
  const which = options.length === 0 ? "" : e.usual ? "Without these options: " : "With these options: ";
  const says = e.never ? "can never fit here" : e.loaded ? "" : verdict(e);
  const tone = !e.fits ? "bad" : e.evicts.length ? "warn" : "good";
  return (
    <div aria-live="polite" class="load-outlook">
      <p class="muted">
        {which}{says && <><span class={tone}>{says}</span>, </>}
        takes <strong>{byDevice(e.memory)}</strong> ({e.source})
      </p>
      {e.note && <p class="muted">{e.note}</p>}
    </div>
  );
}

/* --- the fields --- */

/** The names for completion; some come from what the model has already. */
function useNames(id: string): string[] {
  const [known, setKnown] = useState<Argument[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    getJson<{ arguments: Argument[] }>(`hostler/v1/show?${new URLSearchParams({ model: id })}`, stop.signal).then(
      (s) => setKnown(s.arguments),
      () => undefined, /* completion is a help, no need */
    );
    return () => stop.abort();
  }, [id]);
  return optionNames(known);
}

interface RowsProps {
  id: string;
  rows: OptionRow[];
  change: (rows: OptionRow[]) => void;
}

function Rows({ id, rows, change }: RowsProps): JSX.Element {
  const names = useNames(id);
  const list = useId();
  const element = useRef<HTMLDivElement>(null);
  const focusOn = useRef<number | "add" | null>(null); /* a row's key */
  const set = (row: OptionRow): void => change(rows.map((r) => (r.key === row.key ? row : r)));
  useEffect(() => {
    const to = focusOn.current;
    focusOn.current = null;
    if (to !== null) element.current?.querySelector<HTMLElement>(to === "add" ? "[data-add]" : `[data-row="${to}"]`)?.focus();
  });
  const remove = (at: number): void => {
    const left = rows.filter((_, i) => i !== at);
    focusOn.current = (left[at] ?? left.at(-1))?.key ?? "add";
    change(left);
  };
  const add = (): void => {
    const row = newRow();
    focusOn.current = row.key;
    change([...rows, row]);
  };
  return (
    <div class="load-rows" ref={element} role="group" aria-label="Options">
      {rows.map((r, i) => (
        <div key={r.key} class="load-row">
          <input
            class="input mono"
            aria-label={`Option ${i + 1}`}
            placeholder="ctx-size"
            list={list}
            autocapitalize="off"
            autocomplete="off"
            spellcheck={false}
            data-row={r.key}
            data-first={i === 0}
            value={r.name}
            onInput={(e) => set({ ...r, name: e.currentTarget.value })}
          />
          <input
            class="input mono"
            aria-label={`Value ${i + 1}`}
            placeholder={i ? "" : "8192"}
            autocapitalize="off"
            autocomplete="off"
            spellcheck={false}
            value={r.value}
            onInput={(e) => set({ ...r, value: e.currentTarget.value })}
          />
          <button type="button" class="icon-button" aria-label={`Remove option ${i + 1}`} onClick={() => remove(i)}>×</button>
        </div>
      ))}
      <button type="button" class="button" data-add data-first={rows.length === 0} onClick={add}>Add an option</button>
      <datalist id={list}>{names.map((n) => <option key={n} value={n} />)}</datalist>
    </div>
  );
}

interface TtlProps {
  value: string;
  /** What it is with nothing typed. */
  usual: string;
  change: (ttl: string) => void;
}

function Ttl({ value, usual, change }: TtlProps): JSX.Element {
  const list = useId();
  return (
    <label class="field load-ttl">
      <span>TTL when idle (seconds, or 10m, 2h; 0: never unloaded)</span>
      <input class="input mono" placeholder={usual} list={list} autocomplete="off" value={value} onInput={(e) => change(e.currentTarget.value)} />
      <datalist id={list}>{TTLS.map((t) => <option key={t} value={t} />)}</datalist>
    </label>
  );
}

/* --- the dialog --- */

function Explained({ m }: { m: Model }): JSX.Element {
  return (
    <>
      {m.held && <p class="warn">It is held: loading it ends the hold.</p>}
      <p class="muted">
        {runs(m)
          ? "It is loaded. With other options it is loaded anew: requests that run finish first. A TTL alone is set at once."
          : "Options of the engine, named as in a preset. They hold until this load ends, and go before the presets."}
      </p>
    </>
  );
}

function begunText(m: Model, change: LoadChange): string {
  if (!runs(m)) return `${m.id} is being loaded`;
  return change.args ? `${m.id} is loaded anew once its requests have finished` : `${m.id} has another TTL`;
}

/** Sends it and closes the dialog; a refusal, or that it is being checked, is shown in the dialog. */
function useSending(): { busy: boolean; refusal: string; forget: () => void; begin: (m: Model, change: LoadChange) => void } {
  const [busy, setBusy] = useState(false);
  const [refusal, setRefusal] = useState("");
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []); /* who leaves while it is being checked does not want it */
  async function begin(m: Model, change: LoadChange): Promise<void> {
    const { method, path, body } = loadRequest(m.id, change);
    setBusy(true);
    setRefusal("");
    try {
      await send(path, { method, body, signal: stop.current.signal });
      closeDialog();
      say(begunText(m, change));
      if (!runs(m)) followLoad(m.id);
    } catch (e) {
      if (stop.current.signal.aborted) return;
      setRefusal(messageOf(e));
      setBusy(false);
    }
  }
  return { busy, refusal, forget: () => setRefusal(""), begin: (m, change) => void begin(m, change) };
}

function verbOf(m: Model, change: LoadChange): string {
  if (!runs(m)) return "Load";
  return change.args || change.ttl === undefined ? "Load anew" : "Set TTL";
}

function LoadDialog({ id }: { id: string }): JSX.Element {
  const m = models.get(id)?.value;
  const [form, setForm] = useState<LoadForm>(() => formOf(m && runs(m) ? m.this_load : undefined));
  const { busy, refusal, forget, begin } = useSending();
  const set = (part: Partial<LoadForm>): void => {
    setForm({ ...form, ...part });
    forget(); /* it was said of what is no longer there */
  };
  if (!m) return <Dialog title={id}><p>This model is gone.</p></Dialog>;
  const change = changeOf(form, runs(m) ? m.this_load : null);
  const same = runs(m) && !change.args && change.ttl === undefined;
  return (
    <Dialog title={`Load ${id} with…`} onSubmit={() => !busy && !same && begin(m, change)}>
      <div class="dialog-text"><Explained m={m} /></div>
      <Rows id={id} rows={form.rows} change={(rows) => set({ rows })} />
      <Ttl value={form.ttl} usual={ttlAsTyped(m.ttl_ms ?? 0)} change={(ttl) => set({ ttl })} />
      <Outlook id={id} rows={form.rows} />
      {refusal && <p class="error-note" role="alert">{refusal}</p>}
      <CurlDetails request={loadRequest(id, runs(m) && same ? { args: argsOf(form.rows) } : change)} />
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={closeDialog}>Cancel</button>
        <button type="submit" class="button button-primary" disabled={same}>{busy ? "Checking…" : verbOf(m, change)}</button>
      </footer>
    </Dialog>
  );
}

export function askLoadWith(id: string): void {
  openDialog(() => <LoadDialog id={id} />);
}
