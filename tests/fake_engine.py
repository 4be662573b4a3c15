#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An engine that misbehaves to order. It has the command line, the child mode
and the HTTP of llama-server as far as hostler uses them, and no model.

What it does wrong is in a JSON file beside the model, MODEL.fake (`x.gguf` has
`x.gguf.fake`), because hostler gives engines a clean environment; the variable
FAKE_ENGINE (`key=value,key,...`) is read when there is no such file.

  load_s         seconds of loading, with reports of progress
  load_until     loads until this file exists
  never_ready    loads for ever
  exit_at_load   this exit code in the middle of the load
  crash_at_load  SIGKILL itself in the middle of the load
  hold_mb        MiB that it holds once it is loaded
  grow_mb        MiB that it holds beside from its second request on
  crash_at       SIGKILL itself at the n-th request, before any answer
  crash_stream   SIGKILL itself after n chunks of a stream
  hung           accepts connections and never answers
  deaf           ignores the exit line, SIGTERM and the end of stdin
  stuck          hangs in its shutdown until a second SIGTERM, as llama-server does with a
                 request running
  slow_exit_s    seconds between being told to exit and exiting
  close_early    closes a connection in place of its n-th answer (2: the first
                 request on a connection is served, the next finds it stale)
  close_unread   closes a connection with its n-th request unread, as an idle one that is
                 closed just when it is used again
  short_writes   answers byte by byte
  garbage        lines on stdout that are no protocol, or nearly
  huge_logs      lines of this many KiB on stderr and stdout
  log            a line to log at start
  log_lines      that many lines of 1 KiB on stderr at start
  big_body       GET /big answers this many MiB
  metrics        GET /metrics answers this text, in Latin-1
  date           answers carry a Date, of long ago
  gzip           answers in JSON are compressed for who accepts that
  endless        streams have no end
  tokens         chunks of a stream (8)
  token_ms       pause between them (0)
  traced         another process traces it, whose path this names a file with the pid of: until that
                 one is killed, nobody can see this engine end, as if it survived SIGKILL
  orphan         leaves a process behind that holds stdout and stderr
  sleep_after    seconds of idleness until it reports `sleeping`; a request wakes it
  wake_s         seconds of waking, with reports of progress
  never_wakes    wakes for ever
  crash_at_wake  SIGKILL itself when it has begun to wake
  prompt_token_ms  what computing a token of a prompt takes: then it has slots (fake_slots.py), and an answer's text depends on
                 its prompt. What these do wrong may change while it runs:
  prompt_sleep   of that time, the part that it really takes (1)
  idle_slots_cleared  idle slots are empty when the next request begins
  slot_bytes     more bytes in a slot's file
  slot_log       a file to write a line to for each use of the slots' routes
  slot_slow_s    seconds that a slow one takes (2)
  slot_list      "hang", "slow", "crash", a status as 501, "garbage", "busy", "wrong_counts"
  slot_save      "hang", "slow", "crash" (with half of the file written), a status, "short", "nothing", "wrong_tokens"
  slot_restore   "hang", "slow", "crash", a status, "useless" (nothing of it is used), "wrong_tokens", "poison" (the next request ends it)

POST /echo, and every path it does not know, answers with what arrived:
{"method","target","version","headers":[[name,value],...],"length","sha256"}.
GET /fake/stats: {"requests","connections","open","generations","live",
"disconnects","pid","argv","env"}.
"""

import ctypes
import gzip
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

HELP = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-t,    --threads N                      number of CPU threads to use during generation (default: <num_cpus>)
                                        (env: LLAMA_ARG_THREADS)
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
                                        (env: LLAMA_ARG_FLASH_ATTN)
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        whether to enable KV cache offloading (default: enabled)
                                        (env: LLAMA_ARG_KV_OFFLOAD)
--mmap, --no-mmap                       whether to memory-map model (if mmap disabled, slower load but may reduce
                                        pageouts if not using mlock) (default: enabled)
                                        (env: LLAMA_ARG_MMAP)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - auto: mmap, unless a device does not support it
                                        - none: no special loading mode
                                        (env: LLAMA_ARG_LOAD_MODE)
-fitt, --fit-target MiB0,MiB1,MiB2,...
                                        target margin per device for --fit
                                        (env: LLAMA_ARG_FIT_TARGET)
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM (default: auto)
                                        (env: LLAMA_ARG_N_GPU_LAYERS)
--lora FNAME                            path to LoRA adapter (use comma-separated values to load multiple
                                        adapters)
-m,    --model FNAME                    model path to load
                                        (env: LLAMA_ARG_MODEL)
-hf,   -hfr, --hf-repo <user>/<model>[:quant]
                                        Hugging Face model repository
                                        (env: LLAMA_ARG_HF_REPO)


----- example-specific params -----

-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
                                        (env: LLAMA_ARG_N_PARALLEL)
-mm,   --mmproj FILE                    path to a multimodal projector file. see tools/mtmd/README.md
                                        (env: LLAMA_ARG_MMPROJ)
-a,    --alias STRING                   set model name aliases, comma-separated (to be used by API)
                                        (env: LLAMA_ARG_ALIAS)
--host HOST                             IP addresses to listen on, comma-separated, or UNIX socket paths
                                        (default: 127.0.0.1)
                                        (env: LLAMA_ARG_HOST)
--port PORT                             port to listen (default: 8080)
                                        (env: LLAMA_ARG_PORT)
--metrics                               enable prometheus compatible metrics endpoint (default: disabled)
                                        (env: LLAMA_ARG_ENDPOINT_METRICS)
--slots, --no-slots                     expose slots monitoring endpoint (default: enabled)
                                        (env: LLAMA_ARG_ENDPOINT_SLOTS)
--slot-save-path PATH                   path to save slot kv cache (default: disabled)
                                        (env: LLAMA_ARG_SLOT_SAVE_PATH)
--sleep-idle-seconds SECONDS            number of seconds of idleness after which the server will sleep
                                        (default: -1; -1 = disabled)
"""
VERSION = "version: 0.7.0 (build 11669, commit fake)\nbuilt with python for any machine\n"
SWITCHES = {"--metrics", "--mmap", "--no-mmap", "--slots", "--no-slots", "-kvo", "--kv-offload",
            "-nkvo", "--no-kv-offload"}
PTRACE_SEIZE, PR_SET_PTRACER = 0x4206, 0x59616d61
REPORT = "cmd_child_to_router:state:"
EXIT = "cmd_router_to_child:exit"


def be_traced(pid_file):
    """A process that is traced is reaped by its tracer, and by its parent only when that is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = libc.prctl.argtypes = [ctypes.c_long] * 4
    engine, (go_read, go), (done, done_write) = os.getpid(), os.pipe(), os.pipe()
    tracer = os.fork()
    if tracer == 0:
        os.setsid()
        os.read(go_read, 1)
        ok = libc.ptrace(PTRACE_SEIZE, engine, 0, 0) == 0
        os.write(done_write, b"y" if ok else b"n")
        os.closerange(0, 64)
        time.sleep(120)
        os._exit(0)
    libc.prctl(PR_SET_PTRACER, tracer, 0, 0)
    os.write(go, b"x")
    traced = os.read(done, 1) == b"y"
    with open(pid_file, "w", encoding="ascii") as f:
        f.write(str(tracer) if traced else "0")


def known_options():
    lines = (re.match(r"(?:--?[a-z][\w-]*,? *)+", line) for line in HELP.splitlines())
    return {name for line in lines if line for name in re.findall(r"--?[a-z][\w-]*", line.group())}


def parse_args(argv):
    """The options as a dictionary; ends as llama-server does on an unknown one."""
    found, i, known = {}, 0, known_options()
    while i < len(argv):
        name = argv[i]
        if name not in known:
            sys.stderr.write(f"error: invalid argument: {name}\n")
            sys.exit(1)
        if name in SWITCHES:
            found[name] = True
        else:
            i += 1
            found[name] = argv[i] if i < len(argv) else ""
        i += 1
    return found


def misbehaviour(model):
    try:
        with open(model + ".fake", encoding="utf-8") as f:
            return json.load(f)
    except OSError:
        pass
    found = {}
    for item in filter(None, os.environ.get("FAKE_ENGINE", "").split(",")):
        key, _, value = item.partition("=")
        found[key] = json.loads(value) if value else True
    return found


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


class Stats:
    def __init__(self):
        self.lock = threading.Lock()
        self.n = dict.fromkeys(
            ("requests", "connections", "open", "generations", "live", "disconnects"), 0)

    def add(self, key, by=1):
        with self.lock:
            self.n[key] += by
            return self.n[key]


class Engine:
    def __init__(self, options, fake):
        self.fake = fake
        self.model = options.get("--model") or options.get("-m", "")
        self.alias = (options.get("--alias") or options.get("-a") or self.model).split(",")
        self.path = options.get("--host", "")
        self.child = "LLAMA_SERVER_ROUTER_PORT" in os.environ
        self.stats = Stats()
        self.held = []
        self.out = threading.Lock()
        self.ready = threading.Event()
        self.asleep = False
        self.terminated = False
        self.last = time.monotonic()
        self.slots = None
        if "prompt_token_ms" in fake:
            import fake_slots  # beside this file
            self.slots = fake_slots.Slots(self, options)

    # -- child mode -----------------------------------------------------------

    def report(self, state, payload):
        if self.child:
            self.print(REPORT + json.dumps({"state": state, "payload": payload},
                                           separators=(",", ":")))

    def print(self, line):
        with self.out:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def progress(self, value):
        self.report("loading", {"stages": ["text_model"], "current": "text_model",
                                "value": round(value, 3)})

    def info(self):
        return {"id": self.alias[0], "aliases": self.alias, "tags": [], "object": "model",
                "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
                "created": int(time.time()), "owned_by": "llamacpp",
                "meta": {"vocab_type": 1, "n_vocab": 303, "n_ctx": 2048, "n_ctx_train": 2048,
                         "n_embd": 64, "n_params": 121024, "size": 484096, "ftype": "all F32"}}

    def load(self):
        fake = self.fake
        self.progress(0.0)
        end = time.monotonic() + fake.get("load_s", 0)
        half = time.monotonic() + fake.get("load_s", 0) / 2
        gate = fake.get("load_until")
        while fake.get("never_ready") or time.monotonic() < end or (gate and not os.path.exists(gate)):
            time.sleep(0.02)
            left = max(0.0, end - time.monotonic())
            self.progress(1 - left / fake["load_s"] if fake.get("load_s") else 0.5)
            if time.monotonic() > half:
                self.fail_at_load()
        self.fail_at_load()
        self.hold("hold_mb")
        self.progress(1.0)

    def hold(self, what):
        self.held.append(b"x" * (self.fake.get(what, 0) << 20))

    def fail_at_load(self):
        if self.fake.get("crash_at_load"):
            die()
        if "exit_at_load" in self.fake:
            sys.stderr.write("error: failed to load model\n")
            sys.stderr.flush()
            os._exit(self.fake["exit_at_load"])

    def leave(self, code):
        time.sleep(3600 if self.fake.get("stuck") else self.fake.get("slow_exit_s", 0))
        sys.stderr.flush()
        os._exit(code)

    def on_sigterm(self, *_):
        """As the real one once loaded: the first alone does not end it, the second does at once."""
        if self.terminated:
            os._exit(1)
        self.terminated = True

    def watch_stdin(self):
        """As the real one: only once loaded; end of file is exit 1 at once."""
        for line in sys.stdin:
            if line.strip() == EXIT and not self.fake.get("deaf"):
                sys.stderr.write("exit command received, exiting...\n")
                self.leave(0)
        while self.fake.get("deaf"):
            time.sleep(60)
        os._exit(1)

    def watch_idleness(self, seconds):
        while True:
            time.sleep(0.02)
            if not self.asleep and time.monotonic() - self.last > seconds:
                self.asleep = True
                if self.slots:
                    self.slots.forget()
                self.report("sleeping", None)

    def wake(self):
        self.last = time.monotonic()
        if not self.asleep:
            return
        self.asleep = False
        self.last = float("inf")  # not idle, however long it takes
        self.progress(0.0)
        if self.fake.get("crash_at_wake"):
            die()
        end = time.monotonic() + self.fake.get("wake_s", 0)
        while self.fake.get("never_wakes") or time.monotonic() < end:
            time.sleep(0.02)
            self.progress(0.5)
        self.last = time.monotonic()
        self.report("ready", None)

    # -- the process ----------------------------------------------------------

    def noise(self):
        fake = self.fake
        sys.stderr.write("fake engine: " + str(fake.get("log", "loading")) + "\n")
        for i in range(fake.get("log_lines", 0)):
            sys.stderr.write(f"line {i} ".ljust(1024, "x") + "\n")
        if fake.get("garbage"):
            for line in ("hello", REPORT + "{", REPORT + '{"state":"singing"}', REPORT + "[1]",
                         REPORT + '{"state":7,"payload":[]}', REPORT + "{" * 5000, "a\0b\x1b[31m",
                         'cmd_child_to_router:state', REPORT + '{"state":"sleeping"}'):
                self.print(line)
            sys.stdout.buffer.write(b"\xff\xfe\x80 not UTF-8\r\n")
            sys.stdout.flush()
        if fake.get("huge_logs"):
            line = "x" * (int(fake["huge_logs"]) * 1024)
            sys.stderr.write(line + "\n")
            self.print(line)
        sys.stderr.flush()

    def run(self):
        if self.fake.get("deaf"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.fake.get("traced"):
            be_traced(self.fake["traced"])
        if self.fake.get("orphan"):
            subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL,
                             start_new_session=self.fake["orphan"] == "session")
        self.noise()
        if self.path.endswith(".sock"):
            server = socket.socket(socket.AF_UNIX)
            server.bind(self.path)
        else:
            server = socket.create_server((self.path or "127.0.0.1", 8080))
        server.listen(128)
        threading.Thread(target=self.accept, args=(server,), daemon=True).start()
        self.load()
        if not self.fake.get("deaf"):
            signal.signal(signal.SIGTERM, self.on_sigterm)
        self.ready.set()
        self.report("ready", self.info())
        if self.fake.get("sleep_after"):
            threading.Thread(target=self.watch_idleness, args=(self.fake["sleep_after"],),
                             daemon=True).start()
        if self.child:
            self.watch_stdin()
        while True:
            time.sleep(60)

    def accept(self, server):
        while True:
            connection, _ = server.accept()
            self.stats.add("connections")
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.stats.add("open")
        try:
            Connection(self, connection).serve()
        except (OSError, ValueError):
            pass
        finally:
            connection.close()
            self.stats.add("open", -1)


class Gone(OSError):
    """The client has left."""


class Connection:
    """One HTTP/1.1 connection. Written out, not http.server, so that each byte is ours to spoil."""

    def __init__(self, engine, sock):
        self.engine, self.fake, self.sock = engine, engine.fake, sock
        self.file = sock.makefile("rb")

    def serve(self):
        for n in range(1, 101):  # llama-server closes after a hundred
            if n == self.fake.get("close_unread"):
                self.sock.recv(1, socket.MSG_PEEK)
                return
            if not self.read_request():
                return
            count = self.engine.stats.add("requests")
            if count == 2:
                self.engine.hold("grow_mb")
            if self.fake.get("hung"):
                time.sleep(3600)
            if count == self.fake.get("crash_at"):
                die()
            if n == self.fake.get("close_early"):
                return
            self.last = n == 100 or self.header("connection").lower() == "close"
            self.answer()
            if self.last:
                return

    # -- reading --------------------------------------------------------------

    def read_request(self):
        line = self.file.readline(65536).decode("latin-1").rstrip("\r\n")
        if not line:
            return False
        self.method, self.target, self.version = line.split(" ", 2)
        self.headers = []
        while True:
            line = self.file.readline(65536).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            self.headers.append([name, value.strip()])
        if self.header("expect").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.read_body()
        return True

    def header(self, name):
        return next((v for k, v in self.headers if k.lower() == name), "")

    def read_body(self):
        self.sha, self.length, self.body = hashlib.sha256(), 0, b""
        if self.header("transfer-encoding").lower() == "chunked":
            while True:
                size = int(self.file.readline(1024).split(b";")[0], 16)
                self.take(size)
                self.file.readline(1024)
                if size == 0:
                    return
        self.take(int(self.header("content-length") or 0))

    def take(self, size):
        while size:
            piece = self.file.read(min(size, 1 << 16))
            if not piece:
                raise Gone("in the body")
            size -= len(piece)
            self.length += len(piece)
            self.sha.update(piece)
            if len(self.body) < 1 << 24:
                self.body += piece

    # -- writing --------------------------------------------------------------

    def send(self, data):
        if not self.fake.get("short_writes"):
            self.sock.sendall(data)
            return
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])

    def head(self, status, fields):
        reason = {200: "OK", 400: "Bad Request", 503: "Service Unavailable"}.get(status, "Error")
        fields = [("Server", "llama.cpp")] + fields
        if self.fake.get("date"):
            fields.append(("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))
        fields.append(("Connection", "close") if self.last else
                      ("Keep-Alive", "timeout=5, max=100"))
        return (f"HTTP/1.1 {status} {reason}\r\n" +
                "".join(f"{k}: {v}\r\n" for k, v in fields) + "\r\n").encode()

    def json(self, value, status=200):
        body = json.dumps(value, separators=(",", ":")).encode()
        fields = [("Content-Type", "application/json; charset=utf-8")]
        if self.fake.get("gzip") and any(k.lower() == "accept-encoding" and "gzip" in v
                                         for k, v in self.headers):
            body = gzip.compress(body, mtime=0)
            fields.append(("Content-Encoding", "gzip"))
        self.send(self.head(status, fields + [("Content-Length", len(body))]) +
                  (b"" if self.method == "HEAD" else body))

    # -- routes ---------------------------------------------------------------

    def answer(self):
        path = self.target.split("?")[0]
        engine = self.engine
        if path in ("/health", "/v1/health"):
            return self.health()
        if path == "/fake/stats":
            return self.json(dict(engine.stats.n, pid=os.getpid(), argv=sys.argv,
                                  env=dict(os.environ)))
        if not engine.ready.is_set():
            return self.loading()
        if path in ("/models", "/v1/models"):
            return self.json({"object": "list", "data": [engine.info()]})
        if path == "/props":
            return self.json({"default_generation_settings": {"params": {}, "n_ctx": 2048},
                              "total_slots": 1, "model_alias": engine.alias[0],
                              "model_path": engine.model, "build_info": "fake",
                              "is_sleeping": engine.asleep})
        if path == "/metrics":
            return self.metrics()
        engine.wake()
        if engine.slots and self.answer_with_slots(path):
            return None
        if path in ("/chat/completions", "/v1/chat/completions"):
            return self.chat()
        if path == "/tokenize" and self.method == "POST":
            content = json.loads(self.body or b"{}").get("content", "")
            return self.json({"tokens": list(str(content).encode())})
        if path == "/slots":
            live = engine.stats.n["live"]
            return self.json([{"id": 0, "n_ctx": 2048, "is_processing": live > 0}])
        if path == "/big":
            return self.big()
        return self.json({"method": self.method, "target": self.target, "version": self.version,
                          "headers": self.headers, "length": self.length,
                          "sha256": self.sha.hexdigest()})

    def health(self):
        if self.engine.ready.is_set():
            return self.json({"status": "ok"})
        return self.loading()

    def loading(self):
        self.json({"error": {"code": 503, "message": "Loading model",
                             "type": "unavailable_error"}}, 503)

    def metrics(self):
        text = f"llamacpp:requests_processing {self.engine.stats.n['live']}\n"
        body = self.fake.get("metrics", text).encode("latin-1")
        self.send(self.head(200, [("Content-Type", "text/plain; version=0.0.4"),
                                  ("Content-Length", len(body))]) + body)

    def big(self):
        size = int(self.fake.get("big_body", 1)) << 20
        self.send(self.head(200, [("Content-Type", "application/octet-stream"),
                                  ("Content-Length", size)]))
        piece = bytes(range(256)) * 256
        for _ in range(size // len(piece)):
            self.sock.sendall(piece)

    def chat(self):
        request = json.loads(self.body or b"{}")
        if not isinstance(request, dict) or "messages" not in request:
            return self.json({"error": {"code": 400, "message": "'messages' is required",
                                        "type": "invalid_request_error"}}, 400)
        self.engine.stats.add("generations")
        self.engine.stats.add("live")
        try:
            if request.get("stream"):
                self.stream()
            else:
                self.whole()
        except OSError:
            self.engine.stats.add("disconnects")
            raise
        finally:
            self.engine.stats.add("live", -1)
            self.engine.last = time.monotonic()

    # -- with slots -----------------------------------------------------------

    def answer_with_slots(self, path):
        """False: it is none of their routes."""
        shapes = {"/chat/completions": self.as_chat, "/v1/chat/completions": self.as_chat, "/v1/messages": self.as_messages,
                  "/responses": self.as_responses, "/v1/responses": self.as_responses,
                  "/completions": self.as_completion, "/v1/completions": self.as_completion,
                  "/completion": self.as_native_completion}
        slots = re.fullmatch(r"/slots(?:/(\d+))?", path)
        if slots:
            self.use_slots(slots[1])
        elif path in shapes and self.method == "POST":
            self.generate(shapes[path])
        return bool(slots) or path in shapes

    def use_slots(self, number):
        import fake_slots
        slots = self.engine.slots
        try:
            if number is None:
                return self.json(slots.list())
            action = re.search(r"action=(\w+)", self.target)
            return self.json(slots.act(int(number), action and action[1], json.loads(self.body or b"{}")))
        except fake_slots.Refused as e:
            status, message = e.args
            return self.json({"error": {"code": status, "message": message, "type": "not_supported_error"}}, status)

    def generate(self, shape):
        import fake_slots
        request, engine = json.loads(self.body), self.engine
        engine.stats.add("generations")
        engine.stats.add("live")
        try:
            if request.get("stream"):  # llama-server sends the head before it computes
                self.send(self.head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]))
            slot, timings = engine.slots.begin(request, self.pause)
            n = next((request[k] for k in ("max_tokens", "max_output_tokens", "n_predict") if request.get(k)), 4)
            words = fake_slots.words(slot.state, n)
            said = 0
            try:
                timings.update(predicted_n=len(words), predicted_ms=1.0)
                send = shape(request, timings)
                for said, word in enumerate(words):
                    self.pause(self.fake.get("token_ms", 0) / 1000)
                    send(word)
                said = len(words)
            finally:
                engine.slots.end(slot, words[:said])
            send(None)
        except OSError:
            engine.stats.add("disconnects")
            raise
        finally:
            engine.stats.add("live", -1)
            engine.last = time.monotonic()

    def counts(self, timings):
        prompt, n = timings["cache_n"] + timings["prompt_n"], timings["predicted_n"]
        return {"completion_tokens": n, "prompt_tokens": prompt, "total_tokens": prompt + n,
                "prompt_tokens_details": {"cached_tokens": timings["cache_n"]}}

    def said(self, request, whole, piece=None, first=None, last=None):
        """What is called with each word, and with None at the end: writes a stream, or an answer as a whole."""
        words = []

        def send(word):
            if word is None:
                if request.get("stream"):
                    for event in last("".join(words)):
                        self.chunk(event)
                    self.send(b"0\r\n\r\n")
                else:
                    self.json(whole("".join(words)))
                return
            words.append(word)
            if request.get("stream"):
                self.chunk(piece(word))

        if request.get("stream"):
            for event in first or []:
                self.chunk(event)
        return send

    @staticmethod
    def data(value, name=None):
        text = json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
        return ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()

    def as_chat(self, request, timings):
        base = {"created": 1, "id": "chatcmpl-fake", "model": self.engine.alias[0]}
        choice = lambda delta, finish=None: self.data({"choices": [{"finish_reason": finish, "index": 0, "delta": delta}],  # noqa: E731
                                                       **base, "object": "chat.completion.chunk",
                                                       **({"timings": timings} if finish and not with_usage else {})})
        with_usage = (request.get("stream_options") or {}).get("include_usage")
        usage = [self.data({"choices": [], **base, "usage": self.counts(timings), "timings": timings})] if with_usage else []
        return self.said(
            request, lambda text: {"choices": [{"finish_reason": "length", "index": 0,
                                                "message": {"role": "assistant", "content": text}}], **base,
                                   "object": "chat.completion", "usage": self.counts(timings), "timings": timings},
            lambda word: choice({"content": word}), [choice({"role": "assistant", "content": None})],
            lambda _: [choice({}, "length"), *usage, self.data("[DONE]")])

    def as_completion(self, request, timings):
        base = {"created": 1, "id": "chatcmpl-fake", "model": self.engine.alias[0], "object": "text_completion"}
        choice = lambda text, finish: {"choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}], **base}  # noqa: E731
        end = {"usage": self.counts(timings), "timings": timings}
        return self.said(request, lambda text: {**choice(text, "length"), **end}, lambda word: self.data(choice(word, None)), None,
                         lambda _: [self.data({**choice("", "length"), **end}), self.data("[DONE]")])

    def as_native_completion(self, request, timings):
        end = {"tokens": [], "id_slot": 0, "stop": True, "tokens_predicted": timings["predicted_n"], "timings": timings}
        return self.said(request, lambda text: {"index": 0, "content": text, **end},
                         lambda word: self.data({"index": 0, "content": word, "stop": False}), None,
                         lambda _: [self.data({"index": 0, "content": "", **end})])

    def as_messages(self, request, timings):
        before = {"cache_read_input_tokens": timings["cache_n"], "input_tokens": timings["prompt_n"]}
        message = {"id": "chatcmpl-fake", "type": "message", "role": "assistant", "model": self.engine.alias[0],
                   "stop_reason": None, "stop_sequence": None}
        event = lambda name, **more: self.data({"type": name, **more}, name)  # noqa: E731
        return self.said(
            request, lambda text: {**message, "content": [{"type": "text", "text": text}], "stop_reason": "max_tokens",
                                   "usage": {**before, "output_tokens": timings["predicted_n"]}},
            lambda word: event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}),
            [event("message_start", message={**message, "content": [], "usage": {**before, "output_tokens": 0}}),
             event("content_block_start", index=0, content_block={"type": "text", "text": ""})],
            lambda _: [event("content_block_stop", index=0),
                       event("message_delta", delta={"stop_reason": "max_tokens", "stop_sequence": None},
                             usage={"output_tokens": timings["predicted_n"]}),
                       event("message_stop")])

    def as_responses(self, request, timings):
        n = timings["predicted_n"]
        usage = {"input_tokens": timings["cache_n"] + timings["prompt_n"], "output_tokens": n,
                 "total_tokens": timings["cache_n"] + timings["prompt_n"] + n,
                 "input_tokens_details": {"cached_tokens": timings["cache_n"]}}
        response = lambda text: {"id": "resp_fake", "object": "response", "status": "completed", "model": self.engine.alias[0],  # noqa: E731
                                 "output": [{"type": "message", "role": "assistant", "status": "completed",
                                             "content": [{"type": "output_text", "annotations": [], "text": text}]}],
                                 "usage": usage}
        event = lambda name, **more: self.data({"type": name, **more}, name)  # noqa: E731
        return self.said(request, response, lambda word: event("response.output_text.delta", item_id="msg_fake", delta=word),
                         [event("response.created", response={"id": "resp_fake", "object": "response", "status": "in_progress"})],
                         lambda text: [event("response.completed", response=response(text), timings=timings)])

    def tokens(self):
        """The texts of a generation; ends with Gone when the client leaves."""
        n = 0
        while self.fake.get("endless") or n < self.fake.get("tokens", 8):
            if n == self.fake.get("crash_stream"):
                die()
            self.pause(self.fake.get("token_ms", 0) / 1000)
            yield f"word{n} "
            n += 1

    def pause(self, seconds):
        """Sleeps, but notices a client that leaves, as llama-server does."""
        end = time.monotonic() + seconds
        while True:
            self.sock.setblocking(False)
            try:
                if self.sock.recv(1, socket.MSG_PEEK) == b"":
                    raise Gone("while generating")
            except BlockingIOError:
                pass
            finally:
                self.sock.setblocking(True)
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.01))

    def whole(self):
        text = list(self.tokens())
        self.json({"id": "chatcmpl-fake", "object": "chat.completion", "model": self.engine.alias[0],
                   "choices": [{"index": 0, "finish_reason": "stop",
                                "message": {"role": "assistant", "content": "".join(text)}}],
                   "usage": self.usage(len(text)), "timings": {"predicted_n": len(text)}})

    @staticmethod
    def usage(n):
        return {"prompt_tokens": 1, "completion_tokens": n, "total_tokens": n + 1}

    def chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, delta, finish=None, **more):
        self.chunk(b"data: " + json.dumps(
            {"id": "chatcmpl-fake", "object": "chat.completion.chunk",
             "model": self.engine.alias[0],
             "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more},
            separators=(",", ":")).encode() + b"\n\n")

    def stream(self):
        self.send(self.head(200, [("Content-Type", "text/event-stream"),
                                  ("Transfer-Encoding", "chunked")]))
        n = 0
        for text in self.tokens():
            self.event({"content": text})
            n += 1
        self.event({}, "stop", usage=self.usage(n), timings={"predicted_n": n})
        self.chunk(b"data: [DONE]\n\n")
        self.send(b"0\r\n\r\n")


def main():
    if {"-h", "--help", "--usage"} & set(sys.argv):
        print(HELP, end="")
        return
    if "--version" in sys.argv:
        sys.stderr.write(VERSION)
        return
    options = parse_args(sys.argv[1:])
    engine = Engine(options, misbehaviour(options.get("--model") or options.get("-m", "")))
    engine.run()


if __name__ == "__main__":
    main()
