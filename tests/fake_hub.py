#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Hugging Face that serves a folder: what llama.cpp asks of the real one, and faults to order.

ROOT/user/repo/... are the repositories. Each has one branch, `main`, and one commit. An engine
finds the hub by HF_ENDPOINT=http://127.0.0.1:PORT/.

  GET  /api/models/user/repo/refs
  GET  /api/models/user/repo/tree/COMMIT?recursive=true
  HEAD, GET /user/repo/resolve/COMMIT/FILE      ranges, ETag

What it does wrong stands in ROOT/user/repo.fake (JSON), read anew at each request:

  status       answers every request with this status
  file_status  answers requests for files with this status
  token        401 without `Authorization: Bearer TOKEN`
  rate         bytes a second of a file (all connections have their own)
  cut_at       breaks off each answer with a file after so many bytes of it
  delay        waits so many seconds before each answer
  hang         never answers requests of this kind: `refs`, `tree`, `head` or `get`

The first line of stdout is the port. It ends when stdin ends. GET /requests tells what was asked
so far: [{"method","path","range","authorization"}].
"""

import argparse
import hashlib
import http.server
import json
import os
import pathlib
import sys
import threading
import time
import urllib.parse

PIECE = 1 << 14


def commit_of(repo):
    """40 hex digits that differ from repository to repository."""
    return hashlib.sha1(repo.encode()).hexdigest()


def oid_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Hub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.root = pathlib.Path(root)
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request, client_address):
        """A client that is killed in the middle is what tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.respond()

    def do_GET(self):
        self.respond()

    def respond(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path == "/requests":
            self.send_json(self.server.requests)
            return
        self.server.requests.append({"method": self.command, "path": self.path,
                                     "range": self.headers.get("Range"),
                                     "authorization": self.headers.get("Authorization")})
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 5:
            self.open_repo("/".join(parts[2:4]), parts[4],
                           self.send_refs if parts[4] == "refs" else self.send_tree)
        elif len(parts) >= 5 and parts[2] == "resolve":
            self.open_repo("/".join(parts[:2]), "head" if self.command == "HEAD" else "get",
                           lambda: self.send_file("/".join(parts[4:])))
        else:
            self.send_json({"error": "Entry not found"}, 404)

    def open_repo(self, repo, kind, answer):
        """Answers, unless the repository is not there or something is to go wrong first."""
        self.repo, self.folder = repo, self.server.root / repo
        fake = self.folder.with_name(self.folder.name + ".fake")
        self.fake = json.loads(fake.read_text()) if fake.exists() else {}
        status = self.fake.get("status")
        if kind in ("head", "get"):
            status = self.fake.get("file_status", status)
        token = self.fake.get("token")
        time.sleep(self.fake.get("delay", 0))
        if self.fake.get("hang") == kind:
            self.connection.recv(1)  # until the client goes
            self.close_connection = True
        elif token and self.headers.get("Authorization") != "Bearer " + token:
            self.send_json({"error": "Invalid credentials in Authorization header"}, 401)
        elif status:
            self.send_json({"error": f"Ordered to answer {status}"}, status)
        elif not self.folder.is_dir():
            self.send_json({"error": "Repository not found"}, 404)
        else:
            answer()

    def send_refs(self):
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": commit_of(self.repo)}
        self.send_json({"branches": [main], "tags": [], "converts": []})

    def send_tree(self):
        entries = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_dir():
                entries.append({"type": "directory", "path": name, "size": 0})
            else:
                size = path.stat().st_size
                entries.append({"type": "file", "path": name, "size": size,
                                "lfs": {"oid": oid_of(path), "size": size, "pointerSize": 135}})
        self.send_json(entries)

    def send_file(self, name):
        path = self.folder / name
        if not path.is_file():
            self.send_json({"error": "Entry not found"}, 404)
            return
        data = path.read_bytes()
        first = self.first_byte()
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.send_header("ETag", f'"{oid_of(path)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "GET":
            self.send_body(data[first:])

    def first_byte(self):
        """Of `Range: bytes=N-`, the only form that llama.cpp sends."""
        text = self.headers.get("Range", "")
        return int(text.removeprefix("bytes=").split("-")[0]) if text else 0

    def send_body(self, data):
        cut_at, rate = self.fake.get("cut_at"), self.fake.get("rate")
        if cut_at is not None:
            data = data[:cut_at]
            self.close_connection = True
        piece = max(1, min(PIECE, rate // 50)) if rate else PIECE
        for at in range(0, len(data), piece):
            self.wfile.write(data[at:at + piece])
            if rate:
                time.sleep(piece / rate)

    def send_json(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main():
    parser = argparse.ArgumentParser(description="A Hugging Face on loopback that serves a folder.")
    parser.add_argument("root")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    hub = Hub(args.root, args.port)
    print(hub.server_port, flush=True)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
