// SPDX-License-Identifier: MIT
// Capture of bodies: on for a while, off; it needs the right to administer.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { sendJson } from "../../api/client";
import type { Server } from "../../api/types";
import { CurlButton } from "../../parts/curl";
import { longDuration } from "../../parts/format";
import { say, sayError } from "../../parts/toast";
import { everySecond } from "../../state/clock";
import { may, server } from "../../state/store";

const PATH = "hostler/v1/capture";
const TIMES: [string, number][] = [["1 minute", 60], ["10 minutes", 600], ["1 hour", 3600]];

interface CaptureState {
  allowed: boolean;
  until: number | null;
  model: string | null;
}

function stateOf(s: Server | null): CaptureState {
  const c = s?.capture;
  if (typeof c === "object" && c) return { allowed: c.allowed !== false, until: c.until || null, model: c.model ?? null };
  return { allowed: c !== undefined && c !== false, until: null, model: null };
}

async function capture(seconds: number): Promise<void> {
  try {
    await sendJson("POST", PATH, { for: seconds });
    say(seconds ? "Bodies are captured from now on" : "Capture is off");
  } catch (e) {
    sayError("Capture", e);
  }
}

function Left({ until }: { until: number }): JSX.Element {
  return <>{longDuration(Math.max(0, Math.ceil(until - everySecond.value)))}</>;
}

export function Capture(): JSX.Element | null {
  const [seconds, setSeconds] = useState(600);
  const state = stateOf(server.value);
  if (!state.allowed || !may("admin")) return null;
  const on = state.until !== null && state.until > Date.now() / 1000;
  return (
    <section class="panel capture" aria-labelledby="capture">
      <h2 id="capture">Capture bodies</h2>
      <p class="muted">
        {on && state.until !== null ? (
          <>On for <Left until={state.until} />{state.model ? `, of ${state.model}` : ""}. Kept in memory only.</>
        ) : (
          "Off. Requests and answers are kept in memory while it is on, at most 32 MiB."
        )}
      </p>
      <div class="capture-tools">
        {on ? (
          <button type="button" class="button" onClick={() => void capture(0)}>Stop</button>
        ) : (
          <>
            <select class="select" aria-label="For how long" value={seconds} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
              {TIMES.map(([label, value]) => <option key={value} value={value}>{label}</option>)}
            </select>
            <button type="button" class="button" onClick={() => void capture(seconds)}>Capture</button>
          </>
        )}
        <CurlButton of={() => ({ method: "POST", path: PATH, body: { for: on ? 0 : seconds } })} />
      </div>
    </section>
  );
}
