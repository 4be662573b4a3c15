// SPDX-License-Identifier: MIT
// The view Activity.
import type { JSX } from "preact";

export function View(): JSX.Element {
  return (
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title">Activity</h1>
    </section>
  );
}
