// SPDX-License-Identifier: MIT
// A model's answer. Blocks that are settled keep their DOM while the text grows.
import { useRef } from "preact/hooks";
import { copyText } from "../parts/copy";
import { sanitize } from "./sanitize";
import { MarkdownStream } from "./stream";

function copyCode(event: MouseEvent): void {
  const button = (event.target as Element).closest("button.copy-code");
  const code = button?.closest(".code-box")?.querySelector("pre")?.textContent;
  if (!(button instanceof HTMLButtonElement) || code == null) {
    return;
  }
  void copyText(code.replace(/\n$/, "")).then((ok) => (button.textContent = ok ? "Copied" : "Not allowed"));
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

export function Markdown({ text, complete }: { text: string; complete: boolean }) {
  const stream = useRef<MarkdownStream>(null);
  const clean = useRef(new Map<string, string>());
  stream.current ??= new MarkdownStream();
  const before = clean.current;
  const now = new Map<string, string>();
  const blocks = stream.current.update(text, complete).map((html) => {
    const safe = before.get(html) ?? now.get(html) ?? sanitize(html);
    now.set(html, safe);
    return safe;
  });
  clean.current = now;
  return (
    <div class="markdown" onClick={copyCode}>
      {blocks.map((html, i) => (
        <div class="markdown-block" key={i} dangerouslySetInnerHTML={{ __html: html }} />
      ))}
    </div>
  );
}
