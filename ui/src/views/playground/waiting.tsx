// SPDX-License-Identifier: MIT
// What an answer waits for, from the live state: the model's load, other requests, the reading of its prompt.
import type { JSX } from "preact";
import { duration, percent } from "../../parts/format";
import { Progress } from "../../parts/bar";
import { everySecond } from "../../state/clock";
import { models, requests, requestsShape, type LiveRequest } from "../../state/store";
import type { Answer } from "./conversation";

/** The newest request of this browser for that model; none once its answer has begun to come. */
function requestOf(a: Answer): LiveRequest | null {
  requestsShape.value;
  let newest: LiveRequest | null = null;
  for (const row of requests.values()) {
    const r = row.peek();
    const own = r.user_agent !== null && navigator.userAgent.startsWith(r.user_agent.replace(/…$/, ""));
    if (r.state !== "done" && r.model === a.model && own && r.at * 1000 > a.asked - 5000 && r.id > (newest?.id ?? -1)) newest = r;
  }
  return newest ? (requests.get(newest.id)?.value ?? null) : null;
}

/** The models that make room once they have answered what they have. */
function whoGoes(): string {
  const going = [...models.values()].map((m) => m.peek()).filter((m) => m.draining && (m.requests ?? 0) > 0);
  if (going.length === 0) return "";
  const names = going.slice(0, 3).map((m) => m.id).join(", ");
  return `, when ${names}${going.length > 3 ? " and others have" : going.length > 1 ? " have" : " has"} answered`;
}

/** What it waits for in words, and how far that is, 0..1; null where that is unknown. */
export function describeWait(a: Answer): { text: string; progress: number | null } {
  const model = models.get(a.model)?.value;
  const request = requestOf(a);
  const eta = request?.eta_ms ? `, ready in about ${duration(request.eta_ms)}` : "";
  if (a.prompt && a.prompt.done < a.prompt.total) {
    const share = a.prompt.done / a.prompt.total;
    return { text: `reads the prompt: ${percent(share)}`, progress: share };
  }
  if (model?.state === "loading") {
    const progress = model.progress ?? null;
    return { text: `${model.stage ? `loading ${model.stage.replaceAll("_", " ")}` : "loading"}${progress === null ? "" : `: ${percent(progress)}`}${eta}`, progress };
  }
  if (request?.state === "waiting") {
    return { text: `${request.position ? `waits, ${request.position} ahead` : `next in the queue${whoGoes()}`}${eta}`, progress: null };
  }
  if (model && model.state === "unloaded") return { text: `waits to be loaded${eta}`, progress: null };
  return { text: "waits for the first token", progress: null };
}

export function Waiting({ answer }: { answer: Answer }): JSX.Element {
  const { text, progress } = describeWait(answer);
  const waited = Math.max(0, everySecond.value - answer.asked / 1000);
  return (
    <div class="waiting">
      <p class="muted">
        <span role="status">{text}</span>
        {waited >= 1 && <> · {Math.floor(waited)} s</>}
      </p>
      <Progress value={progress} label={`${answer.model}: ${text}`} />
    </div>
  );
}
