// SPDX-License-Identifier: MIT
// The requests as a file of JSON lines. It is fetched and then saved, as a link could not carry the key.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { send } from "../../api/client";
import { sayError } from "../../parts/toast";

const PATH = "hostler/v1/requests?format=jsonl&limit=1000";

/** A server that does not know the format answers with one object. */
function linesOf(text: string): string {
  if (!text.startsWith('{"requests":')) return text;
  const { requests } = JSON.parse(text) as { requests: unknown[] };
  return requests.map((r) => `${JSON.stringify(r)}\n`).join("");
}

async function save(): Promise<void> {
  const text = await (await send(PATH)).text();
  const blob = new Blob([linesOf(text)], { type: "application/jsonl" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `requests-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function ExportButton(): JSX.Element {
  const [busy, setBusy] = useState(false);
  return (
    <button
      type="button"
      class="button"
      disabled={busy}
      onClick={() => {
        setBusy(true);
        save().catch((e: unknown) => sayError("Export", e)).finally(() => setBusy(false));
      }}
    >
      Export
    </button>
  );
}
