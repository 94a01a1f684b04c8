import gzip
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from bentos import telemetry
from bentos.core import Prediction
from bentos.telemetry import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()
PREDICTION = Prediction((), [], 5, 0.002, 0.7)


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP receiver."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.received: list[ResourceSpans] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        return [span for each in self.received for scope in each.scope_spans for span in scope.spans]


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.hold.wait(30)
        if self.server.status == 200 and self.path == "/v1/traces":
            self.server.received.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield server
        server.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:  # noqa: ARG001  it names itself in the environment
    before = logging.getLogger("opentelemetry").level
    started = telemetry.start()
    assert started is not None
    yield started
    started.stop()
    logging.getLogger("opentelemetry").setLevel(before)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.005)


def attributes(holder: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


def test_a_rest_request_is_a_server_span_of_its_callers_trace_with_a_child(
    collector: Collector, tracing: Tracing
) -> None:
    tracing.bind("battle", "12")
    before = time.time_ns()
    tracing.rest(
        "POST",
        "/v2/models/{name}/infer",
        "ok",
        status=200,
        seconds=0.005,
        request_id="r-1",
        traceparent=PARENT,
        prediction=PREDICTION,
    )
    tracing.stop()
    spans = {span.name: span for span in collector.spans()}
    server, model = spans["POST /v2/models/{name}/infer"], spans["model"]
    assert server.kind == Span.SPAN_KIND_SERVER
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, SPAN)
    assert (model.trace_id.hex(), model.parent_span_id) == (TRACE, server.span_id)
    assert server.end_time_unix_nano - server.start_time_unix_nano == 5_000_000
    assert model.start_time_unix_nano - server.start_time_unix_nano == 3_000_000
    assert model.end_time_unix_nano - model.start_time_unix_nano == 2_000_000
    assert before <= server.end_time_unix_nano <= time.time_ns()
    named = {"predictiondex.model.name": "battle", "predictiondex.model.version": "12"}
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{name}/infer",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "predictiondex.request.id": "r-1",
        **named,
    }
    assert attributes(model) == {"predictiondex.rows": 5, **named}
    assert server.status.code == Status.STATUS_CODE_UNSET
    assert attributes(collector.received[0].resource)["service.name"] == "predictiondex"


def test_a_grpc_call_follows_the_conventions_for_rpc(collector: Collector, tracing: Tracing) -> None:
    tracing.grpc("ModelInfer", "overloaded", status="RESOURCE_EXHAUSTED", seconds=0.001, request_id="r-1")
    tracing.grpc("ModelInfer", "not_ready", status="UNAVAILABLE", seconds=0.001, request_id="r-2")
    tracing.stop()
    first, second = collector.spans()
    assert first.name == "inference.GRPCInferenceService/ModelInfer"
    assert attributes(first) == {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.response.status_code": "RESOURCE_EXHAUSTED",
        "predictiondex.request.id": "r-1",
    }
    assert first.status.code == Status.STATUS_CODE_UNSET
    assert second.status.code == Status.STATUS_CODE_ERROR
    assert attributes(second)["error.type"] == "not_ready"
    assert first.trace_id != second.trace_id
    assert not first.parent_span_id


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [("GET", "other", "GET"), ("BREW", "/predict", "HTTP /predict"), ("\x00" * 99, "other", "HTTP")],
)
def test_names_of_spans_have_few_values(
    collector: Collector, tracing: Tracing, method: str, route: str, name: str
) -> None:
    tracing.rest(method, route, "not_found", status=404, seconds=0.001, request_id="r-1")
    tracing.stop()
    (span,) = collector.spans()
    known = attributes(span)
    assert span.name == name
    assert known["http.request.method"] == (method if method == "GET" else "_OTHER")
    assert ("http.route" in known) == (route != "other")
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_calls_that_do_not_exist_share_one_name(collector: Collector, tracing: Tracing) -> None:
    for method in ("Made/Up", "other"):
        tracing.grpc(method, "not_found", status="UNIMPLEMENTED", seconds=0.001, request_id="r-1")
    tracing.stop()
    spans = collector.spans()
    assert [(span.name, attributes(span)["rpc.method"]) for span in spans] == [("grpc", "_OTHER")] * 2


def test_an_answer_that_nobody_got_has_no_status(collector: Collector, tracing: Tracing) -> None:
    tracing.rest("GET", "/v2", "cancelled", status=0, seconds=0.001, request_id="r-1")
    tracing.stop()
    assert "http.response.status_code" not in attributes(collector.spans()[0])


def test_an_error_of_ours_is_one_of_the_span(collector: Collector, tracing: Tracing) -> None:
    tracing.rest("POST", "/predict", "internal", status=500, seconds=0.001, request_id="r-1", traceparent=b"nonsense")
    tracing.stop()
    (span,) = collector.spans()
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["error.type"] == "internal"


def test_a_trace_that_is_not_sampled_is_not_exported(collector: Collector, tracing: Tracing) -> None:
    call: dict[str, Any] = {"status": 200, "seconds": 0.001, "prediction": PREDICTION}
    tracing.rest("GET", "/v2", "ok", request_id="no", traceparent=PARENT[:-2] + b"00", **call)
    tracing.rest("GET", "/v2", "ok", request_id="yes", traceparent=PARENT, **call)
    tracing.stop()
    assert [attributes(span).get("predictiondex.request.id") for span in collector.spans()] == [None, "yes"]


def test_spans_are_sent_while_the_process_runs(collector: Collector, tracing: Tracing) -> None:
    tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
    until(lambda: len(collector.spans()) == 1)


def test_the_environment_names_the_service(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "duels")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-1")
    started = telemetry.start()
    assert started is not None
    started.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
    started.stop()
    known = attributes(collector.received[0].resource)
    assert (known["service.name"], known["k8s.pod.name"]) == ("duels", "pod-1")


def test_the_end_waits_for_a_slow_collector_but_not_for_ever(
    collector: Collector, tracing: Tracing, caplog: pytest.LogCaptureFixture
) -> None:
    collector.hold.clear()
    tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
    start = time.monotonic()
    tracing.stop(0.3)
    assert 0.25 < time.monotonic() - start < 5.0
    assert [record.message for record in caplog.records] == [
        "The last traces were not taken by their collector within 0.3 s."
    ]
    tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="too late")
    collector.hold.set()
    until(lambda: len(collector.spans()) == 1)


def test_a_collector_that_refuses_is_told_of_once(
    collector: Collector, tracing: Tracing, caplog: pytest.LogCaptureFixture
) -> None:
    def lost() -> list[str]:
        return [record.message for record in caplog.records]

    collector.status = 400
    for _ in range(5):
        tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
        tracing._provider.force_flush()
    assert lost() == ["Traces are not taken by their collector; 1 spans were lost so far."]
    collector.status = 200
    tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-2")
    tracing._provider.force_flush()
    assert lost()[1:] == ["Traces are taken again; 5 spans were lost."]


def test_a_collector_that_is_not_there_is_told_of_once(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        started = telemetry.start()
        assert started is not None
        for _ in range(600):
            started.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
        until(lambda: bool(caplog.records))
        started.stop()
    assert len(caplog.records) <= 2
    assert "Traces are not taken by their collector" in caplog.text
    assert not collector.received


def test_requests_do_not_wait_for_a_collector_that_hangs(
    collector: Collector, tracing: Tracing, caplog: pytest.LogCaptureFixture
) -> None:
    collector.hold.clear()
    # More than the queue holds (OTEL_BSP_MAX_QUEUE_SIZE); nothing lets the collector go on before all are recorded.
    for _ in range(5_000):
        tracing.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1", traceparent=PARENT)
    assert not collector.received
    assert not caplog.records
    collector.hold.set()
    tracing.stop()
    assert 2_048 <= len(collector.spans()) < 5_000


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"},
    ],
)
def test_without_a_collector_nothing_is_imported(environment: dict[str, str]) -> None:
    script = (
        "import json, sys; from bentos import telemetry; started = telemetry.start();"
        "print(json.dumps([started is None, any(name.startswith('opentelemetry') for name in sys.modules)]))"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run([sys.executable, "-c", script], env={**kept, **environment}, capture_output=True, check=True)
    assert json.loads(ran.stdout) == [True, False]


def test_traces_have_an_endpoint_of_their_own(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    started = telemetry.start()
    assert started is not None
    started.rest("GET", "/v2", "ok", status=200, seconds=0.001, request_id="r-1")
    started.stop()
    assert len(collector.spans()) == 1


def test_a_protocol_that_is_not_spoken_is_named(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    started = telemetry.start()
    assert started is not None
    started.stop()
    assert "over http/protobuf only" in caplog.text
    assert not collector.received
