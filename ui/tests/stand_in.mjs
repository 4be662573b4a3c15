// SPDX-License-Identifier: MIT
// A stand-in for hostler, for work on the page without a daemon: serves ui/dist and tells of made-up models
// that load, answer and go. Usage: npm run build && node tests/stand_in.mjs [PORT [MODELS]]
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join, dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const [port = "8099", howMany = "24"] = process.argv.slice(2);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'";
const GiB = 2 ** 30;
const now = () => Date.now() / 1000;
const started = now();
const families = ["qwen3-8b", "llama-3.1-8b", "gemma-3-12b", "mistral-small", "phi-4", "nomic-embed", "deepseek-coder"];

const models = Array.from({ length: Number(howMany) }, (_, i) => {
  const size = Math.round((0.6 + ((i * 7919) % 97) / 9) * GiB);
  return {
    id: `${families[i % families.length]}${i < 7 ? "" : `-v${Math.floor(i / 7)}`}`, aliases: i ? [] : ["default"], tags: i % 3 ? ["chat"] : ["code", "tools"],
    source: i % 4 ? "models-dir" : "cache", size, context: 8192 * (1 + (i % 4)), state: "unloaded",
    memory: { host: Math.round(size * 0.1), gpu0: Math.round(size * 1.1) }, memory_source: "estimated", can_remove: i % 4 === 0,
  };
});
const by = "POST /v1/chat/completions from 127.0.0.1:40512 (key alice, OpenAI/Python 1.55.0)";
Object.assign(models[1], { state: "loaded", requests: 1, tokens_per_second: 41.3, loaded_by: by, loaded_at: now() - 700, memory_source: "measured", ttl_ms: 600000 });
if (models[2]) Object.assign(models[2], { state: "loaded", requests: 0, idle_since: now() - 95, loaded_by: by, loaded_at: now() - 3000, pinned: true, memory_source: "measured" });
if (models[3]) Object.assign(models[3], { failed: true, reason: "crashed", message: "the engine was ended by signal 9 (killed); perhaps it wanted more memory than there is" });
if (models[4]) models[4].held = { until: now() + 560, reason: "backup of the disk", by: "hostler hold from 127.0.0.1:5 (key ops)" };
if (models[5]) models[5].reason = "evicted";

const rights = ["list", "infer", "resume", "status", "logs", "load", "unload", "hold", "download", "delete", "admin"];
const subscribers = new Set();
const frame = (event, data) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
const tell = (event, data) => subscribers.forEach((s) => s.write(frame(event, data)));

function devices() {
  const used = models.filter((m) => ["loaded", "loading"].includes(m.state));
  const of = (d) => used.reduce((n, m) => n + m.memory[d], 0);
  return {
    host: { total: 64 * GiB, available: 50 * GiB - of("host"), budget: 48 * GiB, engines: of("host"), others: 9 * GiB },
    gpu0: { total: 24 * GiB, available: 23 * GiB - of("gpu0"), budget: 22 * GiB, engines: of("gpu0"), others: GiB, card: { pci: "0000:01:00.0", uuid: "GPU-1", product: "NVIDIA RTX 4090" } },
  };
}

let nextRequest = 3;
const requests = [
  { id: 1, at: now() - 4, model: models[1].id, request: "POST /v1/chat/completions", state: "running", status: 200, error: null, client: "127.0.0.1:40512", key: "alice", user_agent: "OpenAI/Python 1.55.0", waited_ms: 3, elapsed_ms: 4000, position: null, loaded: true, unread: false, prompt_tokens: 812, tokens: 120, tokens_per_second: 41.3, restored_tokens: 700, saved_ms: 900 },
  { id: 2, at: now() - 2, model: models[0].id, request: "POST /v1/chat/completions", state: "waiting", status: null, error: null, client: "127.0.0.1:40519", key: null, user_agent: "curl/8.0", waited_ms: 2000, elapsed_ms: 2000, position: 0, loaded: true, unread: false, prompt_tokens: null, tokens: null, tokens_per_second: null, restored_tokens: 0, saved_ms: 0 },
];
const changes = [{ at: now() - 700, model: models[1].id, event: "load", why: by }];

function change(m, event, why) {
  const c = { at: now(), model: m.id, event, why };
  changes.push(c);
  tell("changes", { changes: [c] });
}

function update(m, members) {
  Object.assign(m, members);
  tell("models", { models: [m] });
  tell("devices", { devices: devices() });
}

function load(m) {
  update(m, { state: "loading", progress: 0, loaded_by: "POST /models/load from 127.0.0.1:40600", loaded_at: now(), failed: undefined, held: undefined });
  change(m, "load", m.loaded_by);
  const timer = setInterval(() => {
    if (m.progress < 0.95) return update(m, { progress: m.progress + 0.1 });
    clearInterval(timer);
    update(m, { state: "loaded", progress: undefined, requests: 0, idle_since: now(), memory_source: "measured", reason: undefined });
    return change(m, "ready", "after 2.0 s");
  }, 200);
}

function subscribe(res) {
  res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  res.write(frame("server", { version: "0.0-stand-in", started, router: true, classic: false, models_max: 4, autoload: true, rights, capture: null }));
  for (let i = 0; i < models.length; i += 100) res.write(frame("models", { models: models.slice(i, i + 100) }));
  res.write(frame("devices", { devices: devices() }) + frame("queue", { waiting: 1, running: 1, connections: 5, models_next: [models[0].id] }));
  res.write(frame("requests", { requests, ended: [] }) + frame("changes", { changes: changes.slice(-64) }) + frame("ready", {}));
  subscribers.add(res);
  res.on("close", () => subscribers.delete(res));
}

setInterval(() => {
  const r = requests[0];
  r.tokens += 41;
  r.tokens_per_second = Math.round(400 + Math.random() * 30) / 10;
  tell("requests", { requests: [{ id: r.id, tokens: r.tokens, tokens_per_second: r.tokens_per_second }] });
  if (nextRequest++ % 5 === 0) update(models[1], { tokens_per_second: r.tokens_per_second });
}, 1000).unref();

async function bodyOf(req) {
  let text = "";
  for await (const piece of req) text += piece;
  return text ? JSON.parse(text) : {};
}

const find = (id) => models.find((m) => m.id === id);
const named = (body) => (body.all ? models : body.models?.map(find) ?? [find(body.model)]);
const POSTS = {
  "/models/load": (b) => (load(find(b.model)), { success: true }),
  "/models/unload": (b) => (update(find(b.model), { state: "unloaded", reason: "unloaded", requests: undefined, idle_since: undefined }), { success: true }),
  "/models/hold": (b) => (named(b).forEach((m) => update(m, { held: { until: b.for ? now() + b.for : null, reason: b.reason ?? null, by: "you" } })), { held: [] }),
  "/models/release": (b) => (named(b).forEach((m) => update(m, { held: undefined })), { held: [] }),
  "/models/pin": (b) => (named(b).forEach((m) => update(m, { pinned: true })), { success: true }),
  "/models/unpin": (b) => (named(b).forEach((m) => update(m, { pinned: undefined })), { success: true }),
};
const GETS = {
  "/hostler/v1/estimate": (q) => ({ ...find(q.get("model")), source: "estimated", fits: true, never: false, evicts: find(q.get("model")).size > 8 * GiB ? [models[1].id] : [], message: "it fits", note: null, available: { gpu0: 12 * GiB }, mapped: 0, growth: 0 }),
  "/hostler/v1/requests": () => ({ requests }),
  "/hostler/v1/requests/1": () => ({ ...requests[0], timings: { queued_ms: 3, load_ms: 2100, restore_ms: 40, first_token_ms: 300, last_ms: null }, headers: { request: { "content-type": "application/json", authorization: null }, response: { "x-hostler-loaded": "1" } }, request_body: '{"messages":[{"role":"user","content":"Hello"}]}', response_body: null }),
  "/hostler/v1/show": (q) => showOf(find(q.get("model"))),
  "/hostler/v1/timeline": (q) => timelineOf(q.get("span")),
};

function showOf(m) {
  const of = (source, f) => ({ source, memory: { host: m.memory.host * f, gpu0: m.memory.gpu0 * f }, mapped: m.size, growth: 0 });
  return {
    id: m.id, path: `/srv/models/${m.id}.gguf`, mmproj: null, draft: null, load_ms: 2100, ttl_ms: 600000, priority: 0, max_requests: 0, environment: [{ name: "HF_TOKEN", value: null, origin: "environment" }],
    header: { architecture: "llama", name: m.id, parameters: 8030261248, tensors: 291, tensor_bytes: m.size, context_length: 131072, embedding_length: 4096, layers: 32, heads: 32, heads_kv: 8, vocabulary: 128256, chat_template: true },
    arguments: [{ option: "--ctx-size", value: "8192", origin: "command line" }, { option: "--n-gpu-layers", value: "99", origin: "preset" }, { option: "--model", value: `/srv/models/${m.id}.gguf`, origin: "model's files" }, { option: "--port", value: "0", origin: "hostler" }],
    footprint: { estimated: of("estimated", 0.96), fitted: null, measured: m.state === "loaded" ? of("measured", 1) : null, given: null }, prompt_cache: null,
    status: { args: ["llama-server", "--ctx-size", "8192", "--model", `/srv/models/${m.id}.gguf`], preset: "" },
    last_exit: m.failed ? { reason: "crashed", exit_code: 137, signal: 9, cause: null, message: m.message, log: "load_tensors: offloaded 33/33 layers\nggml: out of memory" } : null,
    recent: changes.filter((c) => c.model === m.id).reverse(),
  };
}

function timelineOf(span) {
  const [n, step] = span === "day" ? [720, 120] : [720, 5];
  const from = Math.round(now()) - n * step;
  const wave = (f, a, b) => Array.from({ length: n }, (_, i) => (i < 60 ? null : Math.round((a + b * Math.sin(i / f)) * 1e3) / 1e3));
  const marks = Array.from({ length: 30 }, (_, i) => [{ at: from + 1500 + i * 40, model: models[i % 2].id, event: "evicted", cause: by }, { at: from + 1502 + i * 40, model: models[(i + 1) % 2].id, event: "load", cause: by }]).flat();
  return {
    from, step, marks, tokens_per_second: wave(30, 60, 50), waiting: wave(20, 2, 2).map((v) => v && Math.round(v)), running: wave(25, 3, 3).map((v) => v && Math.round(v)),
    devices: { host: { total: 64 * GiB, engines: wave(80, 20 * GiB, 8 * GiB), others: wave(200, 9 * GiB, GiB) }, gpu0: { total: 24 * GiB, engines: wave(40, 12 * GiB, 8 * GiB), others: wave(200, GiB, 0) } },
  };
}

function log(res) {
  res.writeHead(200, { "Content-Type": "text/plain" });
  for (let i = 0; i < 80; i++) res.write(`slot update_slots: id ${i % 4} | task ${i} | prompt processing progress, n_tokens = ${i * 64}\n`);
  const timer = setInterval(() => res.write(`slot print_timing: id 0 | eval time = ${Math.random() * 1000} ms\n`), 700);
  res.on("close", () => clearInterval(timer));
}

function json(res, status, body) {
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(body));
}

async function serveFile(res, path) {
  const name = path === "/" || path === "/hostler/" ? "index.html" : path.replace(/^\/hostler\//, "");
  try {
    let text = await readFile(join(dist, name));
    if (path === "/") text = String(text).replace(/(href|src)="(main|icon)/g, '$1="hostler/$2');
    res.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "text/plain", "Content-Security-Policy": CSP });
    res.end(text);
  } catch {
    json(res, 404, { error: { code: 404, message: "no such file", type: "not_found_error" } });
  }
}

createServer(async (req, res) => {
  const url = new URL(req.url, "http://localhost");
  if (url.pathname === "/hostler/v1/live") return subscribe(res);
  if (url.pathname === "/hostler/v1/logs") return log(res);
  const post = req.method === "POST" && POSTS[url.pathname];
  if (post) return json(res, 200, post(await bodyOf(req)));
  const get = GETS[url.pathname];
  return get ? json(res, 200, get(url.searchParams)) : serveFile(res, url.pathname);
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
