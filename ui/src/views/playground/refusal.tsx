// SPDX-License-Identifier: MIT
// Why there is no answer, in the server's words, and what can be done about it at once, where the key may.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { messageOf, sendJson } from "../../api/client";
import type { Right } from "../../api/types";
import { hrefOf } from "../../state/route";
import { may } from "../../state/store";
import type { Failure } from "./conversation";

interface Remedy {
  label: string;
  right: Right;
  act: (model: string) => Promise<unknown>;
}

const load = (model: string): Promise<unknown> => sendJson("POST", "models/load", { model });
const RELEASE: Remedy = {
  label: "Release it and send again",
  right: "hold",
  act: (model) => sendJson("POST", "models/release", { model }),
};
const LOAD: Remedy = { label: "Load it and send again", right: "load", act: load };
const LOAD_ANEW: Remedy = { label: "Try to load it again", right: "load", act: load };

/** What ends the reason of a refusal; null where only waiting or another model does. */
export function remedyOf(failure: Failure): Remedy | null {
  if (failure.state === "held") return RELEASE;
  if (failure.state === "not_loaded" || /not loaded/.test(failure.message)) return LOAD;
  if (failure.state === "failed" || failure.state === "oom" || failure.status === 500) return LOAD_ANEW;
  return null;
}

interface RefusalProps {
  failure: Failure;
  model: string;
  again: () => void;
}

export function Refusal({ failure, model, again }: RefusalProps): JSX.Element {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const remedy = remedyOf(failure);
  const roomIsShort = failure.state === "no_room" || failure.state === "too_large";

  async function apply(r: Remedy): Promise<void> {
    setBusy(true);
    setProblem("");
    try {
      await r.act(model);
      again();
    } catch (e) {
      setProblem(messageOf(e));
    } finally {
      setBusy(false);
    }
  }

  return (
    <div class="error-note refusal" role="alert">
      <p>{failure.message}</p>
      {problem && <p class="bad">{problem}</p>}
      <div class="row">
        {remedy && may(remedy.right) && (
          <button type="button" class="button button-primary" disabled={busy} onClick={() => void apply(remedy)}>
            {remedy.label}
          </button>
        )}
        <button type="button" class="button" disabled={busy} onClick={again}>Send again</button>
        {roomIsShort && <a class="button" href={hrefOf("models")}>See what is loaded</a>}
      </div>
    </div>
  );
}
