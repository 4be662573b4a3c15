// SPDX-License-Identifier: MIT
// The view Doctor.
import type { JSX } from "preact";

export function View(): JSX.Element {
  return (
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title">Doctor</h1>
    </section>
  );
}
