// SPDX-License-Identifier: MIT
// The memory of each device: what engines have, what other programs have, what loads next, what is free, and
// the budget of engines as a line.
import type { JSX } from "preact";
import type { Device } from "../../api/types";
import { Bar, type BarPart } from "../../parts/bar";
import { bytes } from "../../parts/format";
import { devices, models, queue } from "../../state/store";

/** Bytes that the models which load next would take on a device. */
function nextOn(device: string): number {
  return queue.value.models_next.reduce((n, id) => n + (models.get(id)?.value.memory?.[device] ?? 0), 0);
}

function Figure({ name, kind, value }: { name: string; kind: string; value: string }): JSX.Element {
  return (
    <span class="figure">
      <i class={`key ${kind}`} aria-hidden="true" />
      {name} <b>{value}</b>
    </span>
  );
}

function DeviceMemory({ name, d }: { name: string; d: Device }): JSX.Element {
  const used = Math.max(0, d.total - d.available);
  const engines = d.engines ?? 0;
  const others = d.others ?? Math.max(0, used - engines);
  const next = nextOn(name);
  const parts: BarPart[] = [
    { name: "engines", value: engines, kind: "bar-engines" },
    { name: "others", value: others, kind: "bar-others" },
    { name: "next", value: Math.min(next, d.total - engines - others), kind: "bar-next" },
  ];
  const budget = d.budget === null ? "" : `, budget ${bytes(d.budget)}`;
  const label = `${name}: engines ${bytes(engines)}, others ${bytes(others)}, free ${bytes(d.available)} of ${bytes(d.total)}${budget}`;
  return (
    <div class="device">
      <div class="device-head">
        <h2>{name}</h2>
        <span class="muted one-line">{d.gone ? "is gone" : (d.label ?? d.card?.product ?? "")}</span>
        <span class="device-total muted">{bytes(d.total)}</span>
      </div>
      <Bar total={d.total} parts={parts} mark={d.budget} label={label} />
      <div class="figures">
        <Figure name="engines" kind="bar-engines" value={d.budget === null ? bytes(engines) : `${bytes(engines)} of ${bytes(d.budget)}`} />
        <Figure name="others" kind="bar-others" value={bytes(others)} />
        {next > 0 && <Figure name="next" kind="bar-next" value={bytes(next)} />}
        <Figure name="free" kind="bar-free" value={bytes(d.available)} />
      </div>
    </div>
  );
}

export function Devices(): JSX.Element {
  const all = Object.entries(devices.value);
  return (
    <div class="devices" aria-label="Memory" role="group">
      {all.map(([name, d]) => (
        <DeviceMemory key={name} name={name} d={d} />
      ))}
      {all.length === 0 && <div class="device device-empty" aria-busy="true" />}
    </div>
  );
}
