// SPDX-License-Identifier: MIT
// The view Timelines: memory, tokens a second, queue and swaps over the last hour or day.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { connection } from "../../api/live";
import { getJson, messageOf } from "../../api/client";
import { list } from "../../actions/estimate";
import { CurlButton } from "../../parts/curl";
import { bytes, plural, rate, shortCaller, timeOfDay } from "../../parts/format";
import { hrefOf } from "../../state/route";
import { Chart } from "./chart";
import { extentOf, kindOf, perPart, thrashes, timelinePath, timesOf, type Extent, type Mark, type Series, type Span, type Thrash, type Timeline } from "./timeline";

const span = signal<Span>("hour");
const timeline = signal<Timeline | null>(null);
const problem = signal("");

const AGAIN_MS: Record<Span, number> = { minutes: 5000, hour: 10_000, day: 120_000 };
const WORDS: Record<Span, string> = { minutes: "10 minutes", hour: "hour", day: "day" };
const PARTS = 60; /* of the time, for which swaps are counted */

async function fetchTimeline(s: Span): Promise<void> {
  try {
    const t = await getJson<Timeline>(timelinePath(s));
    if (timelinePath(s) === timelinePath(span.peek())) timeline.value = t;
    problem.value = "";
  } catch (e) {
    problem.value = messageOf(e);
  }
}

/** Again and again while the page is live; nothing while it is hidden. */
function useTimeline(): void {
  const open = connection.value === "open";
  const wanted = span.value;
  useEffect(() => {
    if (!open) return;
    void fetchTimeline(wanted);
    const timer = setInterval(() => void fetchTimeline(wanted), AGAIN_MS[wanted]);
    return () => clearInterval(timer);
  }, [open, wanted]);
}

/* --- charts -------------------------------------------------------------------------------------- */

function added(a: Series, b: Series): Series {
  return a.map((v, i) => (v === null ? null : v + (b[i] ?? 0)));
}

function last(s: Series): number {
  return s.findLast((v) => v !== null) ?? 0;
}

function most(s: Series): number {
  return s.reduce<number>((n, v) => Math.max(n, v ?? 0), 0);
}

interface ChartsProps {
  t: Timeline;
  extent: Extent;
  thrash: Thrash[];
}

function MemoryCharts({ t, extent, thrash }: ChartsProps): JSX.Element {
  const times = useMemo(() => timesOf(t), [t]);
  return (
    <>
      {Object.entries(t.devices).map(([name, d]) => (
        <Chart
          key={name}
          title={`Memory of ${name}`}
          summary={`Engines have ${bytes(last(d.engines))} of ${bytes(d.total)}, other programs ${bytes(last(d.others))}.`}
          times={times}
          extent={extent}
          max={d.total}
          thrash={thrash}
          marks={t.marks}
          format={bytes}
          unit="bytes"
          lines={[
            { label: "others and engines", values: added(d.engines, d.others), colour: "--others", filled: true },
            { label: "engines", values: d.engines, colour: "--engines", filled: true },
          ]}
        />
      ))}
    </>
  );
}

function FlowCharts({ t, extent, thrash }: ChartsProps): JSX.Element {
  const times = useMemo(() => timesOf(t), [t]);
  const [from, to] = extent;
  const partTimes = useMemo(() => Array.from({ length: PARTS }, (_, i) => from + (i * (to - from)) / PARTS), [from, to]);
  const loads = perPart(t.marks, extent, "load", PARTS);
  const evicted = perPart(t.marks, extent, "evicted", PARTS);
  const failed = perPart(t.marks, extent, "failed", PARTS);
  const total = (n: number[]): number => n.reduce((a, b) => a + b, 0);
  return (
    <>
      <Chart
        title="Loads and evictions"
        summary={`${plural(total(loads), "load")}, ${plural(total(evicted), "eviction")}, ${plural(total(failed), "failure")}.`}
        times={partTimes}
        extent={extent}
        thrash={thrash}
        max={3}
        mirrored
        unit="whole"
        format={String}
        lines={[
          { label: "loads", values: loads, colour: "--engines", bars: true },
          { label: "evictions", values: evicted.map((n) => -n), colour: "--next", bars: true },
          { label: "failures", values: failed.map((n) => -n), colour: "--bad", bars: true },
        ]}
      />
      <Chart
        title="Tokens a second"
        summary={`Now ${rate(last(t.tokens_per_second))}, at most ${rate(most(t.tokens_per_second))}.`}
        times={times}
          extent={extent}
        thrash={thrash}
        max={10}
        format={rate}
        lines={[{ label: "tokens/s", values: t.tokens_per_second, colour: "--engines", filled: true }]}
      />
      <Chart
        title="Requests"
        summary={`${last(t.running)} run, ${last(t.waiting)} wait; at most ${most(t.waiting)} waited.`}
        times={times}
          extent={extent}
        thrash={thrash}
        max={4}
        unit="whole"
        format={String}
        lines={[
          { label: "running", values: t.running, colour: "--engines" },
          { label: "waiting", values: t.waiting, colour: "--next", filled: true },
        ]}
      />
    </>
  );
}

/* --- words --------------------------------------------------------------------------------------- */

function Verdict({ t, thrash }: Omit<ChartsProps, "extent">): JSX.Element {
  const of = (kind: string): number => t.marks.filter((m) => kindOf(m) === kind).length;
  if (!thrash.length) {
    return (
      <div class="panel verdict">
        <p>
          <span class="dot dot-good" aria-hidden="true" /> No thrash.{" "}
          <span class="muted">
            {plural(of("load"), "load")}, {plural(of("evicted"), "eviction")}, {plural(of("failed"), "failure")} in the last {span.value === "day" ? "day" : "hour"}.
          </span>
        </p>
      </div>
    );
  }
  return (
    <div class="panel verdict" role="status">
      {thrash.map((x) => (
        <p key={x.from}>
          <span class="dot dot-bad" aria-hidden="true" /> <strong>Thrash</strong> from {timeOfDay(x.from)} to {timeOfDay(x.to)}:{" "}
          {list(x.models)} came back {x.returns} times within minutes of being evicted.{" "}
          <span class="muted">Pin one, give them more memory, or a smaller context.</span>
        </p>
      ))}
    </div>
  );
}

const KIND_WORDS = { load: "load", evicted: "evicted", gone: "unloaded", failed: "failed" };
const KIND_TONES = { load: "", evicted: "warn", gone: "muted", failed: "bad" };
const LISTED = 60;

function Marks({ marks }: { marks: Mark[] }): JSX.Element | null {
  const shown = marks.filter((m) => kindOf(m)).sort((a, b) => b.at - a.at);
  if (!shown.length) return null;
  return (
    <section class="panel" aria-labelledby="marks">
      <h2 id="marks">Loads and what ended them</h2>
      <ol class="changes">
        {shown.slice(0, LISTED).map((m, i) => {
          const kind = kindOf(m) ?? "gone";
          return (
            <li key={i}>
              <time class="muted">{timeOfDay(m.at)}</time>
              <span class={`event ${KIND_TONES[kind]}`}>{KIND_WORDS[kind]}</span>
              <span class="change-text"><a href={hrefOf("models", m.model)}>{m.model}</a> <span class="muted" title={m.cause ?? undefined}>{shortCaller(m.cause ?? "")}</span></span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

export function View(): JSX.Element {
  useTimeline();
  const t = timeline.value;
  const shown = span.value;
  const thrash = useMemo(() => (t ? thrashes(t.marks) : []), [t]);
  const extent = useMemo<Extent>(() => (t ? extentOf(t, shown) : [0, 1]), [t, shown]);
  return (
    <section class="view timelines" aria-labelledby="view-title">
      <div class="view-head">
        <h1 id="view-title">Timelines</h1>
        <div class="segments" role="group" aria-label="Span">
          {(["minutes", "hour", "day"] as const).map((s) => (
            <button key={s} type="button" aria-pressed={span.value === s} onClick={() => { span.value = s; }}>Last {WORDS[s]}</button>
          ))}
        </div>
        <div class="view-tools"><CurlButton of={() => ({ path: timelinePath(span.value) })} /></div>
      </div>
      {problem.value && <p class="error-note" role="alert">{problem.value}</p>}
      {t && (
        <>
          <Verdict t={t} thrash={thrash} />
          <div class="charts" key={`${t.step}`}>
            <MemoryCharts t={t} extent={extent} thrash={thrash} />
            <FlowCharts t={t} extent={extent} thrash={thrash} />
          </div>
          <Marks marks={t.marks} />
        </>
      )}
    </section>
  );
}
