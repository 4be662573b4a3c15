// SPDX-License-Identifier: MIT
// What is fixed of a model: its file's header, its arguments and where each comes from, how it last ended.
import type { JSX } from "preact";
import { bytes, count, duration, longDuration, short } from "../../parts/format";
import { models } from "../../state/store";
import { shown, type Exit, type Show } from "./show";

function Fact({ name, children }: { name: string; children: JSX.Element | string | null }): JSX.Element | null {
  if (children === null || children === "") return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function headerValue(name: string, value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (name === "tensor_bytes") return bytes(value);
  return name === "parameters" || name === "context_length" ? short(value) : count(value);
}

const NAMES: Record<string, string> = { heads_kv: "KV heads", tensor_bytes: "size of tensors" };

export function Header(): JSX.Element {
  const s = shown.value;
  const m = models.get(s?.id ?? "")?.value;
  return (
    <section class="panel stack" aria-labelledby="header">
      <h2 id="header">Model</h2>
      <dl class="facts facts-narrow">
        <Fact name="file">{s?.path ? <span class="mono">{s.path}</span> : null}</Fact>
        <Fact name="size">{m ? bytes(m.size) : null}</Fact>
        <Fact name="projector">{s?.mmproj ? <span class="mono">{s.mmproj}</span> : null}</Fact>
        <Fact name="draft">{s?.draft ? <span class="mono">{s.draft}</span> : null}</Fact>
        {Object.entries(s?.header ?? {}).map(([name, value]) => (
          <Fact key={name} name={NAMES[name] ?? name.replaceAll("_", " ")}>{headerValue(name, value)}</Fact>
        ))}
      </dl>
    </section>
  );
}

export function Settings(): JSX.Element | null {
  const s = shown.value;
  if (!s) return null;
  return (
    <dl class="facts facts-narrow">
      <Fact name="aliases">{models.get(s.id)?.value.aliases?.join(", ") ?? null}</Fact>
      <Fact name="load takes">{s.load_ms ? duration(s.load_ms) : null}</Fact>
      <Fact name="unloaded when idle">{s.ttl_ms ? `for ${longDuration(s.ttl_ms / 1000)}` : "never"}</Fact>
      <Fact name="priority">{s.priority ? String(s.priority) : null}</Fact>
      <Fact name="requests at once">{s.max_requests ? String(s.max_requests) : null}</Fact>
    </dl>
  );
}

export function Arguments(): JSX.Element {
  const s = shown.value;
  const rows = [
    ...(s?.arguments ?? []).map((a) => ({ name: a.option, value: a.value, origin: a.origin })),
    ...(s?.environment ?? []).map((v) => ({ name: `${v.name}=`, value: v.value ?? "(not shown)", origin: v.origin })),
  ];
  return (
    <section class="panel stack" aria-labelledby="arguments">
      <h2 id="arguments">Arguments</h2>
      <div class="table-scroll">
        <table class="table arguments">
          <thead><tr><th scope="col">Option</th><th scope="col">Value</th><th scope="col">Origin</th></tr></thead>
          <tbody>
            {rows.map((r) => (
              <tr key={r.name}>
                <td class="mono">{r.name}</td>
                <td class="mono">{r.value}</td>
                <td class="muted">{r.origin}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {s && (
        <details>
          <summary>The command that starts its engine</summary>
          <pre class="code-block" tabIndex={0}>{s.status.args.join(" ")}</pre>
        </details>
      )}
    </section>
  );
}

function exitText(e: Exit): string {
  if (e.signal) return `by signal ${e.signal}`;
  return e.exit_code ? `with status ${e.exit_code}` : "";
}

export function LastExit({ of }: { of: Show }): JSX.Element | null {
  const e = of.last_exit;
  if (!e) return null;
  return (
    <section class="panel stack" aria-labelledby="last-exit">
      <h2 id="last-exit">Its last engine ended <span class="muted plain">{e.reason.replaceAll("_", " ")} {exitText(e)}</span></h2>
      {e.message && <p>{e.message}</p>}
      {e.cause && <p class="muted">by {e.cause}</p>}
      {e.log && <pre class="code-block" tabIndex={0}>{e.log}</pre>}
    </section>
  );
}
