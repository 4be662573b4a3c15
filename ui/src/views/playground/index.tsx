// SPDX-License-Identifier: MIT
// The view Playground.
import type { JSX } from "preact";

export function View(): JSX.Element {
  return (
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title">Playground</h1>
    </section>
  );
}
