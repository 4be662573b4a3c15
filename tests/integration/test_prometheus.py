# SPDX-License-Identifier: MIT
"""A real Prometheus scrapes a daemon with real engines: its sums are what the clients counted, it takes the alert rules, and each
query of the Grafana dashboard and of the rules asks for figures that there are."""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import clean_env, until
from figures import Figures
from wire import chat, open_stream, read_events

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging" / "prometheus" / "hostler.rules.yml"
DASHBOARD = ROOT / "packaging" / "grafana" / "hostler.json"
CHAT = "/v1/chat/completions"
INTERVAL = "250ms"

pytestmark = pytest.mark.skipif(not shutil.which("prometheus") or not shutil.which("promtool"),
                                reason="Prometheus is not installed")


class Prometheus:
    def __init__(self, folder, target, *, engines):
        self.config = folder / "prometheus.yml"
        params = "    params: {engines: ['1']}\n" if engines else ""
        self.config.write_text(f"""global: {{scrape_interval: {INTERVAL}, evaluation_interval: {INTERVAL}}}
rule_files: ['{RULES}']
scrape_configs:
  - job_name: hostler
{params}    static_configs: [{{targets: ['{target}']}}]
""", encoding="utf-8")
        self.log = folder / "prometheus.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.config}", f"--storage.tsdb.path={folder / 'tsdb'}",
                 "--web.listen-address=127.0.0.1:0", "--storage.tsdb.retention.time=1h"],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=clean_env(), cwd=folder)
        self.port = until(self.find_port, what="Prometheus' listening")
        until(self.is_ready, what="Prometheus' being ready")

    def find_port(self):
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        found = re.search(r'"?Listening on"? .*address=\S*:(\d+)', self.log.read_text(encoding="utf-8"))
        return found and int(found[1]) or None

    def is_ready(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=30).status == 200
        return False

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{query}: {e.read().decode()}") from None

    def query(self, text):
        return self.get("query", query=text)["result"]

    def value(self, text):
        """Of the only series; None: there is none (yet)."""
        found = self.query(text)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def server(module_hostler, models):
    return module_hostler("--models-dir", models, "-c", "512", "--models-max", "2", "--metrics-engines")


@pytest.fixture(scope="module")
def prometheus(server, tmp_path_factory):
    p = Prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{server.port}", engines=False)
    until(lambda: p.value("up") == 1.0, what="the first scrape")
    yield p
    p.stop()


def test_what_it_stores_is_what_clients_counted(server, prometheus):
    given = taken = 0
    for n, model in enumerate(["m1", "m2", "m3", "m1"]):
        usage = server.post(CHAT, chat(model, max_tokens=n + 1)).json["usage"]
        given += usage["prompt_tokens"]
        taken += usage["completion_tokens"]
    for _ in range(3):
        _connection, response = open_stream(server, "m3", max_tokens=5, stream_options={"include_usage": True})
        usage = [u for _, text in read_events(response) if text != "[DONE]" and (u := json.loads(text).get("usage"))][-1]
        given += usage["prompt_tokens"]
        taken += usage["completion_tokens"]
    for _ in range(5):
        assert server.post(CHAT, chat("nobody")).status == 400
    wanted = {
        f'sum(hostler_requests_total{{route="{CHAT}",status="200"}})': 7,
        f'sum(hostler_requests_total{{route="{CHAT}",status="400"}})': 5,
        f'hostler_requests_total{{route="{CHAT}",model="m3"}}': 4,
        "sum(hostler_request_duration_seconds_count)": 7,
        'hostler_request_duration_seconds_bucket{model="m3",le="+Inf"}': 4,
        'sum(hostler_tokens_total{type="input"})': given,
        'sum(hostler_tokens_total{type="output"})': taken,
        'hostler_refusals_total{reason="not_found"}': 5,
        "hostler_models": 4,
        'sum(hostler_model_state{state="loaded"})': 2,
        f'hostler_http_requests_total{{route="{CHAT}",status="200"}}': 7,
    }
    until(lambda: all(prometheus.value(q) == n for q, n in wanted.items()) or
          print({q: (prometheus.value(q), n) for q, n in wanted.items() if prometheus.value(q) != n}),
          what="what Prometheus stores")
    until(lambda: prometheus.query('llamacpp_tokens_predicted_total{model="m3"}'), what="an engine's own figures")
    target = prometheus.get("targets")["activeTargets"][0]
    assert target["lastError"] == "" and target["health"] == "up"
    errors = [line for line in prometheus.log.read_text(encoding="utf-8").splitlines() if re.search("level=(warn|error)", line)]
    assert not [e for e in errors if "scrape" in e], errors


def test_it_takes_the_rules(prometheus):
    def evaluated():
        rules = prometheus.get("rules")["groups"][0]["rules"]
        return all(r["health"] == "ok" for r in rules) and rules
    rules = until(evaluated, what="the evaluation of the rules")
    assert {r["name"] for r in rules} >= {"HostlerThrash", "HostlerModelFailing", "HostlerMemoryShort", "HostlerQueueOld",
                                          "HostlerEngineCrashLoop"}


def queries():
    """All expressions of the dashboard, with its variables set."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [a["expr"] for a in dashboard["annotations"]["list"]]
    found += [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    return [q.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$model", ".*") for q in found]


def exported(server):
    figures = Figures(server.get("/metrics").body.decode())
    names = set()
    for name, kind in figures.types.items():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def test_the_dashboard_asks_for_what_there_is(server, prometheus):
    names, asked = exported(server), set()
    assert len(queries()) > 40
    for q in queries():
        assert "$" not in q
        asked |= set(re.findall(r"\b(?:hostler|process)_\w+", q))
        prometheus.query(q)  # fails where it cannot be evaluated
    assert asked <= names, asked - names
    used = set(re.findall(r"\bhostler_\w+(?=[\[{ )])", RULES.read_text(encoding="utf-8")))
    assert used and used <= names, used - names


def test_dashboard_is_whole():
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(ids) == len(set(ids)) and dashboard["uid"] == "hostler"
    taken = set()
    for p in dashboard["panels"]:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken and g["x"] + g["w"] <= 24, p["title"]
        taken |= cells
    variables = {v["name"] for v in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - {"__rate_interval", "__all"} <= variables


def test_promtool_takes_the_rules(tmp_path):
    tests = tmp_path / "tests.yml"
    text = pathlib.Path(__file__).with_name("prometheus.rules.test.yml").read_text(encoding="utf-8")
    tests.write_text(text.replace("RULES", str(RULES)), encoding="utf-8")
    for args in (["check", "rules", RULES], ["test", "rules", tests]):
        done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_daemon_that_ends(hostler, models, tmp_path):
    """Prometheus notices, and asks for those of engines, which tell none here."""
    server = hostler("--models-dir", models, "-c", "512")
    with contextlib.closing(Closer(Prometheus(tmp_path, f"127.0.0.1:{server.port}", engines=True))) as p:
        assert server.tokenize("m1").status == 200
        query = 'hostler_requests_total{route="/tokenize"}'
        until(lambda: p.prometheus.value(query) == 1, what="the first figures")
        assert server.stop() == 0
        until(lambda: p.prometheus.value("up") == 0, what="its being down")


class Closer:
    def __init__(self, prometheus):
        self.prometheus = prometheus

    def close(self):
        self.prometheus.stop()
