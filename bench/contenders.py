# SPDX-License-Identifier: MIT
"""What bench/run measures: servers as processes, each in the configuration that is fastest for it."""
import http.client
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

HOSTLER = os.environ.get("HOSTLER", str(ROOT / "build" / "hostler"))
STAND_IN = ROOT / "build" / "bench" / "engine"
LOAD = ROOT / "build" / "bench" / "load"
NULL = subprocess.DEVNULL
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def find(program):
    """Debian has servers in a folder that is not on everybody's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(port, method, path, body=None, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for(condition, patience=60):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.0005)
    raise SystemExit("bench: what was waited for did not come")


class Process:
    """A server, stopped when the block ends. `socket_path`: where it listens in place of a port."""

    def __init__(self, argv, port=None, socket_path=None, ready="/health"):
        self.argv, self.port, self.path, self.ready = [str(a) for a in argv], port, socket_path, ready
        self.output = NULL

    def is_ready(self):
        if not self.path:
            return call(self.port, "GET", self.ready)[0] == 200
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b" 200 " in s.recv(4096)

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=self.output, stderr=self.output)
        if self.ready:
            wait_for(self.is_ready)
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def pids(self):
        """Its own and its workers': not the engines that a router has started."""
        return [self.process.pid]

    def status(self, field):
        return sum(int(re.search(rf"^{field}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
                   for pid in self.pids)

    def cpu_us(self):
        """On a processor so far, user and system, all threads."""
        files = (f for pid in self.pids for f in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(f.read_text().split()[0]) for f in files) / 1000


class Nginx(Process):
    @property
    def pids(self):
        pid = self.process.pid
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def hostler(models, port, *args, binary=HOSTLER):
    """Its state (holds, pins, footprints) stands beside the models, and so belongs to one run."""
    state = pathlib.Path(models).parent / f"state-{port}"
    return Process([binary, "serve", "--models-dir", models, "--port", port, "--state-dir", state, "--log-level",
                    "error", *args], port)


def hostler_before_stand_in(models, port, binary=HOSTLER):
    return hostler(models, port, "--engine", STAND_IN, "--threads-http", 60000, binary=binary)


def router(engine, models, port):
    return Process([engine, "--models-dir", models, "--port", port, "--models-max", "4"], port)


def by_hand(engine, models, port):
    return Process([engine, "--model", models / "m1.gguf", "--alias", "m1", "--port", port], port)


def engine_on_socket(engine, models, path):
    return Process([engine, "--model", models / "m1.gguf", "--alias", "m1", "--host", path], socket_path=path)


def stand_in(port=None, path=None):
    return Process([STAND_IN, *(["--host", path] if path else ["--port", port])], port, path)


def nginx(folder, port, upstream):
    """Bodies and answers are passed on as they come, and connections to the engine are kept, as hostler does."""
    config = folder / f"nginx-{port}.conf"
    user = "user root; " if os.geteuid() == 0 else ""  # else its worker could not open the socket
    config.write_text(f"""{user}daemon off; worker_processes 1; worker_rlimit_nofile {FILES};
pid {folder}/nginx-{port}.pid; error_log /dev/null; events {{ worker_connections {FILES}; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0; keepalive_requests 1000000000;
upstream e {{ server unix:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://e; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; }} }} }}
""")
    return Nginx([find("nginx"), "-p", folder, "-c", config], port)


def haproxy(folder, port, upstream):
    config = folder / f"haproxy-{port}.cfg"
    config.write_text(f"""global
  nbthread 1
  maxconn {max(100, (FILES - 200) // 2)}
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  server e unix@{upstream} pool-max-conn 64
""")
    return Process([find("haproxy"), "-db", "-f", config], port)


def llama_swap(engine, models, folder, port, names=("m1",), arguments=()):
    config = folder / f"swap-{port}.yaml"
    entries = "".join(f"""  {name}:
    cmd: {engine} --model {models}/{name}.gguf --alias {name} --port ${{PORT}} {" ".join(arguments)}
""" for name in names)
    config.write_text(f"logLevel: error\nmodels:\n{entries}")
    return Process([find("llama-swap"), "--config", config, "--listen", f"127.0.0.1:{port}"], port)
