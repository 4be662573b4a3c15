// SPDX-License-Identifier: MIT
// Holding a model: for how long and why; it can be unloaded at the same time.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../api/client";
import { closeDialog, Dialog, openDialog } from "../parts/dialog";
import { say, sayError } from "../parts/toast";
import { CurlButton } from "../parts/curl";
import { may } from "../state/store";

const TIMES: [label: string, seconds: number][] = [
  ["10 minutes", 600],
  ["1 hour", 3600],
  ["8 hours", 28800],
  ["1 day", 86400],
  ["until released", 0],
];

interface HoldRequest {
  method: string;
  path: string;
  body: object;
}

export function holdRequest(id: string, seconds: number, reason: string, unload: boolean): HoldRequest {
  const why = reason.trim() ? { reason: reason.trim() } : {};
  return unload
    ? { method: "POST", path: "models/unload", body: { model: id, hold: seconds || true, ...why } }
    : { method: "POST", path: "models/hold", body: { model: id, ...(seconds ? { for: seconds } : {}), ...why } };
}

function HoldDialog({ id, inMemory }: { id: string; inMemory: boolean }): JSX.Element {
  const [seconds, setSeconds] = useState(3600);
  const [reason, setReason] = useState("");
  const [unload, setUnload] = useState(inMemory && may("unload"));
  const request = (): HoldRequest => holdRequest(id, seconds, reason, unload);

  async function hold(): Promise<void> {
    const { method, path, body } = request();
    closeDialog();
    try {
      await send(path, { method, body });
      say(`${id} is held`);
    } catch (e) {
      sayError(`Hold ${id}`, e);
    }
  }

  return (
    <Dialog title={`Hold ${id}`} onSubmit={() => void hold()}>
      <p class="muted">While it is held no request loads it; those that need it are refused, and told the reason.</p>
      <label class="field">
        <span>For how long</span>
        <select class="select" data-first value={seconds} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
          {TIMES.map(([label, value]) => (
            <option key={value} value={value}>{label}</option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Why (callers see it)</span>
        <input class="input" maxLength={1000} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
      </label>
      {inMemory && may("unload") && (
        <label class="check">
          <input type="checkbox" checked={unload} onChange={(e) => setUnload(e.currentTarget.checked)} />
          unload it, too (else it serves on until it is unloaded)
        </label>
      )}
      <footer class="dialog-foot">
        <CurlButton of={request} />
        <button type="button" class="button" onClick={closeDialog}>Cancel</button>
        <button type="submit" class="button button-primary">Hold</button>
      </footer>
    </Dialog>
  );
}

export function askHold(id: string, inMemory: boolean): void {
  openDialog(() => <HoldDialog id={id} inMemory={inMemory} />);
}
