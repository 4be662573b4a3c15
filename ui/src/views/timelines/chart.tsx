// SPDX-License-Identifier: MIT
// A chart of uPlot in the page's colours. All charts share the cursor and the time; a thrash is shaded in each.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { dark } from "../../parts/media";
import { kindOf, type Extent, type Mark, type MarkKind, type Thrash } from "./timeline";

export interface Line {
  label: string;
  values: (number | null)[];
  /** A custom property of the style sheet. */
  colour: string;
  filled?: boolean;
  bars?: boolean;
  dashed?: boolean;
}

interface ChartProps {
  title: string;
  /** For screen readers: what one would see. */
  summary: string;
  times: number[];
  /** What the axis shows: the same for all charts. */
  extent: Extent;
  /** Drawn at the bottom: when a model was loaded, pushed out, or failed. */
  marks?: Mark[];
  lines: Line[];
  format: (n: number) => string;
  thrash: Thrash[];
  max?: number;
  /** Below zero as far as above it: what goes is drawn downwards. */
  mirrored?: boolean;
  /** What the axis is divided by. */
  unit?: "bytes" | "whole";
  height?: number;
}

function clockOf(t: number): string {
  return new Date(t * 1000).toTimeString().slice(0, 5);
}

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesOf(line: Line, format: (n: number) => string): uPlot.Series {
  const colour = colourOf(line.colour);
  const series: uPlot.Series = {
    label: line.label,
    stroke: colour,
    width: line.bars ? 0 : 1.5,
    points: { show: false },
    value: (_u, v) => (v === null || v === undefined ? "–" : format(Math.abs(v))),
  };
  if (line.filled || line.bars) series.fill = line.bars ? colour : `${colour}55`;
  if (line.dashed) series.dash = [4, 4];
  if (line.bars && uPlot.paths.bars) series.paths = uPlot.paths.bars({ size: [0.7, 12], align: 1 });
  return series;
}

function inBox(u: uPlot, draw: (box: uPlot.BBox) => void): void {
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  u.ctx.clip();
  draw(u.bbox);
  u.ctx.restore();
}

/** The time of each thrash. */
function shade(u: uPlot, thrash: Thrash[]): void {
  inBox(u, ({ top, height }) => {
    u.ctx.fillStyle = `${colourOf("--bad")}2e`;
    for (const t of thrash) {
      const from = u.valToPos(t.from, "x", true);
      u.ctx.fillRect(from, top, Math.max(3, u.valToPos(t.to, "x", true) - from), height);
    }
  });
}

const MARK_COLOURS: Partial<Record<MarkKind, string>> = { load: "--accent", evicted: "--next", failed: "--bad" };
const MARK_HEIGHT = 9;

function drawMarks(u: uPlot, marks: Mark[]): void {
  const size = devicePixelRatio;
  inBox(u, ({ top, height }) => {
    for (const m of marks) {
      const kind = kindOf(m);
      const colour = kind && MARK_COLOURS[kind];
      if (!colour) continue;
      /* A load stands on the axis, what goes hangs from above. */
      const y = kind === "load" ? top + height - MARK_HEIGHT * size : top;
      u.ctx.fillStyle = colourOf(colour);
      u.ctx.fillRect(u.valToPos(m.at, "x", true) - size, y, 2 * size, MARK_HEIGHT * size);
    }
  });
}

const STEPS = {
  bytes: Array.from({ length: 50 }, (_, i) => 2 ** i),
  whole: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000],
};

/** Without a cursor the legend tells the last values. */
function tellLast(u: uPlot): void {
  const last = u.data[0].length - 1;
  if (u.cursor.idx === null || u.cursor.idx === undefined) u.setLegend({ idx: last }, false);
}

function rangeOf(p: ChartProps): uPlot.Scale.Range {
  return (_u, min, max) => {
    const most = Math.max(p.max ?? 0, max * 1.04, p.mirrored ? -min * 1.04 : 0, 1);
    return [p.mirrored ? -most : 0, most];
  };
}

function optionsOf(p: ChartProps, now: { current: ChartProps }, width: number): uPlot.Options {
  const axis = { stroke: colourOf("--muted"), font: "11px system-ui", ticks: { show: false } };
  const grid = { stroke: colourOf("--line"), width: 1 };
  return {
    width,
    height: p.height ?? 150,
    cursor: { sync: { key: "timelines" }, points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    padding: [8, 8, 0, 0],
    hooks: {
      setCursor: [tellLast],
      setData: [tellLast],
      ready: [tellLast],
      drawClear: [(u) => shade(u, now.current.thrash)],
      draw: [(u) => drawMarks(u, now.current.marks ?? [])],
    },
    scales: { x: { time: true, range: () => now.current.extent }, y: { range: rangeOf(p) } },
    series: [{ value: (_u, v) => (v ? new Date(v * 1000).toLocaleTimeString("en-GB") : "–") }, ...p.lines.map((l) => seriesOf(l, p.format))],
    axes: [
      { ...axis, grid: { show: false }, size: 24, values: (_u, times) => times.map(clockOf) },
      { ...axis, grid, size: 66, space: 30, ...(p.unit ? { incrs: STEPS[p.unit] } : {}), values: (_u, values) => values.map((v) => p.format(Math.abs(v))) },
    ],
  };
}

export function Chart(props: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef(props);
  now.current = props;
  const scheme = dark.value;
  const shape = props.lines.map((l) => l.label).join();
  const data = [props.times, ...props.lines.map((l) => l.values)] as uPlot.AlignedData;

  useEffect(() => {
    const e = place.current;
    if (!e) return;
    const chart = new uPlot(optionsOf(props, now, e.clientWidth), data, e);
    plot.current = chart;
    const sizes = new ResizeObserver(() => {
      if (e.clientWidth !== chart.width) chart.setSize({ width: e.clientWidth, height: chart.height });
    });
    sizes.observe(e);
    return () => {
      sizes.disconnect();
      chart.destroy();
    };
  }, [scheme, shape]);
  useEffect(() => plot.current?.setData(data), [props.times, props.extent]);
  return (
    <section class="panel chart" aria-label={props.title}>
      <h2>{props.title}</h2>
      <p class="only-read">{props.summary}</p>
      <div ref={place} class="chart-place" aria-hidden="true" />
    </section>
  );
}
