// SPDX-License-Identifier: MIT
// What every screen has: navigation, the state of the connection, the question for the key, messages.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { connection, lostAt, problem, reconnect, type Connection } from "./api/live";
import { KeyButton, KeyQuestion } from "./key";
import { DialogPlace } from "./parts/dialog";
import { timeOfDay } from "./parts/format";
import { Lazy, type Loader } from "./parts/lazy";
import { ToastPlace } from "./parts/toast";
import { hrefOf, route } from "./state/route";
import { server } from "./state/store";
import { View as Models } from "./views/models";

interface Screen {
  view: string;
  title: string;
  load?: Loader;
}

const SCREENS: Screen[] = [
  { view: "models", title: "Models" },
  { view: "activity", title: "Activity", load: () => import("./views/activity") },
  { view: "timelines", title: "Timelines", load: () => import("./views/timelines") },
  { view: "playground", title: "Playground", load: () => import("./views/playground") },
  { view: "downloads", title: "Downloads", load: () => import("./views/downloads") },
  { view: "presets", title: "Presets", load: () => import("./views/presets") },
  { view: "doctor", title: "Doctor", load: () => import("./views/doctor") },
];

const MODEL: Loader = () => import("./views/model");

function Current(): JSX.Element {
  const { view, rest } = route.value;
  if (view === "models") return rest ? <Lazy key={rest} load={MODEL} /> : <Models />;
  const screen = SCREENS.find((s) => s.view === view);
  if (screen?.load) return <Lazy key={view} load={screen.load} />;
  return (
    <section class="view">
      <h1>No such screen</h1>
      <p>
        <a href={hrefOf("models")}>Go to the models</a>
      </p>
    </section>
  );
}

function Navigation(): JSX.Element {
  const { view } = route.value;
  return (
    <nav class="nav" aria-label="Screens">
      {SCREENS.map((s) => (
        <a key={s.view} href={hrefOf(s.view)} aria-current={s.view === view ? "page" : undefined}>
          {s.title}
        </a>
      ))}
    </nav>
  );
}

const WORDS: Record<Connection, string> = {
  connecting: "connecting",
  open: "live",
  lost: "no connection",
  paused: "paused",
  refused: "no access",
};

function ConnectionState(): JSX.Element {
  const state = connection.value;
  const bad = state === "lost" || state === "refused";
  return (
    <div class="connection">
      <span class={`dot dot-${bad ? "bad" : state === "open" ? "good" : "idle"}`} aria-hidden="true" />
      <span role="status">
        {WORDS[state]}
        {state === "lost" && lostAt.value > 0 && ` since ${timeOfDay(lostAt.value)}`}
      </span>
      {state === "lost" && (
        <button type="button" class="button button-quiet" onClick={reconnect} title={problem.value}>
          Try now
        </button>
      )}
    </div>
  );
}

/** Whoever sees nothing yet is told why; who sees what was there a moment ago reads it at "Try now". */
function NeverConnected(): JSX.Element | null {
  if (connection.value !== "lost" || lostAt.value > 0) return null;
  return <p class="error-note" role="alert">No connection to the server: {problem.value}.</p>;
}

/** A view that is gone to begins at its top and takes the focus; the first one does not, as nobody went there. */
function useNavigation(): void {
  const { view, rest } = route.value;
  const before = useRef("");
  useEffect(() => {
    const title = rest || SCREENS.find((s) => s.view === view)?.title;
    document.title = title ? `${title} – hostler` : "hostler";
    const main = document.getElementById("main");
    if (before.current && main && before.current !== `${view}/${rest}`) {
      main.scrollTop = 0;
      main.focus({ preventScroll: true });
    }
    before.current = `${view}/${rest}`;
  }, [view, rest]);
}

export function Shell(): JSX.Element {
  useNavigation();
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => {
        e.preventDefault();
        document.getElementById("main")?.focus();
      }}>
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href={hrefOf("models")}>
          hostler <span class="version">{server.value?.version ?? ""}</span>
        </a>
        <Navigation />
        <ConnectionState />
        <KeyButton />
      </header>
      <main id="main" tabIndex={-1}>
        <KeyQuestion />
        <NeverConnected />
        <Current />
      </main>
      <DialogPlace />
      <ToastPlace />
    </>
  );
}
