# SPDX-License-Identifier: MIT
"""What the integration tests share: a client that writes and reads bytes, and fake engines.

A model for the fake engine is a real, tiny one; how its engine misbehaves is in a file beside it
(see fake_engine.py).
"""
import json
import pathlib
import socket
import time

import tiny_model
from conftest import PATIENCE, UnixConnection

FAKE_ENGINE = pathlib.Path(tiny_model.__file__).with_name("fake_engine.py")


def fake_models(folder, **models):
    """fake_models(folder, a={}, b={"load_s": 1}): a folder for --models-dir."""
    folder.mkdir(exist_ok=True)
    for name, misbehaviour in models.items():
        path = tiny_model.make(str(folder / f"{name}.gguf"))
        pathlib.Path(path + ".fake").write_text(json.dumps(misbehaviour), encoding="utf-8")
    return folder


def chat(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def request_bytes(method, target, body=b"", version="HTTP/1.1", **fields):
    """A request with a length; a field's `_` becomes `-`, and None leaves it out."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    fields = {"Host": "localhost", "Content-Length": len(body) if body or method == "POST" else None,
              **{k.replace("_", "-"): v for k, v in fields.items()}}
    lines = [f"{k}: {v}\r\n" for k, v in fields.items() if v is not None]
    return f"{method} {target} {version}\r\n{''.join(lines)}\r\n".encode("latin-1") + body


def chunked(*pieces):
    """The pieces as the chunks of a body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"


class Head:
    def __init__(self, line, fields):
        self.version, status, self.reason = (line.split(" ", 2) + [""])[:3]
        self.status = int(status)
        self.fields = fields

    def __getitem__(self, name):
        return next((v for k, v in self.fields if k == name.lower()), None)


class Wire:
    """One connection of a client, in the client's own words."""

    def __init__(self, server, timeout=PATIENCE, receive_buffer=None):
        kind = socket.AF_UNIX if server.socket else socket.AF_INET
        self.sock = socket.socket(kind)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(str(server.socket) if server.socket else ("127.0.0.1", server.port))
        if server.tls:
            self.sock = server.tls.wrap_socket(self.sock, server_hostname="127.0.0.1",
                                               suppress_ragged_eofs=False)
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def ask(self, *args, **kw):
        return self.send(request_bytes(*args, **kw))

    def line(self):
        line = self.file.readline(1 << 20)
        if not line.endswith(b"\n"):
            raise EOFError(f"the connection ended in a line: {line!r}")
        return line.decode("latin-1").rstrip("\r\n")

    def head(self):
        first, fields = self.line(), []
        while line := self.line():
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))
        return Head(first, fields)

    def chunks(self):
        """The body's chunks as they come; EOFError when it breaks off."""
        while size := int(self.line().split(";")[0], 16):
            yield self.exactly(size)
            self.line()
        self.line()

    def exactly(self, size):
        data = self.file.read(size)
        if len(data) < size:
            raise EOFError(f"{len(data)} of {size} bytes")
        return data

    def body(self, head):
        if head["transfer-encoding"] == "chunked":
            return b"".join(self.chunks())
        if head["content-length"] is not None:
            return self.exactly(int(head["content-length"]))
        return self.file.read()

    def answer(self):
        head = self.head()
        head.body = self.body(head)
        return head

    def at_end(self):
        """Waits until the server closes: whether no byte came before that."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def is_json_error(head, status):
    """Asserts the shape of an error; returns its message."""
    assert head.status == status, head.body
    headers = head.headers if hasattr(head, "headers") else dict(head.fields)
    assert headers["content-type"].startswith("application/json")
    error = json.loads(head.body)["error"]
    assert error["code"] == status and error["type"] and error["message"], error
    return error["message"]


def engine_socket(server, model):
    """The path of the socket that the model's engine listens on."""
    argv = pathlib.Path(f"/proc/{server.engines()[model]['pid']}/cmdline").read_bytes().split(b"\0")
    return argv[argv.index(b"--host") + 1].decode()


def engine_get(server, model, path="/fake/stats"):
    """Asks the engine itself, past the router."""
    connection = UnixConnection(engine_socket(server, model), PATIENCE)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def read_events(response, count=None):
    """The `data:` texts of an event stream with the time each came; all of them, or `count`."""
    found = []
    while line := response.readline():
        if line.startswith(b"data: "):
            found.append((time.monotonic(), line[6:].strip().decode()))
            if len(found) == count:
                break
    return found


def open_stream(server, model, timeout=PATIENCE, **more):
    """Starts a chat stream: the connection and the response, whose body is not read yet."""
    connection = server.connect(timeout)
    connection.request("POST", "/v1/chat/completions", json.dumps(chat(model, stream=True, **more)))
    return connection, connection.getresponse()


def memory_of(pid, field="VmRSS"):
    """MiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(field)

