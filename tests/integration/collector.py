# SPDX-License-Identifier: MIT
"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, and checks it by OpenTelemetry's own schema.

OTLP_SCHEMA names the folder that has that (scripts/python-packages fetches it).
"""
import base64
import http.server
import json
import os
import sys
import threading

import pytest
from conftest import until

SCHEMA = os.environ.get("OTLP_SCHEMA", "")


def schema():
    if not os.path.isdir(SCHEMA):
        pytest.skip("OpenTelemetry's schema is missing: scripts/python-packages could not fetch it")
    if SCHEMA not in sys.path:
        sys.path.insert(0, SCHEMA)
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    return json_format.Parse, {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


def with_base64_ids(value):
    """OTLP's JSON has ids in hexadecimal, where protobuf's has base64."""
    if isinstance(value, list):
        return [with_base64_ids(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ("traceId", "spanId", "parentSpanId") else
            with_base64_ids(v) for k, v in value.items()}


def check(path, body):
    """Unknown members, wrong types and ids of another length are errors."""
    parse, types = schema()
    request = parse(json.dumps(with_base64_ids(body)), types[path]())
    for resource in getattr(request, "resource_spans", ()):
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8 and len(span.parent_span_id) in (0, 8)
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano and span.name


def value_of(value):
    kind, content = next(iter(value.items()))
    return int(content) if kind == "intValue" else content


class Collector:
    """url; posts: (path, headers, body); answer: the status that it gives, None: it does not answer."""

    def __init__(self):
        collector = self
        self.posts, self.answer, self.fields, self.text = [], 200, {}, b"{}"
        self.released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.posts.append((self.path, dict(self.headers), json.loads(body)))
                status, fields, text = collector.answer, dict(collector.fields), collector.text
                if status is None:
                    collector.released.wait(120)
                    return
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def bodies(self, path):
        return [body for at, _, body in list(self.posts) if at == path]

    def spans(self):
        return [span for body in self.bodies("/v1/traces") for r in body["resourceSpans"]
                for s in r["scopeSpans"] for span in s["spans"]]

    def wait_for(self, name, n=1):
        """n spans whose name begins with that."""
        def found():
            spans = [s for s in self.spans() if s["name"].startswith(name)]
            return spans if len(spans) >= n else None
        return until(found, what=f"{n} spans {name}")

    def metrics(self):
        """The last value of each, {name: data}."""
        return {m["name"]: m for body in self.bodies("/v1/metrics") for r in body["resourceMetrics"]
                for s in r["scopeMetrics"] for m in s["metrics"]}

    def check_all(self):
        for path, _, body in list(self.posts):
            check(path, body)


def attributes(span):
    return {a["key"]: value_of(a["value"]) for a in span.get("attributes", [])}
