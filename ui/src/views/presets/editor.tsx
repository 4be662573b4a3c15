// SPDX-License-Identifier: MIT
// A text field with line numbers; lines with problems are marked. Tab leaves it, as it does every field.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { lineRange } from "./file";

interface EditorProps {
  text: string;
  readOnly: boolean;
  problems: ReadonlySet<number>;
  /** A line to show and select; the same line again needs a new object. */
  target: { line: number } | null;
  describedBy: string;
  onInput: (text: string) => void;
  onLine: (line: number) => void;
}

export function Editor({ text, readOnly, problems, target, describedBy, onInput, onLine }: EditorProps): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => text.split("\n").length, [text]);

  useEffect(() => {
    const element = field.current;
    if (!element || !target) return;
    const [from, to] = lineRange(element.value, target.line);
    element.focus();
    element.setSelectionRange(from, to);
    const height = parseFloat(getComputedStyle(element).lineHeight);
    element.scrollTop = Math.max(0, (target.line - 4) * height);
    element.scrollLeft = 0;
    onLine(target.line);
  }, [target]);

  const tellLine = (e: { currentTarget: HTMLTextAreaElement }): void =>
    onLine(e.currentTarget.value.slice(0, e.currentTarget.selectionStart).split("\n").length);

  return (
    <div class="editor">
      <div ref={gutter} class="editor-gutter" aria-hidden="true">
        {Array.from({ length: lines }, (_, i) => (
          <div key={i} class={problems.has(i + 1) ? "editor-bad" : undefined}>{i + 1}</div>
        ))}
      </div>
      <textarea
        ref={field}
        class="editor-text"
        aria-label="Text of the presets"
        aria-describedby={describedBy}
        aria-invalid={problems.size > 0}
        wrap="off"
        spellcheck={false}
        autocapitalize="off"
        autocomplete="off"
        readOnly={readOnly}
        value={text}
        onInput={(e) => onInput(e.currentTarget.value)}
        onKeyUp={tellLine}
        onClick={tellLine}
        onScroll={(e) => gutter.current && (gutter.current.scrollTop = e.currentTarget.scrollTop)}
      />
    </div>
  );
}
