# SPDX-License-Identifier: MIT
"""GET /metrics: hostler's figures, in both formats, and those of its engines. What clients counted must be there exactly; what
clients make up must leave no row; nothing is loaded, woken or waited for."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
import tiny_model
from conftest import until
from figures import Figures, scrape
from pace import Frozen
from wire import FAKE_ENGINE, Wire, chat, fake_models, open_stream, read_events

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4"}
CHAT = "/v1/chat/completions"
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def server(module_hostler, models):
    """Others ask it, too: a test compares with what was there before."""
    server = module_hostler("--models-dir", models, "-c", "512", "--metrics-engines")
    assert server.tokenize("m1").status == 200
    return server


def promtool(figures):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    told = subprocess.run(["promtool", "check", "metrics"], input=figures.text, text=True, capture_output=True, check=False)
    assert told.returncode == 0 and not told.stdout + told.stderr, told.stdout + told.stderr


def requests_of(figures, model, route, status="200"):
    return figures.value("hostler_requests_total", 0, model=model, route=route, status=status)


# --- what is counted --------------------------------------------------------------------------------

def test_counts_are_what_the_client_counted(hostler, models):
    server = hostler("--models-dir", models, "-c", "512", "--models-max", "1")
    given = taken = 0
    for n, model in enumerate(["m1", "m2", "m1", "m1"]):
        answer = server.post(CHAT, chat(model, max_tokens=n + 2)).json
        given += answer["usage"]["prompt_tokens"]
        taken += answer["usage"]["completion_tokens"]
    for n in range(3):
        _connection, response = open_stream(server, "m1", max_tokens=4, stream_options={"include_usage": True})
        usage = [u for _, text in read_events(response) if text != "[DONE]" and (u := json.loads(text).get("usage"))][-1]
        given += usage["prompt_tokens"]
        taken += usage["completion_tokens"]
    assert server.post(CHAT, chat("nobody")).status == 400
    # The last byte of an answer is on its way before the record is closed.
    f = until(lambda: (f := scrape(server)).sum("hostler_requests_total", route=CHAT) == 8 and f)
    assert requests_of(f, "m1", CHAT) == 6 and requests_of(f, "m2", CHAT) == 1
    assert requests_of(f, "other", CHAT, "400") == 1
    assert f.sum("hostler_tokens_total", type="input") == given
    assert f.sum("hostler_tokens_total", type="output") == taken
    assert f.sum("hostler_tokens_total", type="cached") + f.sum("hostler_tokens_total", type="computed") == given
    assert f.value("hostler_request_duration_seconds_count", model="m1") == 6
    assert f.value("hostler_request_queue_seconds_count", model="m1") == 6
    assert f.value("hostler_request_time_to_first_token_seconds_count", model="m1") == 3
    assert f.value("hostler_request_time_per_output_token_seconds_count", model="m1") == 6
    assert f.value("hostler_refusals_total", reason="not_found") == 1
    # m1 was evicted for m2, m2 for m1
    assert f.value("hostler_loads_total", model="m1", result="ready") == 2
    assert f.value("hostler_load_seconds_count", model="m1") == 2
    assert f.value("hostler_evictions_total", cause="room") == 2
    assert f.value("hostler_stops_total", model="m2", reason="evicted") == 1
    assert f.value("hostler_http_requests_total", route=CHAT, method="POST", status="200") == 7
    assert f.value("hostler_model_state", model="m1", state="loaded") == 1
    assert f.value("hostler_model_state", model="m2", state="unloaded") == 1
    assert f.value("hostler_model_memory_bytes", model="m1", device="host") > 0
    assert f.value("hostler_models") == 4


def test_a_client_that_leaves_and_one_that_is_refused(hostler, models):
    server = hostler("--models-dir", models, "-c", "512")
    assert server.post("/models/hold", {"model": "m2"}).status == 200
    assert server.post(CHAT, chat("m2")).status == 503
    with Frozen(server, "m1"):
        wire = Wire(server)
        body = json.dumps(chat("m1")).encode()
        wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        until(lambda: scrape(server).value("hostler_requests_running", model="m1") == 1)
        wire.close()
        f = until(lambda: requests_of(f := scrape(server), "m1", CHAT, "0") and f)
    assert f.value("hostler_refusals_total", reason="held") == 1
    assert requests_of(f, "m2", CHAT, "503") == 1
    assert f.value("hostler_models_held") == 1
    assert f.value("hostler_request_duration_seconds_count", model="m2") is None


def test_a_crash_and_a_load_that_fails(hostler, models, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    shutil.copy(models / "m1.gguf", broken / "m1.gguf")
    tiny_model.make(str(broken / "bad.gguf"))
    whole = (broken / "bad.gguf").read_bytes()
    (broken / "bad.gguf").write_bytes(whole[:len(whole) // 2])
    server = hostler("--models-dir", broken, "-c", "512")
    assert server.tokenize("m1").status == 200
    assert server.tokenize("bad").status >= 500
    os.kill(server.engines()["m1"]["pid"], signal.SIGKILL)
    f = until(lambda: (f := scrape(server)).value("hostler_stops_total", model="m1", reason="crashed") and f)
    assert f.sum("hostler_loads_total", model="bad", result="failed") >= 1
    assert f.value("hostler_model_state", model="bad", state="failed") == 1


def test_what_clients_make_up_leaves_no_row(server):
    before = scrape(server)
    for n in range(40):
        server.post(CHAT, chat(f"made-up-{n}"))
        server.get(f"/made/up/{n}")
        server.get(f"/slots?model=made-up-{n}")
        server.request("PROPFIND" if n % 2 else "PURGE", f"/made/{n}")
    after = scrape(server)
    assert "made" not in after.text
    assert len(after.samples) - len(before.samples) < 20
    assert after.value("hostler_http_requests_total", route="other", method="other", status="404") >= 40
    assert after.labels("hostler_requests_total", "model") <= {"other", "m1", "m2", "m3", "m4"}


def test_no_counter_falls_over_a_reload(hostler, models, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("m1", "m2"):
        shutil.copy(models / f"{name}.gguf", folder / f"{name}.gguf")
    server = hostler("--models-dir", folder, "-c", "512")
    assert server.tokenize("m1").status == server.tokenize("m2").status == 200
    before = scrape(server)
    (folder / "m2.gguf").unlink()
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "m2" not in server.models())
    after = scrape(server)
    for key, value in before.counters().items():
        assert after.samples.get(key, -1) >= value, key
    assert after.value("hostler_model_state", model="m2", state="unloaded") is None
    assert requests_of(after, "m2", "/tokenize") == 1


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "größe 7", "{a=\"b\"} 1", "tail\\", "\u2028"])
def test_hostile_names_of_models(hostler, models, tmp_path, name):
    folder = tmp_path / "named"
    folder.mkdir()
    shutil.copy(models / "m1.gguf", folder / f"{name}.gguf")
    server = hostler("--models-dir", folder, "-c", "512", "--metrics-engines")
    assert server.tokenize(name).status == 200
    f = scrape(server)
    assert requests_of(f, name, "/tokenize") == 1
    assert f.value("llamacpp_requests_processing", model=name) == 0
    promtool(f)


# --- formats --------------------------------------------------------------------------------------

def test_the_format_is_what_was_asked_for(server):
    plain = server.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in plain.body
    answer = server.get("/metrics", headers=OPEN)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.body.endswith(b"\n# EOF\n") and answer.body.count(b"# EOF") == 1
    text, openmetrics = Figures(plain.body.decode()), Figures(answer.body.decode())
    openmetrics.check_histograms()
    assert {n for n, _ in text.samples} == {n for n, _ in openmetrics.samples}
    for name, kind in openmetrics.types.items():  # OpenMetrics 1.0: a counter's family has no suffix, its samples have it
        assert kind != "counter" or not name.endswith("_total")
    for name in {n for n, _ in openmetrics.samples}:
        assert not name.endswith("_created")


def test_head_and_other_methods(server):
    answer = server.request("HEAD", "/metrics")
    assert (answer.status, answer.body) == (200, b"")
    assert server.post("/metrics").status == 405
    assert server.get("/hostler/v1/metrics").status == 200


def test_promtool_finds_nothing(server):
    for path in ("/metrics", "/metrics?engines=1", "/metrics?engines=0", "/hostler/v1/metrics"):
        promtool(scrape(server, path))


def test_the_document_lists_all(server):
    """docs/metrics.md: a row a family, `name` | type | labels | text."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.M))
    told = {n: k for n, k in scrape(server, "/metrics?engines=0").types.items()}
    assert rows == told


# --- engines ---------------------------------------------------------------------------------------

def test_engines_have_their_model_as_a_label(server):
    assert server.tokenize("m2").status == 200
    f = scrape(server)
    assert {"m1", "m2"} <= f.labels("llamacpp_requests_processing", "model")
    assert f.types["llamacpp_tokens_predicted_total"] == "counter"
    assert "llamacpp_requests_processing" not in scrape(server, "/metrics?engines=0").types
    own = server.get("/metrics?model=m1")
    assert own.status == 200 and b"llamacpp:requests_processing" in own.body and b"hostler_" not in own.body


def test_one_that_hangs_is_left_out(server):
    with Frozen(server, "m3"):
        before = scrape(server, "/metrics?engines=0")
        f = scrape(server)
        assert "m3" not in f.labels("llamacpp_requests_processing", "model")
        assert "m1" in f.labels("llamacpp_requests_processing", "model")
        after = scrape(server, "/metrics?engines=0")
        failures = "hostler_engine_metrics_failures_total"
        assert after.value(failures, cause="silent") > before.value(failures, cause="silent")


@pytest.mark.parametrize("text", [
    "n 1\nn 2\n", 'n{a="1",a="2"} 1\n', 'n{model="x",exported_model="y"} 1\n', "n -nan\nm 1e999\n", 'n{x="\xff"} 1\n# HELP n \xff\\x\n',
    "# TYPE h histogram\nh 1\nh_bucket 1\nh_sum 1\nh_count 1\n", '# TYPE s summary\ns{quantile="x"} 1\n',
    "# TYPE hostler_leases gauge\nhostler_leases 7\nhostler_leases 8\nprocess_open_fds 3\n", "# EOF\nn 1\n# EOF\n", "\0\0\1", "x" * 300_000, ""],
    ids=lambda t: repr(t[:20]))
def test_an_engine_that_tells_nonsense_spoils_no_scrape(hostler, tmp_path, text):
    server = hostler("--models-dir", fake_models(tmp_path / "m", a={"metrics": text}, b={}), engine=FAKE_ENGINE)
    assert server.tokenize("a").status == server.tokenize("b").status == 200
    f = scrape(server, "/metrics?engines=1")
    assert f.value("llamacpp_requests_processing", model="b") == 0
    assert f.value("hostler_leases") == 0
    if shutil.which("promtool"):  # what it says of an engine's names is not ours to mend
        told = subprocess.run(["promtool", "check", "metrics"], input=f.text, text=True, capture_output=True, check=False)
        assert "error while linting" not in told.stderr and "parsing" not in told.stderr, told.stderr
    scrape(server, "/metrics?engines=1", headers=OPEN)


def test_promtool_finds_nothing_in_any_state(hostler, tmp_path):
    """No model at all; then one that loads, one that failed, and one whose file's name is no UTF-8."""
    empty = tmp_path / "empty"
    empty.mkdir()
    promtool(scrape(hostler("--models-dir", empty)))
    folder = fake_models(tmp_path / "m", slow={"never_ready": True}, bad={"exit_at_load": 3})
    with open(os.fsencode(folder) + b"/b\xff\xc3.gguf", "wb") as f:
        f.write((folder / "bad.gguf").read_bytes())
    server = hostler("--models-dir", folder, engine=FAKE_ENGINE)
    server.post("/models/load", {"model": "bad"})
    server.post("/models/load", {"model": "slow"})
    until(lambda: server.state("slow") == "loading")
    for model in server.models():
        if model not in ("slow", "bad"):
            server.tokenize(model)
    for path in ("/metrics", "/metrics?engines=1"):
        f = scrape(server, path)
        assert f.value("hostler_model_state", model="slow", state="loading") == 1
        promtool(f)
        scrape(server, path, headers=OPEN)


def test_nothing_is_loaded_or_woken(hostler, models):
    server = hostler("--models-dir", models, "-c", "512", "--sleep-idle-seconds", "1", "--metrics-engines")
    scrape(server)
    assert not server.loaded() and not server.engines()
    assert server.tokenize("m1").status == 200
    until(lambda: server.state("m1") == "sleeping")
    for _ in range(3):
        f = scrape(server)
    assert server.state("m1") == "sleeping"
    assert f.value("hostler_model_state", model="m1", state="sleeping") == 1
    assert "llamacpp_requests_processing" not in f.types


def test_engines_that_serve_no_figures_are_counted(hostler, models):
    server = hostler("--models-dir", models, "-c", "512")
    assert server.tokenize("m1").status == 200
    assert "llamacpp" not in scrape(server, "/metrics?engines=1").text
    assert scrape(server).value("hostler_engine_metrics_failures_total", cause="refused") == 1


def test_launches_change_only_when_it_is_asked_for(server, hostler, models):
    plain = hostler("--models-dir", models, "-c", "512")
    args = [s.models()["m1"]["status"]["args"] for s in (server, plain)]
    assert "--metrics" not in args[0] and args[0][1:] == args[1][1:]


# --- who may, and when ------------------------------------------------------------------------------

def test_a_key_is_needed(hostler, models):
    server = hostler("--models-dir", models, "--api-key", "secret")
    for path in ("/metrics", "/metrics?engines=1", "/hostler/v1/metrics"):
        assert server.get(path).status == 401
    f = scrape(server, headers={"Authorization": "Bearer secret"})
    assert f.value("hostler_http_requests_total", route="/metrics", method="GET", status="401") == 2
    assert "secret" not in f.text


def test_classic_mode(hostler, models):
    server = hostler("--model", models / "m1.gguf", "-c", "512", "--metrics")
    until(lambda: server.get("/health").status == 200)
    assert b"llamacpp:requests_processing" in server.get("/metrics").body
    f = scrape(server, "/hostler/v1/metrics")
    assert f.value("hostler_loads_total", model=next(iter(f.labels("hostler_model_state", "model"))), result="ready") == 1
    promtool(f)
    promtool(scrape(server, "/hostler/v1/metrics?engines=1"))


def test_while_it_ends(hostler, models):
    server = hostler("--models-dir", models, "-c", "4096", "--parallel", "1")
    assert server.tokenize("m1").status == 200
    connection, response = open_stream(server, "m1", max_tokens=3000)
    read_events(response, 2)
    wires = [Wire(server) for _ in range(5)]
    for n, wire in enumerate(wires):
        if n == 2:
            server.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):  # those that come too late
            wire.send(b"GET /metrics?engines=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for wire in wires:
        with contextlib.suppress(OSError, EOFError, AssertionError, ValueError, IndexError):
            wire.head()
        wire.close()
    connection.close()
    assert server.stop() == 0


def test_many_scrapes_at_once(server):
    wires = [Wire(server) for _ in range(30)]
    for w in wires:
        w.send(b"GET /metrics?engines=1 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
    for w in wires[::3]:
        w.close()  # some do not wait
    for i, w in enumerate(wires):
        if i % 3:
            assert w.head().status == 200
            w.close()
    scrape(server)
