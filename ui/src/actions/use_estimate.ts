// SPDX-License-Identifier: MIT
// What a model takes, asked anew as the options change that somebody types.
import { useEffect, useState } from "preact/hooks";
import { messageOf } from "../api/client";
import { models } from "../state/store";
import { estimatePath, type Estimate, type Option } from "./estimate";

const AFTER_MS = 250;

/** Asked anew when the options or the model's state change; the last answer stays meanwhile. `ask`: always the same function. */
export function useEstimate<E extends Estimate>(
  id: string,
  options: Option[],
  ask: (id: string, options: Option[], signal: AbortSignal) => Promise<E>,
): [E | null, string] {
  const [estimate, setEstimate] = useState<E | null>(null);
  const [problem, setProblem] = useState("");
  const asked = estimatePath(id, options);
  const state = models.get(id)?.value.state;
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      ask(id, options, stop.signal).then(
        (e) => {
          setEstimate(e);
          setProblem("");
        },
        (e: unknown) => !stop.signal.aborted && setProblem(messageOf(e)),
      );
    }, AFTER_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [asked, state]);
  return [estimate, problem];
}
