// SPDX-License-Identifier: MIT
// A bar of parts of one whole, with what each is for screen readers. Widths are set as CSS properties of the
// element, which the page's content security policy allows, and markup's style attributes are not.
import type { JSX } from "preact";

export interface BarPart {
  name: string;
  /** Shares of `total`, in the same unit. */
  value: number;
  /** The CSS class that colours it: bar-engines, bar-others, bar-next. */
  kind: string;
}

interface BarProps {
  total: number;
  parts: BarPart[];
  /** A line across the bar, such as the budget. */
  mark?: number | null;
  label: string;
}

export function Bar({ total, parts, mark, label }: BarProps): JSX.Element {
  const share = (n: number): string => `${total > 0 ? Math.min(Math.max(n / total, 0), 1) * 100 : 0}%`;
  return (
    <div class="bar" role="img" aria-label={label}>
      {parts.map((p) => (
        <span key={p.kind} class={`bar-part ${p.kind}`} style={{ width: share(p.value) }} />
      ))}
      {typeof mark === "number" && mark < total && <span class="bar-mark" style={{ left: share(mark) }} />}
    </div>
  );
}

/** Progress from 0 to 1; null: it goes on, how far is unknown. */
export function Progress({ value, label }: { value: number | null; label: string }): JSX.Element {
  return value === null ? (
    <progress class="progress" aria-label={label} />
  ) : (
    <progress class="progress" max={1} value={value} aria-label={label} />
  );
}
