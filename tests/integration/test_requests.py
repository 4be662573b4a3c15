# SPDX-License-Identifier: MIT
"""GET /hostler/v1/requests: who asked for what, how long it waited, what it took, and which of them
loaded the model. And what a model's history says: why it came back after it was unloaded."""
import json
import os

import pytest

import tiny_model
from conftest import PATIENCE, until
from pace import Gate
from wire import Wire, chat, is_json_error, open_stream, read_events

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """A folder with a model slow enough to be seen while it answers, and a quick one."""
    folder = tmp_path_factory.mktemp("talker")
    tiny_model.make(folder / "slow.gguf", n_ctx_train=32768, pad_mb=8)
    tiny_model.make(folder / "quick.gguf", seed=2)
    return folder


@pytest.fixture(scope="module")
def server(module_hostler, talker, tmp_path_factory):
    presets = tmp_path_factory.mktemp("presets") / "p.ini"
    presets.write_text("[quick]\nalias = fast\n", encoding="utf-8")
    return module_hostler("--models-dir", talker, "--models-preset", presets, "--threads", "1",
                          "--parallel", "2")


@pytest.fixture
def gate(tmp_path, engine):
    return Gate(tmp_path, engine)


def requests(server, query="", **kw):
    return server.get(f"/hostler/v1/requests{query}", **kw).json["requests"]


def of(server, agent):
    """The records of a client that calls itself so, the newest first."""
    return [r for r in requests(server, "?limit=1000") if r["user_agent"] == agent]


def ended(server, agent, count=1):
    """The same, once all are over: a record is closed when the last byte is on its way."""
    return until(lambda: len(found := of(server, agent)) == count and
                 all(r["state"] == "done" for r in found) and found, what=f"the end of {agent}")


def ask(server, agent, path, body, **fields):
    return server.post(path, body, headers={"User-Agent": agent, **fields})


# --- one record ------------------------------------------------------------------------------------

def test_a_record_from_beginning_to_end(server):
    with Wire(server) as wire:
        wire.ask("POST", CHAT + "?x=secret", chat("slow", stream=True, max_tokens=20000),
                 User_Agent="whole/1")
        assert wire.head().status == 200
        chunks = wire.chunks()
        next(chunks)
        (record,) = until(lambda: [r for r in of(server, "whole/1") if r["tokens"]], what="tokens")
        assert record["state"] == "running" and record["status"] is None or record["status"] == 200
        assert record["model"] == "slow" and record["request"] == "POST " + CHAT
        assert record["client"].startswith("127.0.0.1:") and record["key"] is None
        assert record["error"] is None and record["position"] is None
        assert record["prompt_tokens"] is None and record["tokens_per_second"] is None
        assert record["elapsed_ms"] >= record["waited_ms"]
        wanted = ["state=running", "model=slow&state=running", "limit=1"]
        assert all(requests(server, f"?{w}")[0]["id"] == record["id"] for w in wanted)
    (record,) = ended(server, "whole/1")
    assert record["error"] == "client_gone" and record["status"] == 200 and record["unread"] is False
    assert record["tokens"] >= 2  # its pieces that came
    before = record["elapsed_ms"]
    assert of(server, "whole/1")[0]["elapsed_ms"] == before


def last_timings(body):
    """Of an answer or of a stream's last event that has them."""
    if body.startswith(b"{"):
        return json.loads(body)["timings"]
    events = [json.loads(line[6:]) for line in body.splitlines()
              if line.startswith(b"data: {")]
    return [e["timings"] for e in events if "timings" in e][-1]


def messages(path):
    if path.endswith("chat/completions"):
        return {"messages": [{"role": "user", "content": "hello world"}]}
    if path == "/infill":
        return {"input_prefix": "hello", "input_suffix": "world"}
    return {"prompt": "hello world"}


@pytest.mark.parametrize("more", [
    {}, {"stream": True}, {"stream": True, "timings_per_token": True},
    {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True, "logprobs": True}],
    ids=lambda m: ",".join(m) or "whole")
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/completion"])
def test_tokens_are_the_engines_own(server, path, more):
    agent = f"tokens{path} {sorted(more)}"
    answer = ask(server, agent, path, {"model": "quick", "max_tokens": 12, "n_predict": 12,
                                       **messages(path), **more})
    assert answer.status == 200, answer.body
    timings = last_timings(answer.body)
    (record,) = ended(server, agent)
    assert record["status"] == 200 and record["error"] is None
    assert record["tokens"] == timings["predicted_n"] == 12
    assert record["prompt_tokens"] == timings["prompt_n"] + timings["cache_n"] > 0
    assert record["tokens_per_second"] == pytest.approx(timings["predicted_per_second"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_tokens_of_apis_without_timings(server, path, stream):
    agent = f"usage{path} {stream}"
    answer = ask(server, agent, path, {
        "model": "quick", "max_tokens": 12, "max_output_tokens": 12, "stream": stream, "input": "hello",
        "messages": [{"role": "user", "content": "hello"}]})
    assert answer.status == 200, answer.body
    (record,) = ended(server, agent)
    assert record["tokens"] == 12
    assert record["prompt_tokens"] > 0  # Anthropic's streams tell them in their first event


def test_what_has_no_tokens(server):
    ask(server, "tokenizer", "/tokenize", {"model": "quick", "content": "\"timings\":{\"predicted_n\":7"})
    (record,) = ended(server, "tokenizer")
    assert (record["status"], record["tokens"], record["prompt_tokens"]) == (200, None, None)


# --- who -------------------------------------------------------------------------------------------

def test_keys_have_names(hostler, talker, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# name: laptop of the lab\nalpha\n\nbeta\n# name: the night job\ngamma\n", encoding="utf-8")
    server = hostler("--models-dir", talker, "--api-key-file", keys, "--api-key", "delta")
    sent = {"alpha": {"Authorization": "Bearer alpha"}, "beta": {"X-Api-Key": "beta"},
            "gamma": {"Authorization": "gamma"}, "delta": {"Authorization": "Bearer delta"}}
    for key, headers in sent.items():
        headers["User-Agent"] = key
        assert server.tokenize("quick", headers=headers).status == 200
    assert server.tokenize("quick", headers={"User-Agent": "stranger"}).status == 401
    found = {r["user_agent"]: r for r in requests(server, headers=sent["alpha"])}
    assert sorted(found) == sorted(sent)  # who was not let in asked no engine for anything
    assert found["alpha"]["key"] == "laptop of the lab" and found["gamma"]["key"] == "the night job"
    assert {found["beta"]["key"], found["delta"]["key"]} == {"key 2", "key 4"}
    (engine,) = server.get("/hostler/v1/status", headers=sent["alpha"]).json["engines"]
    assert engine["loaded_by"].endswith("(key laptop of the lab, alpha)")
    said = json.dumps(requests(server, headers=sent["alpha"])) + server.log()
    assert "Bearer" not in said and "gamma\n" not in said


def test_the_client_behind_a_proxy(server):
    for agent, through, client in (
            ("plain", None, None), ("proxied", "203.0.113.7", "203.0.113.7"),
            ("twice", "2001:db8::7, 10.0.0.1", "2001:db8::7"), ("empty", "", None),
            ("long", "x" * 5000, "x" * 20)):
        fields = {} if through is None else {"X-Forwarded-For": through}
        assert ask(server, agent, "/tokenize", {"model": "quick"}, **fields).status == 200
        said = ended(server, agent)[0]["client"]
        if client is None:
            assert said.startswith("127.0.0.1:")
        else:
            assert said.startswith(client) and len(said) < 200
        if client and len(client) < 20:
            assert said.startswith(client + " via 127.0.0.1:")


def test_over_a_unix_socket(hostler, talker):
    server = hostler("--models-dir", talker, unix=True)
    server.tokenize("quick", headers={"X-Forwarded-For": "203.0.113.7", "User-Agent": "nginx"})
    server.tokenize("quick", headers={"User-Agent": "local"})
    assert ended(server, "nginx")[0]["client"] == "203.0.113.7 via unix"
    assert ended(server, "local")[0]["client"] == "unix"


def test_what_a_client_says_of_itself_is_bounded_and_plain(server):
    with Wire(server) as wire:
        wire.ask("POST", "/tokenize", {"model": "quick"}, User_Agent="bell \x1b[31m")
        assert wire.answer().status == 400  # no header at all
    with Wire(server) as wire:
        wire.ask("POST", "/tokenize?" + "x" * 2000, {"model": "quick"},
                 User_Agent="A" * 5000 + "\\\"")
        assert wire.answer().status == 200
        wire.ask("POST", "/tokenize", {"model": "quick"}, User_Agent="ä €".encode().decode("latin-1"))
        wire.answer()
        wire.ask("POST", "/tokenize", {"model": "quick"}, User_Agent="\xff\xfe")
        assert wire.answer().status == 200
    listed = server.get("/hostler/v1/requests")
    assert all(len(r["user_agent"] or "") < 300 for r in listed.json["requests"])
    assert b"u001b" not in listed.body and b"\x1b" not in listed.body
    assert of(server, "ä €")


# --- waiting ---------------------------------------------------------------------------------------

def test_those_who_wait_and_the_one_who_caused_the_load(hostler, talker, gate):
    gate.shut()
    server = hostler("--models-dir", talker, engine=gate)
    wires = []
    for n in range(3):
        wires.append(Wire(server).ask("POST", "/tokenize", {"model": "quick"}, User_Agent=f"w{n}"))
        until(lambda: len(requests(server, "?state=waiting")) == len(wires), what="its waiting")
    waiting = requests(server, "?state=waiting")
    assert [r["user_agent"] for r in waiting] == ["w2", "w1", "w0"]  # the newest first
    assert [r["position"] for r in waiting] == [2, 1, 0]
    assert all(r["status"] is None and r["tokens"] is None for r in waiting)
    shown = {r["user_agent"]: r["waited_ms"] for r in waiting}
    gate.open()
    assert [w.answer().status for w in wires] == [200] * 3
    until(lambda: len(requests(server, "?state=done")) == 3, what="the end of all")
    done = {r["user_agent"]: r for r in requests(server)}
    assert [done[f"w{n}"]["loaded"] for n in range(3)] == [True, False, False]
    assert all(done[w]["waited_ms"] >= shown[w] for w in done)
    assert done["w0"]["waited_ms"] >= done["w1"]["waited_ms"] >= done["w2"]["waited_ms"]
    assert all(r["elapsed_ms"] >= r["waited_ms"] and r["position"] is None for r in done.values())
    assert ask(server, "late", "/tokenize", {"model": "quick"}).status == 200
    late = ended(server, "late")[0]
    assert late["waited_ms"] < done["w2"]["waited_ms"] and late["loaded"] is False
    for wire in wires:
        wire.close()


def test_a_client_that_leaves_while_it_waits(hostler, talker, gate):
    gate.shut()
    server = hostler("--models-dir", talker, engine=gate)
    with Wire(server) as wire:
        wire.ask("POST", "/tokenize", {"model": "quick"}, User_Agent="impatient")
        until(lambda: requests(server, "?state=waiting"), what="its waiting")
    (record,) = ended(server, "impatient")
    assert record["error"] == "client_gone" and record["status"] is None
    gate.open()


# --- refusals --------------------------------------------------------------------------------------

def test_refusals_say_why(hostler, talker, gate, tmp_path):
    presets = tmp_path / "p.ini"
    presets.write_text("[huge]\nmodel = %s\nmemory = 4G\n" % (talker / "quick.gguf"), encoding="utf-8")
    server = hostler("--models-dir", talker, "--models-preset", presets, "--max-queue", "1",
                     "--memory", "2G", engine=gate)
    server.post("/models/hold", {"model": "slow"})
    assert ask(server, "held", "/tokenize", {"model": "slow"}).status == 503
    assert ask(server, "too_large", "/tokenize", {"model": "huge"}).status == 503
    gate.shut()
    with Wire(server) as wire:
        wire.ask("POST", "/tokenize", {"model": "quick"}, User_Agent="unloaded")
        until(lambda: server.queue(), what="its waiting")
        assert ask(server, "queue_full", "/tokenize", {"model": "quick"}).status == 503
        server.post("/models/unload", {"model": "quick"})
        assert wire.answer().status == 503
    for state in ("held", "too_large", "queue_full", "unloaded"):
        (record,) = ended(server, state)
        assert (record["status"], record["error"]) == (503, state)
        assert record["loaded"] is (state == "unloaded")  # though it did not come to an end
    assert ask(server, "missing", "/tokenize", {"model": "nosuch"}).status == 400
    (record,) = ended(server, "missing")
    assert (record["model"], record["error"]) == ("nosuch", "not_found")
    assert ask(server, "asleep", "/tokenize?autoload=0", {"model": "quick"}).status == 400
    assert ended(server, "asleep")[0]["status"] == 400
    assert ask(server, "nameless", "/tokenize", {"content": "x"}).status == 400
    assert ended(server, "nameless")[0]["status"] == 400
    gate.open()


def test_what_the_engine_refuses(server):
    assert ask(server, "engine-400", CHAT, {"model": "quick", "messages": 7}).status == 400
    (record,) = ended(server, "engine-400")
    assert record["status"] == 400 and record["error"] is None and record["model"] == "quick"


def test_an_engine_that_breaks_off(hostler, talker):
    server = hostler("--models-dir", talker)
    connection, response = open_stream(server, "slow", max_tokens=20000)
    read_events(response, 1)
    os.kill(server.engines()["slow"]["pid"], 9)
    assert "signal 9" in response.read().decode()
    connection.close()
    record = until(lambda: requests(server, "?state=done"))[0]
    assert record["model"] == "slow" and record["status"] in (200, 502)
    last = server.get("/hostler/v1/show?model=slow").json["last_exit"]
    assert last["reason"] == "crashed" and last["signal"] == 9 and "signal 9" in last["message"]


# --- which of them ---------------------------------------------------------------------------------

def test_filters(server):
    for _ in range(3):
        ask(server, "many", "/tokenize", {"model": "fast"})
    ended(server, "many", 3)
    assert {r["model"] for r in requests(server, "?model=quick")} == {"quick"}
    assert requests(server, "?model=fast") == requests(server, "?model=quick")  # an alias
    assert requests(server, "?model=nosuch") == []
    assert requests(server, "?limit=0") == []
    assert len(requests(server, "?limit=2")) == 2
    assert {r["state"] for r in requests(server, "?state=done")} == {"done"}
    assert requests(server, "?state=waiting") == []
    ids = [r["id"] for r in requests(server, "?state=done&limit=1000")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("query", [
    "limit=", "limit=x", "limit=-1", "limit=1x", "limit=+", "state=", "state=ready", "state=DONE",
    "limit=99999999999999999999999x"])
def test_bad_filters(server, query):
    message = is_json_error(server.get(f"/hostler/v1/requests?{query}"), 400)
    assert query.split("=", maxsplit=1)[0] in message


def test_polls_that_went_well_are_not_kept(server):
    agent = {"User-Agent": "prometheus"}
    server.tokenize("quick")
    for _ in range(3):
        assert server.get("/slots?model=quick", headers=agent).status == 200
        server.get("/hostler/v1/requests", headers=agent)
        server.get("/models", headers=agent)
    assert server.get("/slots?model=quick&fail_on_no_slot=x", headers=agent).status == 200
    assert not of(server, "prometheus")
    server.get("/metrics?model=quick", headers=agent)  # refused: there is no --metrics
    assert ended(server, "prometheus")[0]["status"] in (400, 404, 501)


def test_a_poll_that_loads_is_kept(hostler, talker):
    server = hostler("--models-dir", talker)
    server.get("/slots?model=quick", headers={"User-Agent": "scraper"})
    (record,) = ended(server, "scraper")
    assert record["loaded"] is True and record["status"] == 200


def test_the_last_thousand_are_kept(server):
    with Wire(server) as wire:
        for _ in range(1010):
            wire.ask("POST", "/tokenize", {"model": "nosuch"}, User_Agent="swarm")
        for _ in range(1010):
            assert wire.answer().status == 400
    assert len(requests(server)) == 100
    assert len(requests(server, "?limit=100000")) == 1000


# --- why it is there -------------------------------------------------------------------------------

def test_why_it_came_back_after_it_was_unloaded(hostler, talker):
    server = hostler("--models-dir", talker)
    server.tokenize("quick", headers={"User-Agent": "editor/2"})
    server.post("/models/unload", {"models": ["quick"], "reason": "games"},
                headers={"User-Agent": "operator/1"})
    server.tokenize("quick", headers={"User-Agent": "cron-job/7"})
    ended(server, "cron-job/7")

    shown = server.get("/hostler/v1/show?model=quick").json  # one command
    assert "POST /tokenize from 127.0.0.1:" in shown["loaded_by"] and "cron-job/7" in shown["loaded_by"]
    told = [(c["event"], c["why"]) for c in shown["recent"]]
    assert [event for event, _ in told] == ["ready", "load", "end", "stop", "ready", "load"]
    assert "cron-job/7" in told[1][1] and "editor/2" in told[5][1]
    assert told[3][1].startswith("unloaded by POST /models/unload from 127.0.0.1:")
    assert "operator/1" in told[3][1] and told[3][1].endswith(": games")
    times = [c["at"] for c in shown["recent"]]
    assert times == sorted(times, reverse=True)
    assert server.get("/hostler/v1/status").json["recent"] == shown["recent"]
    assert [r["loaded"] for r in requests(server)] == [True, True]


def test_who_evicted_it(hostler, models):
    server = hostler("--models-dir", models, "--models-max", "1")
    server.tokenize("m1")
    server.tokenize("m2", headers={"User-Agent": "agent-b"})
    (stop,) = [c for c in server.get("/hostler/v1/show?model=m1").json["recent"]
               if c["event"] == "stop"]
    assert stop["why"].startswith("evicted to make room for 'm2', which POST /tokenize from 127.0.0.1:")
    assert "agent-b" in stop["why"]
    last = server.get("/hostler/v1/show?model=m1").json["last_exit"]
    assert last["reason"] == "evicted" and last["cause"] == stop["why"] and last["message"] is None


def test_whom_an_idle_model_left_for(hostler, models):
    server = hostler("--models-dir", models, "--ttl", "1")
    server.post("/models/load", {"model": "m1"}, headers={"User-Agent": "operator/1"})
    until(lambda: server.models()["m1"]["status"].get("reason") == "idle", PATIENCE, "its end")
    shown = server.get("/hostler/v1/show?model=m1").json
    assert "ttl" in shown["last_exit"]["cause"] and "operator/1" in shown["recent"][-1]["why"]


# --- one request, opened, and the export -----------------------------------------------------------

def opened(server, agent):
    return server.get(f"/hostler/v1/requests/{ended(server, agent)[0]['id']}").json


def test_a_request_can_be_opened(server):
    assert ask(server, "open/1", CHAT, chat("slow", stream=True, max_tokens=20)).status == 200
    r = opened(server, "open/1")
    assert {k: v for k, v in r.items() if k in of(server, "open/1")[0]} == of(server, "open/1")[0]
    t = r["timings"]
    assert 0 <= t["queued_ms"] <= t["first_token_ms"] <= t["last_ms"] == r["elapsed_ms"]
    assert t["load_ms"] is None or 0 <= t["load_ms"] <= t["queued_ms"]
    assert t["restore_ms"] is None
    assert r["request_bytes"] > 0 and r["response_bytes"] > 0
    fields = {name.lower(): value for name, value in r["headers"]["request"]}
    assert fields["user-agent"] == "open/1" and int(fields["content-length"]) == r["request_bytes"]
    fields = {name.lower(): value for name, value in r["headers"]["response"]}
    assert fields["content-type"].startswith("text/event-stream")
    assert r["request_body"] is None and r["response_body"] is None


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize("name, value", [
    ("Authorization", f"Bearer {SECRET}"), ("X-Api-Key", SECRET), ("api-key", SECRET), ("Cookie", f"a={SECRET}"),
    ("Proxy-Authorization", SECRET), ("X-Goog-Api-Key", SECRET), ("X-AUTH-TOKEN", SECRET), ("X-Conversation-Id", SECRET),
    ("X-Upstream", f"bearer {SECRET}"), ("Referer", f"http://localhost/?key={SECRET}"), ("X-Amz-Security-Token", SECRET)])
def test_secrets_are_not_kept(server, name, value):
    agent = f"secret-{name}/1"
    ask(server, agent, "/tokenize", {"model": "quick", "content": "x"}, **{name: value})
    whole = opened(server, agent)
    (kept,) = [v for n, v in whole["headers"]["request"] if n.lower() == name.lower()]
    assert kept == ("http://localhost/" if name == "Referer" else None)
    assert SECRET not in json.dumps(whole)
    assert SECRET not in server.get("/hostler/v1/requests?format=jsonl").body.decode()


def test_a_large_head_is_kept_in_part(server):
    ask(server, "large/1", "/tokenize", {"model": "quick", "content": "x"}, **{"X-Filler": "y" * 9000, "X-Last": "é:\tz"})
    names = [n.lower() for n, _ in opened(server, "large/1")["headers"]["request"]]
    assert "x-filler" not in names and "user-agent" in names
    assert len(json.dumps(opened(server, "large/1")["headers"])) < 8000


@pytest.mark.parametrize("path, status", [("x", 400), ("-1", 400), ("0", 400), ("1x", 400), ("9" * 30, 400), ("999999999", 404)])
def test_no_such_request(server, path, status):
    is_json_error(server.get(f"/hostler/v1/requests/{path}"), status)


def test_a_request_that_is_refused_can_be_opened(server):
    ask(server, "refused/1", CHAT, chat("no-such-model"))
    whole = opened(server, "refused/1")
    assert whole["status"] == 400 and whole["headers"]["response"] is None and whole["timings"]["queued_ms"] is None


def test_export(server):
    for i in range(3):
        ask(server, "export/1", "/tokenize", {"model": "quick", "content": str(i)})
    ended(server, "export/1", 3)
    answer = server.get("/hostler/v1/requests?format=jsonl&model=fast&state=done")
    assert answer.headers["content-type"] == "application/jsonl" and answer.body.endswith(b"\n")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines == requests(server, "?model=fast&state=done&limit=1000") and len(lines) >= 3
    assert len(server.get("/hostler/v1/requests?format=jsonl&limit=2").body.splitlines()) == 2
    assert server.get("/hostler/v1/requests?format=jsonl&model=nothing").body == b""
    assert "'format'" in is_json_error(server.get("/hostler/v1/requests?format=xml"), 400)
    with Wire(server).ask("HEAD", "/hostler/v1/requests?format=jsonl") as wire:
        assert wire.head().status == 200
