# SPDX-License-Identifier: MIT
"""Web pages of other origins, and names that lead here: what they cannot do to a hostler without keys.

First every rule by its bytes; then a page in a real Chromium that tries everything.
"""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import urllib.parse

import pytest

from conftest import until
from wire import FAKE_ENGINE, Wire, chat, engine_get, fake_models, is_json_error

EVIL = "https://evil.example"
JSON = "application/json"
GUARDED_POSTS = ["/models", "/models/load", "/models/unload", "/models/unload-all", "/models/hold", "/models/release",
                 "/models/pin", "/models/unpin", "/props", "/slots/0", "/lora-adapters", "/v1/streams/lookup",
                 "/hostler/v1/capture", "/hostler/v1/presets/check", "/hostler/v1/log-level"]
GUARDED_READS = ["/models/sse", "/models?reload=1", "/v1/models?reload=yes", "/hostler/v1/status", "/hostler/v1/requests",
                 "/hostler/v1/live", "/hostler/v1/timeline", "/hostler/v1/logs", "/hostler/v1/logs?follow=1", "/hostler/v1/show?model=b", "/hostler/v1/estimate?model=b",
                 "/hostler/v1/requests/1", "/hostler/v1/requests?format=jsonl", "/hostler/v1/capture", "/hostler/v1/presets",
                 "/hostler/v1/doctor", "/hostler/v1/log-level", "/hostler/v1/metrics", "/metrics", "/metrics?engines=1",
                 "/slots?model=b", "/metrics?model=b", "/v1/stream?conv_id=x"]
GUARDED = [*(("POST", path) for path in GUARDED_POSTS), *(("GET", path) for path in GUARDED_READS),
           ("HEAD", "/hostler/v1/status"), ("PUT", "/hostler/v1/presets"), ("DELETE", "/models?model=b"), ("DELETE", "/v1/stream?conv_id=x")]
OPEN = [("GET", "/health"), ("GET", "/models"), ("GET", "/v1/models"), ("GET", "/props"), ("GET", "/models?reload="),
        ("POST", "/tokenize"), ("POST", "/v1/chat/completions")]
BODY = {"/tokenize": {"model": "b", "content": "hi"}, "/v1/chat/completions": chat("b"), "/models/hold": {"all": True},
        "/models/load": {"model": "a"}}
FOREIGN = {
    "another origin": {"Origin": EVIL}, "no origin of its own": {"Origin": "null"}, "a file": {"Origin": "file://"},
    "an empty one": {"Origin": ""}, "an extension": {"Origin": "chrome-extension://abcdefgh"},
    "a name that begins alike": {"Origin": "https://localhost.evil.example"},
    "an address that begins alike": {"Origin": "http://127.0.0.1.evil"},
    "a name that ends alike": {"Origin": "https://notlocalhost"},
    "in front of an @": {"Origin": "http://localhost@evil.example"},
    "a port that is none": {"Origin": "http://localhost:80.evil.example"},
    "two": {"Origin": "http://localhost:3000, https://evil.example"},
    "an image": {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
    "a link": {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    "an image from another port": {"Sec_Fetch_Site": "same-site"},
    "both": {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"}}
TRUSTED = {
    "a program": {}, "typed": {"Sec_Fetch_Site": "none"}, "its own": {"Sec_Fetch_Site": "same-origin"},
    "this machine": {"Origin": "http://localhost:3000"}, "its address": {"Origin": "https://127.0.0.1"},
    "its IPv6 address": {"Origin": "http://[::1]:3000", "Sec_Fetch_Site": "cross-site"}}


@pytest.fixture(scope="module")
def server(module_hostler, tmp_path_factory):
    folder = fake_models(tmp_path_factory.mktemp("origins") / "models", a={}, b={})
    server = module_hostler("--models-dir", folder, engine=FAKE_ENGINE)
    assert server.tokenize("b").status == 200
    return server


def ask(server, method, target, body=None, **fields):
    path = target.split("?")[0]
    if body is None:
        body = BODY.get(path, {}) if method == "POST" else b""
    if body != b"":
        fields = {"Content_Type": JSON, **fields}
    with Wire(server) as wire:
        wire.ask(method, target, body, Connection="close", **fields)
        head = wire.head()
        streams = head["content-type"] in ("text/event-stream", "text/plain; charset=utf-8")
        head.body = b"" if streams or method == "HEAD" else wire.body(head)
        return head


def granted(head):
    return head["access-control-allow-origin"]


def story(server):
    """All that operators' requests change."""
    status = server.get("/hostler/v1/status").json
    return (len(status["recent"]), status["holds"], sorted((e["model"], e["pid"], e["pinned"]) for e in status["engines"]))


# --- by their bytes ----------------------------------------------------------------------------------

@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_page_operates_nothing_and_reads_nothing(server, fields):
    before = story(server)
    for method, target in GUARDED:
        head = ask(server, method, target, **fields)
        assert head.status == 403, (method, target)
        assert not granted(head), (method, target)
        if method != "HEAD":
            assert "--cors-origins" in is_json_error(head, 403)
    assert story(server) == before


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_page_may_use_models_as_with_llama_server(server, fields):
    for method, target in OPEN:
        head = ask(server, method, target, **fields)
        assert head.status == 200, (method, target)
        assert granted(head) == fields.get("Origin"), (method, target)


@pytest.mark.parametrize("fields", TRUSTED.values(), ids=TRUSTED)
def test_programs_and_trusted_pages_do_as_before(server, fields):
    for method, target in GUARDED:
        head = ask(server, method, target, **fields) if target != "/models" else None
        assert not head or head.status not in (401, 403, 415, 421), (method, target, head.body)
    assert server.post("/models/release", {"all": True}).status == 200
    assert server.post("/models/unload-all", {}).status == 200
    assert server.tokenize("b").status == 200


@pytest.mark.parametrize("origin", ["{0}", "HTTPS{0}", "http://{1}"])
def test_its_own_origin(hostler, models, origin):
    """Whatever --cors-origins says; `https` in front of a proxy that ends TLS."""
    server = hostler("--models-dir", models, "--cors-origins", "https://a.example")
    host = f"127.0.0.1:{server.port}"
    own = origin.format(f"://{host}", host)
    own = "http" + own if own.startswith(":") else own.replace("HTTPS", "https")
    for site in (None, "same-origin"):
        assert ask(server, "GET", "/hostler/v1/status", Host=host, Origin=own, Sec_Fetch_Site=site).status == 200
    for foreign in (f"http://127.0.0.1:{server.port + 1}", "http://127.0.0.1", "http://localhost:3000", f"http://{host}.evil"):
        assert ask(server, "GET", "/hostler/v1/status", Host=host, Origin=foreign).status == 403
    assert ask(server, "GET", "/hostler/v1/status", Host=host, Origin=own, Sec_Fetch_Site="cross-site").status == 403


@pytest.mark.parametrize("listed,trusted,foreign", [
    ("https://a.example,https://b.example:8443", ["https://a.example", "https://b.example:8443"],
     ["https://b.example", "http://a.example", "https://a.example.evil", "http://localhost:3000", "https://a.example:443"]),
    ("localhost", ["http://localhost:3000"], [EVIL, "null"]),
    ("*", ["http://localhost:3000"], [EVIL, "null"]),
    ("*,https://a.example", ["https://a.example", "http://127.0.0.1"], [EVIL]),
    ("null", ["null"], [EVIL, "http://localhost:3000"]), ("", [], [EVIL, "http://localhost:3000", "null"])])
def test_who_is_trusted(hostler, models, listed, trusted, foreign):
    server = hostler("--models-dir", models, "--cors-origins", listed)
    for origin in trusted:
        for method, target in (("GET", "/hostler/v1/status"), ("POST", "/models/release")):
            head = ask(server, method, target, {"all": True} if method == "POST" else None, Origin=origin)
            assert (head.status, granted(head)) == (200, origin)
        head = ask(server, "OPTIONS", "/models/hold", Origin=origin, Access_Control_Request_Method="POST")
        assert (head.status, granted(head)) == (200, origin)
    for origin in foreign:
        for method, target in (("GET", "/hostler/v1/status"), ("POST", "/models/release"), ("OPTIONS", "/models/hold")):
            head = ask(server, method, target, Origin=origin, Access_Control_Request_Method="POST")
            assert (head.status, granted(head)) == (403, None)


def test_the_list_tells_a_page_not_who_holds_a_model(server):
    assert server.post("/models/hold", {"model": "a", "reason": "benchmarks by Bob"}).status == 200
    held = {name: {m["id"]: m for m in json.loads(ask(server, "GET", "/models", **fields).body)["data"]}["a"]["held"]
            for name, fields in (("page", {"Origin": EVIL}), ("program", {}))}
    assert set(held["page"]) == {"model", "until"}
    assert held["program"]["reason"] == "benchmarks by Bob" and "from" in held["program"]["by"]
    assert server.post("/models/release", {"all": True}).status == 200


def test_a_preflight_permits_what_would_be_granted(server):
    for method, target in GUARDED:
        fields = {"Origin": EVIL, "Access_Control_Request_Method": method}
        head = ask(server, "OPTIONS", target, **fields)
        assert head.status == 403
        assert not [name for name, _ in head.fields if name.startswith("access-control-")]
        head = ask(server, "OPTIONS", target, **{**fields, "Origin": "http://localhost:1"})
        assert (head.status, granted(head)) == (200, "http://localhost:1")
    for method, target in OPEN:
        head = ask(server, "OPTIONS", target, Origin=EVIL, Access_Control_Request_Method=method)
        assert (head.status, granted(head)) == (200, EVIL)


@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
    "text/plain; x=application/json", "application/csp-report", None])
def test_a_pages_body_must_be_json(server, kind):
    """A form, which a browser sends without a preflight, even from a page of another server of this machine."""
    body = b'{"all":true}'
    for target in ("/models/hold", "/models/load", "/models/unload-all"):
        head = ask(server, "POST", target, body, Origin="http://localhost:3000", Content_Type=kind)
        assert JSON in is_json_error(head, 415)
    assert story(server)[1] == []
    assert ask(server, "POST", "/models/release", body, Content_Type=kind).status == 200
    for right in (JSON, "Application/JSON; charset=utf-8", "application/json ;x"):
        assert ask(server, "POST", "/models/release", body, Origin="http://localhost:3000", Content_Type=right).status == 200


def test_a_pages_body_in_chunks_must_be_json(server):
    with Wire(server) as wire:
        head = wire.ask("POST", "/models/hold", Origin="http://localhost:3000", Content_Type="text/plain",
                        Content_Length=None, Transfer_Encoding="chunked").head()
        assert head.status == 415


def test_a_web_socket_is_a_page_too(server):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
               "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    for target in GUARDED_READS:
        with Wire(server) as wire:
            assert wire.ask("GET", target, Origin=EVIL, **upgrade).answer().status == 403


def test_a_page_loads_no_model_by_a_get(server):
    """As an image does, which needs nobody's permission."""
    server.post("/models/unload-all", {})
    for fields in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": EVIL}):
        head = ask(server, "GET", "/props?model=a&autoload=1", **fields)
        assert "another origin" in is_json_error(head, 503)
    assert server.loaded() == []
    assert server.tokenize("b").status == 200
    assert ask(server, "GET", "/props?model=b", Origin=EVIL).status == 200
    assert ask(server, "GET", "/props?model=a&autoload=1").status == 200


def test_classic_mode_knows_the_same(hostler, tmp_path):
    folder = fake_models(tmp_path / "models", a={})
    server = hostler("--model", folder / "a.gguf", engine=FAKE_ENGINE)
    until(lambda: server.get("/health").status == 200)
    before = engine_get(server, "a")["requests"]
    for method, target in (("GET", "/slots"), ("GET", "/metrics"), ("POST", "/props"), ("POST", "/slots/0?action=erase"),
                           ("GET", "/hostler/v1/logs"), ("POST", "/models/unload"), ("GET", "/%73lots"), ("GET", "/x/..//slots"),
                           ("POST", "/tools"), ("GET", "/cors-proxy"), ("POST", "/nowhere")):
        head = ask(server, method, target, Origin=EVIL)
        assert (head.status, granted(head)) == (403, None), target
    assert engine_get(server, "a")["requests"] == before + 1  # the question itself
    for method, target in (("GET", "/"), ("GET", "/index.html"), ("GET", "/v1/models"), ("POST", "/v1/completions"),
                           ("GET", "/nowhere")):
        assert ask(server, method, target, Origin=EVIL).status == 200
    assert ask(server, "GET", "/slots").status == 200
    assert ask(server, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


def test_below_a_prefix(hostler, models):
    server = hostler("--models-dir", models, "--api-prefix", "/llama")
    assert ask(server, "GET", "/llama/hostler/v1/status", Origin=EVIL).status == 403
    assert ask(server, "POST", "/llama/models/hold", {"all": True}, Origin=EVIL).status == 403
    head = ask(server, "OPTIONS", "/llama/models/hold", Origin=EVIL, Access_Control_Request_Method="POST")
    assert (head.status, granted(head)) == (403, None)
    assert ask(server, "GET", "/llama/hostler/v1/status", Origin="http://localhost:1").status == 200
    assert ask(server, "GET", "http://evil.example/llama/health").status == 421


def test_a_key_does_not_help_a_page(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "k")
    key = {"Authorization": "Bearer k"}
    assert ask(server, "GET", "/hostler/v1/status", Origin=EVIL).status == 403
    assert ask(server, "GET", "/hostler/v1/status", Origin=EVIL, **key).status == 403
    assert ask(server, "GET", "/v1/models", Origin=EVIL).status == 401
    assert ask(server, "GET", "/v1/models", Origin=EVIL, **key).status == 200
    assert ask(server, "GET", "/hostler/v1/status", Origin="http://localhost:3000").status == 401
    assert ask(server, "GET", "/hostler/v1/status", Origin="http://localhost:3000", **key).status == 200


# --- names that lead here ----------------------------------------------------------------------------

ITS_NAMES = ["localhost", "localhost:{port}", "LOCALHOST:{port}", "localhost.:{port}", "127.0.0.1", "127.0.0.1:{port}",
             "127.0.0.1:1", "[::1]:{port}", "[0::1]", "127.0.0.2", "localhost:"]
OTHER_NAMES = ["evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil", "evil.localhost",
               "127.0.0.1.nip.example:{port}", "127.1", "2130706433", "192.0.2.1:{port}", "[2001:db8::1]:{port}", "0.0.0.0:{port}",
               ".", "localhost..evil.example"]
NO_NAMES = ["localhost@evil.example", "localhost:80@evil.example", "localhost:80:80", "localhost:x", "[::1", "[::1].evil"]


def named(server, name):
    return name.format(port=server.port)


def test_a_request_must_name_the_server(server):
    for name in map(lambda n: named(server, n), ITS_NAMES):
        assert ask(server, "GET", "/health", Host=name).status == 200, name
        assert ask(server, "GET", f"http://{name}/health", Host=name).status == 200, name
    for name in map(lambda n: named(server, n), OTHER_NAMES):
        for method, target in (("GET", "/health"), ("GET", "/hostler/v1/status"), ("POST", "/v1/chat/completions"),
                               ("POST", "/models/hold"), ("OPTIONS", "/models/hold"), ("GET", "/nowhere")):
            head = ask(server, method, target, Host=name, Origin=f"http://{name}")
            assert head.status == 421, (name, method, target)
            assert not granted(head)
        message = is_json_error(ask(server, "GET", "/health", Host=name), 421)
        assert name in message and "--allowed-hosts" in message
    for name in NO_NAMES:
        assert ask(server, "GET", "/hostler/v1/status", Host=name, Origin=f"http://{name}").status in (400, 421), name
    assert server.get("/hostler/v1/status").json["holds"] == []


def test_the_name_in_a_whole_url_counts_as_well(server):
    assert ask(server, "GET", "http://evil.example/health").status == 421
    assert ask(server, "GET", "http://localhost/health", Host="evil.example").status == 421
    assert ask(server, "GET", "http://localhostx", Host="localhost").status == 421
    assert ask(server, "GET", "http://localhost?x", Host="localhost").status == 200
    assert ask(server, "GET", "http://user@localhost/health").status == 421
    assert ask(server, "GET", "http:///health").status == 421
    assert ask(server, "GET", "/health?x=http://evil.example/").status == 200


def test_an_old_client_need_not_name_it(server):
    with Wire(server) as wire:
        assert wire.ask("GET", "/health", version="HTTP/1.0", Host=None).head().status == 200


def test_names_that_are_allowed(hostler, models):
    server = hostler("--models-dir", models, "--allowed-hosts", "models.example, 192.0.2.7,2001:db8::7")
    for name in ("models.example", "Models.Example:443", "models.example.", "192.0.2.7:8080", "[2001:DB8::7]", "localhost"):
        assert ask(server, "GET", "/hostler/v1/status", Host=name).status == 200, name
    origin = {"Host": "models.example", "Origin": "https://models.example"}
    assert ask(server, "POST", "/models/release", {"all": True}, **origin).status == 200
    for name in ("a.models.example", "models.example.evil", "192.0.2.8"):
        assert ask(server, "GET", "/health", Host=name).status == 421


@pytest.mark.parametrize("args,env,name,status", [
    ([], {"HOSTLER_ALLOWED_HOSTS": "models.example"}, "models.example", 200),
    (["--allowed-hosts", "*"], {}, "evil.example", 200), (["--host", "localhost"], {}, "localhost", 200),
    (["--host", "localhost"], {}, "evil.example", 421),
    (["--host", "0.0.0.0"], {}, "evil.example", 200), (["--host", "0.0.0.0", "--allowed-hosts", "a.example"], {}, "evil.example", 421),
    (["--host", "0.0.0.0", "--allowed-hosts", "a.example"], {}, "a.example:8080", 200),
    (["--host", "0.0.0.0", "--allowed-hosts", "a.example"], {}, "192.0.2.1:8080", 200)])
def test_where_it_listens_decides(hostler, models, args, env, name, status):
    server = hostler("--models-dir", models, *args, env=env)
    assert ask(server, "GET", "/health", Host=name).status == status
    everywhere = "0.0.0.0" in args and "--allowed-hosts" not in args
    assert ("--allowed-hosts" in server.log()) == everywhere


@pytest.mark.parametrize("value", ["http://models.example", "a b", "user@host"])
def test_what_is_no_name(hostler, models, value):
    server = hostler("--models-dir", models, "--allowed-hosts", value, wait=False)
    assert server.process.wait(60) == 2
    assert "--allowed-hosts" in server.log() and "no host name" in server.log()


def test_a_unix_socket_has_no_name(hostler, models):
    server = hostler("--models-dir", models, unix=True)
    assert ask(server, "GET", "/hostler/v1/status", Host="evil.example").status == 200
    assert ask(server, "GET", "/hostler/v1/status", Host="models.example", Origin="https://models.example").status == 200
    assert ask(server, "GET", "/hostler/v1/status", Host="models.example", Origin=EVIL).status == 403


def test_a_key_in_the_arguments_is_warned_of(hostler, models):
    warning = "--api-key shows in the list of processes"
    server = hostler("--models-dir", models, "--api-key", "k")
    until(lambda: warning in server.log())
    assert server.log().count(warning) == 1 and "--api-key-file" in server.log()
    server = hostler("--models-dir", models, env={"LLAMA_API_KEY": "k"})
    assert server.get("/props").status == 401 and warning not in server.log()


# --- a page in a browser -----------------------------------------------------------------------------

PAGE = pathlib.Path(__file__).with_name("hostile_page.html")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium here: scripts/setup test installs it where apt has it")


class Site(http.server.ThreadingHTTPServer):
    """Serves the hostile page, and takes its report."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.report = None
        self.url = f"http://evil.example:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(PAGE.read_bytes())

        def do_POST(self):
            self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(b"")

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass


@pytest.fixture
def browser(tmp_path):
    """browser(url, *args): Chromium as a person's own, but that some names lead to this machine. It ends with
    the test."""
    running = []

    def start(url, *args):
        argv = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--host-resolver-rules=MAP evil.example 127.0.0.1,MAP rebound.example 127.0.0.1", *args, url]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                                   env={**os.environ, "HOME": str(tmp_path)})
        running.append(process)
        return process

    yield start
    for process in running:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.shutdown()
    site.server_close()


def visit(browser, site, server):
    """What came of all that the page tried."""
    target = urllib.parse.quote(f"http://127.0.0.1:{server.port}", safe="")
    browser(f"{site.url}/?target={target}")
    return until(lambda: site.report, patience=180, what="the page's report")


@needs_chromium
def test_a_foreign_page_in_a_browser(browser, site, hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={}, b={}), engine=FAKE_ENGINE)
    server.tokenize("b")
    before, asked = story(server), engine_get(server, "b")["requests"]
    report = visit(browser, site, server)
    allowed = {name: report.pop(name) for name in list(report) if name.startswith("allowed: ")}
    assert len(report) > 200
    assert {n: r for n, r in report.items() if r.startswith("read: ")} == {}
    assert story(server) == before
    assert server.state("a") == "unloaded"
    assert len(allowed) == 3 and all(r.startswith("read: 200") for r in allowed.values()), allowed
    assert engine_get(server, "b")["requests"] == asked + 2  # what is allowed, and this question
    assert {r["request"] for r in server.get("/hostler/v1/requests").json["requests"]} <= {"POST /tokenize", "GET /props"}


@needs_chromium
def test_a_named_page_in_a_browser(browser, site, hostler, tmp_path):
    server = hostler("--models-dir", fake_models(tmp_path / "models", a={}, b={}), "--cors-origins", site.url,
                     engine=FAKE_ENGINE)
    server.tokenize("b")
    before = story(server)
    report = visit(browser, site, server)
    for name in ("POST /models/load json", "POST /models/hold json", "POST /models/unload-all json", "POST /models/pin json",
                 "GET /hostler/v1/status", "GET /hostler/v1/logs", "GET /models?reload=1", "GET /slots?model=b with a field"):
        assert report[name].startswith("read: "), (name, report[name])
    for name in ("GET /models/sse events",):
        assert report[name] == "read: open", report[name]
    for name, result in report.items():  # what needs no preflight is no JSON
        if name.endswith(("plain", "xhr")) and "read: " in result:
            assert result.startswith("read: 415"), (name, result)
    assert story(server) != before


@needs_chromium
def test_a_name_that_leads_here_in_a_browser(browser, hostler, models):
    """The page's own name: to the browser it is of the server's own origin."""
    server = hostler("--models-dir", models)
    shown = browser(f"http://rebound.example:{server.port}/hostler/v1/status", "--dump-dom").communicate(timeout=120)[0].decode()
    assert "rebound.example" in shown and "--allowed-hosts" in shown and "uptime_ms" not in shown
    shown = browser(f"http://localhost:{server.port}/hostler/v1/status", "--dump-dom").communicate(timeout=120)[0].decode()
    assert "uptime_ms" in shown
