// SPDX-License-Identifier: MIT
// A view whose code comes when it is first shown.
import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { messageOf } from "../api/client";

export type Loader = () => Promise<{ View: ComponentType }>;

const loaded = new Map<Loader, ComponentType>();

export function Lazy({ load }: { load: Loader }): JSX.Element {
  const [problem, setProblem] = useState("");
  const [, setReady] = useState(0);
  useEffect(() => {
    if (loaded.has(load)) return;
    load().then(
      (module) => {
        loaded.set(load, module.View);
        setReady((n) => n + 1);
      },
      (e: unknown) => setProblem(messageOf(e)),
    );
  }, [load]);
  const View = loaded.get(load);
  if (View) return <View />;
  if (!problem) return <section class="view" aria-busy="true" />;
  return (
    <section class="view">
      <p class="error-note" role="alert">
        This part of the page could not be loaded ({problem}).{" "}
        <button type="button" class="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      </p>
    </section>
  );
}
