# SPDX-License-Identifier: MIT
"""Spans and metrics for an OpenTelemetry collector, which may be slow, away or out of order."""
import json
import time

import pytest
from collector import Collector, attributes
from conftest import PATIENCE, until
from unloading import fake  # noqa: F401
from wire import open_stream, read_events

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "100"}


@pytest.fixture
def collector():
    c = Collector()
    yield c
    c.close()


@pytest.fixture
def start(fake, collector):  # noqa: F811
    """start(env, models): a daemon that sends to the collector."""
    def call(env=None, **models):
        return fake(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **QUICK, **(env or {})}, **(models or {"a": {}}))
    return call


def chat(server, model="a", headers=None, stream=False):
    return server.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "x"}],
                                                "stream": stream}, headers=headers or {})


def telemetry(server):
    return server.get("/hostler/v1/status").json["telemetry"]


def test_a_request_is_a_span_with_its_parts(start, collector):
    server = start()
    assert chat(server).status == 200
    root, = collector.wait_for("chat a")
    facts = attributes(root)
    assert root["kind"] == 2 and "parentSpanId" not in root and "status" not in root
    assert facts["http.request.method"] == "POST" and facts["http.route"] == "/v1/chat/completions"
    assert facts["http.response.status_code"] == 200 and facts["client.address"].startswith("127.0.0.1")
    assert facts["gen_ai.operation.name"] == "chat"
    assert facts["gen_ai.request.model"] == facts["gen_ai.response.model"] == "a"
    assert facts["hostler.loaded"] is True and "error.type" not in facts
    parts = {s["name"]: s for s in collector.spans() if s.get("parentSpanId") == root["spanId"]}
    assert {"queue", "load"} <= set(parts)
    for part in parts.values():
        assert part["kind"] == 1 and part["traceId"] == root["traceId"]
        assert int(part["endTimeUnixNano"]) <= int(root["endTimeUnixNano"]) + 1_000_000
    collector.check_all()


def test_real_answers_tell_their_tokens(hostler, models, collector):
    server = hostler("--models-dir", models, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **QUICK})
    model = next(iter(server.models()))
    answer = chat(server, model).json
    root, = collector.wait_for(f"chat {model}")
    facts = attributes(root)
    assert facts["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert facts["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    collector.check_all()


def test_a_callers_trace_goes_on(start, collector):
    server = start()
    chat(server, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    root, = collector.wait_for("chat a")
    assert root["traceId"] == TRACE and root["parentSpanId"] == PARENT


@pytest.mark.parametrize("text", ["", "00-" + "0" * 32 + f"-{PARENT}-01", f"00-{TRACE}-" + "0" * 16 + "-01", f"ff-{TRACE}-{PARENT}-01",
                                  f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}",
                                  "x" * 5000])
def test_what_is_no_traceparent_begins_a_trace(start, collector, text):
    server = start()
    assert chat(server, headers={"traceparent": text}).status == 200
    root, = collector.wait_for("chat a")
    assert root["traceId"] != TRACE and "parentSpanId" not in root


def test_a_caller_says_that_nothing_is_recorded(start, collector):
    server = start()
    chat(server, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    chat(server, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    collector.wait_for("chat a")
    assert len([s for s in collector.spans() if s["name"] == "chat a"]) == 1


def test_nothing_is_recorded(start, collector):
    server = start(env={"OTEL_TRACES_SAMPLER": "always_off"})
    assert chat(server, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}).status == 200
    server.stop()
    assert collector.spans() == []


def test_the_engine_gets_our_span_as_parent(start, collector):
    server = start()
    answer = server.post("/v1/rerank", {"model": "a", "query": "q", "documents": ["d"]},
                         headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "v=1"})
    root, = collector.wait_for("rerank a")
    got = {name.lower(): value for name, value in answer.json["headers"]}
    assert got["traceparent"] == f"00-{TRACE}-{root['spanId']}-01" and got["tracestate"] == "v=1"


def test_without_a_collector_a_callers_trace_passes_untouched(fake):  # noqa: F811
    server = fake(a={})
    answer = server.post("/v1/rerank", {"model": "a", "query": "q", "documents": ["d"]},
                         headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert dict(answer.json["headers"])["traceparent"] == f"00-{TRACE}-{PARENT}-01"


def test_refusals_and_ends(start, collector):
    server = start()
    assert chat(server, "nobody").status == 400
    root, = collector.wait_for("chat nobody")
    assert attributes(root)["error.type"] == "not_found" and "status" not in root
    server.post("/models/hold", {"model": "a"})
    assert chat(server).status == 503
    root, = collector.wait_for("chat a")
    assert attributes(root)["error.type"] == "held" and root["status"]["code"] == 2
    assert "gen_ai.response.model" not in attributes(root)
    collector.check_all()


def test_a_collector_that_is_away_costs_nothing_and_is_told_of(start, collector):
    collector.answer = None
    server = start(env={"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_METRICS_EXPORTER": "none"})
    begin = time.monotonic()
    for _ in range(30):
        assert chat(server).status == 200
    assert time.monotonic() - begin < PATIENCE
    counts = until(lambda: (t := telemetry(server))["dropped"] and t, what="dropped spans")
    assert counts["sent"] == 0 and counts["endpoint"] == collector.url + "/v1/traces"
    assert server.get("/health").status == 200


def test_a_collector_that_comes_back(start, collector):
    collector.answer, collector.fields = 503, {"Retry-After": "1"}
    server = start(env={"OTEL_METRICS_EXPORTER": "none"})
    chat(server)
    until(lambda: telemetry(server)["failed"], what="a failure")
    assert "503" in telemetry(server)["error"]
    collector.answer = 200
    until(lambda: telemetry(server)["sent"] and telemetry(server)["error"] is None, what="the same spans again")
    assert telemetry(server)["dropped"] == 0
    assert server.log().count("does not take what is sent") == 1 and "takes what is sent again" in server.log()


def test_what_a_collector_refuses_is_dropped(start, collector):
    collector.answer = 400
    server = start(env={"OTEL_METRICS_EXPORTER": "none"})
    chat(server)
    until(lambda: telemetry(server)["dropped"], what="dropped spans")
    n = len(collector.posts)
    assert telemetry(server)["sent"] == 0 and n >= 1


def test_a_part_that_is_rejected_counts(start, collector):
    collector.text = json.dumps({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "no"}}).encode()
    server = start(env={"OTEL_METRICS_EXPORTER": "none"})
    chat(server)
    until(lambda: telemetry(server)["sent"] and telemetry(server)["dropped"], what="both")


def test_what_waits_is_sent_at_the_end(start, collector):
    server = start(env={"OTEL_BSP_SCHEDULE_DELAY": "600000"})
    chat(server)
    assert collector.spans() == []
    assert server.stop() == 0
    assert collector.wait_for("chat a")


def test_an_end_does_not_wait_for_a_silent_collector(start, collector):
    collector.answer = None
    server = start()
    chat(server)
    until(lambda: collector.posts, what="a post")
    assert server.stop() == 0


def test_headers_reach_the_collector_and_nothing_else(start, collector):
    server = start(env={"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=t1,authorization=Bearer%20hidden"})
    chat(server)
    collector.wait_for("chat a")
    path, headers, _ = next(p for p in collector.posts if p[0] == "/v1/traces")
    assert headers["x-tenant"] == "t1" and headers["authorization"] == "Bearer hidden"
    assert "hidden" not in server.log() and "hidden" not in server.get("/hostler/v1/status").body.decode()
    assert "hidden" not in server.get("/hostler/v1/show?model=a").body.decode()


def test_figures_are_sent(start, collector):
    server = start()
    for _ in range(3):
        assert chat(server).status == 200
    assert chat(server, "nobody").status == 400

    def points(name):
        metric = collector.metrics().get(name, {})
        kind = next((metric[k] for k in ("sum", "gauge", "histogram") if k in metric), {"dataPoints": []})
        return {tuple(sorted(attributes(p).items())): p for p in kind["dataPoints"]}

    mine = (("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "llama"), ("gen_ai.request.model", "a"))
    until(lambda: int(points("gen_ai.server.request.duration").get(mine, {"count": 0})["count"]) == 3, what="three requests")
    duration = points("gen_ai.server.request.duration")[mine]
    assert sum(map(int, duration["bucketCounts"])) == 3 and len(duration["bucketCounts"]) == len(duration["explicitBounds"]) + 1
    assert collector.metrics()["gen_ai.server.request.duration"]["unit"] == "s"
    assert server.post("/tokenize", {"model": "a", "content": "x"}).status == 200
    for path, operation in (("/v1/embeddings", "embeddings"), ("/v1/completions", "text_completion"),
                            ("/v1/messages/count_tokens", "count_tokens")):
        server.post(path, {"model": "a", "input": "x", "prompt": "x"})
        until(lambda: any(dict(k)["gen_ai.operation.name"] == operation for k in points("gen_ai.server.request.duration")),
              what=operation)
    for name in (n for n in collector.metrics() if n.startswith("gen_ai.")):
        for key in points(name):
            assert {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"} == set(dict(key)), name
    requests = points("hostler.requests")
    assert sum(int(p["asInt"]) for key, p in requests.items() if dict(key)["gen_ai.request.model"] == "a" and dict(key)["route"] == "/v1/chat/completions") == 3
    assert points("hostler.build_info")
    until(lambda: int(points("hostler.memory")[(("device", "host"), ("kind", "total"))]["asInt"]), what="the host's memory")
    collector.check_all()


def test_the_last_figures_are_sent_at_the_end(start, collector):
    server = start(env={"OTEL_METRIC_EXPORT_INTERVAL": "600000"})
    assert chat(server).status == 200
    assert collector.bodies("/v1/metrics") == []
    assert server.stop() == 0
    assert "gen_ai.server.request.duration" in collector.metrics()


def test_a_signal_that_is_not_exported(start, collector):
    """OTEL_TRACES_EXPORTER=none: figures go on, and the end sends no span either."""
    server = start(env={"OTEL_TRACES_EXPORTER": "none"})
    assert chat(server).status == 200
    until(collector.metrics, what="figures")
    assert server.stop() == 0
    assert not collector.spans()


def test_it_is_off_without_an_endpoint(fake):  # noqa: F811
    server = fake(a={})
    assert telemetry(server) is None


def test_a_stream_tells_its_first_token(start, collector):
    server = start(a={"tokens": 5, "token_ms": 20})
    connection, response = open_stream(server, "a")
    read_events(response, 3)
    response.read()
    connection.close()
    root, = collector.wait_for("chat a")
    names = {s["name"] for s in collector.spans() if s.get("parentSpanId") == root["spanId"]}
    assert {"first token", "stream"} & names
    collector.check_all()
