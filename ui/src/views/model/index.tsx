// SPDX-License-Identifier: MIT
// The view Model.
import type { JSX } from "preact";

export function View(): JSX.Element {
  return (
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title">Model</h1>
    </section>
  );
}
