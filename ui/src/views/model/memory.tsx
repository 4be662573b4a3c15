// SPDX-License-Identifier: MIT
// What a model takes, by device and by how that is known, and what it would take with other options.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { byDevice, estimatePath, getEstimate, verdict, type Estimate, type Footprint, type Option } from "../../actions/estimate";
import { useEstimate } from "../../actions/use_estimate";
import { CurlButton } from "../../parts/curl";
import { bytes } from "../../parts/format";
import { devices, models } from "../../state/store";
import { isInMemory } from "../../state/words";
import { shown, type Show } from "./show";

const SOURCES: [keyof Show["footprint"], string][] = [
  ["measured", "measured"],
  ["given", "given in the presets"],
  ["fitted", "by llama-fit-params"],
  ["estimated", "estimated from the header"],
];

const OPTIONS: [name: string, label: string, hint: string][] = [
  ["ctx-size", "Context", "32768"],
  ["parallel", "Slots", "4"],
  ["cache-type-k", "Cache type K", "q8_0"],
  ["cache-type-v", "Cache type V", "q8_0"],
  ["n-gpu-layers", "GPU layers", "99"],
];

function Footprints({ of }: { of: Show["footprint"] }): JSX.Element {
  const names = Object.keys(devices.value);
  const known = SOURCES.map(([source, label]) => [label, of[source]] as [string, Footprint | null]).filter(([, f]) => f);
  if (!known.length) return <p class="muted">What it takes is not known yet.</p>;
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Known how</th>
            {names.map((d) => <th key={d} scope="col" class="number">{d}</th>)}
            <th scope="col" class="number" title="Mapped from its file; it counts as free">Mapped</th>
          </tr>
        </thead>
        <tbody>
          {known.map(([label, f]) => (
            <tr key={label}>
              <td>{label}</td>
              {names.map((d) => <td key={d} class="number">{bytes(f?.memory[d])}</td>)}
              <td class="number muted">{f?.mapped ? bytes(f.mapped) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What the estimate comes to, and whether that is good news. */
function headline(e: Estimate, others: boolean): [text: string, tone: string] {
  if (e.loaded) return [others ? "with these options it takes" : "it is in memory", ""];
  return [`it ${verdict(e)}`, e.fits ? (e.evicts.length ? "warn" : "good") : "bad"];
}

function Answer({ estimate, others }: { estimate: Estimate; others: boolean }): JSX.Element {
  const [text, tone] = headline(estimate, others);
  return (
    <div class="estimate-answer">
      <p>
        <strong class={tone}>{text}</strong>: {byDevice(estimate.memory)} <span class="muted">({estimate.source})</span>
      </p>
      {!estimate.fits && !estimate.loaded && <p class="muted">{estimate.message}</p>}
      {estimate.note && <p class="muted">{estimate.note}</p>}
    </div>
  );
}

function EstimateForm({ id }: { id: string }): JSX.Element {
  const [values, setValues] = useState<Record<string, string>>({});
  const options = Object.entries(values).filter(([, v]) => v.trim()) as Option[];
  const [estimate, problem] = useEstimate(id, options, getEstimate);
  return (
    <div class="estimate">
      <h3>Estimate</h3>
      <div class="estimate-fields">
        {OPTIONS.map(([name, label, hint]) => (
          <label key={name} class="field">
            <span>{label}</span>
            <input
              class="input"
              placeholder={hint}
              value={values[name] ?? ""}
              onInput={(e) => setValues({ ...values, [name]: e.currentTarget.value })}
            />
          </label>
        ))}
        <CurlButton of={() => ({ path: estimatePath(id, options) })} />
      </div>
      <div aria-live="polite">
        {problem ? <p class="bad">{problem}</p> : estimate ? <Answer estimate={estimate} others={options.length > 0} /> : <p class="muted">…</p>}
      </div>
    </div>
  );
}

export function MemoryPanel({ id }: { id: string }): JSX.Element {
  const m = models.get(id)?.value;
  return (
    <section class="panel stack" aria-labelledby="memory">
      <h2 id="memory">
        Memory{" "}
        {m?.memory && <span class="muted plain">{isInMemory(m) ? "now" : "would take"} {byDevice(m.memory)}</span>}
      </h2>
      {shown.value && <Footprints of={shown.value.footprint} />}
      <EstimateForm id={id} />
    </section>
  );
}
