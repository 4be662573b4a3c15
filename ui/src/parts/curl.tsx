// SPDX-License-Identifier: MIT
// "As curl": a button that shows the request as a command and copies it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { curlOf, type CurlRequest } from "../api/curl";
import { closeDialog, Dialog, openDialog } from "./dialog";

/** False where the browser does not allow it: a plain-HTTP page of another host than localhost. */
async function copy(text: string, shown: HTMLElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    if (shown) getSelection()?.selectAllChildren(shown);
    return shown !== null && document.execCommand("copy");
  }
}

function CurlDialog({ requests }: { requests: CurlRequest[] }): JSX.Element {
  const [copied, setCopied] = useState("Copy");
  const text = requests.map((r) => curlOf(r)).join("\n\n");
  let shown: HTMLElement | null = null;
  return (
    <Dialog title="As curl" wide onSubmit={closeDialog}>
      <pre class="code-block" ref={(e) => { shown = e; }} tabIndex={0}>{text}</pre>
      {text.includes("$HOSTLER_API_KEY") && (
        <p class="muted">Set the variable HOSTLER_API_KEY to your key; the key itself is not shown here.</p>
      )}
      <footer class="dialog-foot">
        <button type="submit" class="button">Close</button>
        <button
          type="button"
          class="button button-primary"
          data-first
          onClick={() => void copy(text, shown).then((ok) => setCopied(ok ? "Copied" : "Press Ctrl+C"))}
        >
          <span aria-live="polite">{copied}</span>
        </button>
      </footer>
    </Dialog>
  );
}

/** Within a dialog, which goes on: shows the command as it changes. */
export function CurlDetails({ request }: { request: CurlRequest }): JSX.Element {
  const [copied, setCopied] = useState("Copy");
  const shown = useRef<HTMLPreElement>(null);
  const text = curlOf(request);
  useEffect(() => setCopied("Copy"), [text]);
  return (
    <details class="curl-details">
      <summary>as curl</summary>
      <pre class="code-block" ref={shown} tabIndex={0} aria-label="As curl">{text}</pre>
      <button type="button" class="button" onClick={() => void copy(text, shown.current).then((ok) => setCopied(ok ? "Copied" : "Press Ctrl+C"))}>
        <span aria-live="polite">{copied}</span>
      </button>
    </details>
  );
}

export function showCurl(...requests: CurlRequest[]): void {
  openDialog(() => <CurlDialog requests={requests} />);
}

interface CurlButtonProps {
  /** Called at the click, so that the command is of what is set then. */
  of: () => CurlRequest | CurlRequest[];
  label?: string;
}

export function CurlButton({ of, label = "as curl" }: CurlButtonProps): JSX.Element {
  return (
    <button type="button" class="button button-quiet" onClick={() => showCurl(...[of()].flat())}>
      {label}
    </button>
  );
}
