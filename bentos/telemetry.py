"""Traces over OTLP/HTTP, where the environment names a collector; without one nothing here is even imported.

A request is recorded after it was answered, in one call: a server span in the caller's trace and a child for the model.
Attributes follow OpenTelemetry's semantic conventions for HTTP and RPC servers. The SDK's own variables apply
(OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_EXPORTER_OTLP_*). By default
every request is sampled that its caller's trace does not exclude, at some 0.1 ms each: a busy service wants a sampler.
"""

import logging
import os
import threading
from collections.abc import Sequence
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final

from bentos.logs import trace_parent
from bentos.metrics.labels import OTHER, ROUTES

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from bentos.core import Prediction

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FLUSH_SECONDS: Final = 2.0
"""How long the end of the process waits for the last spans."""
_SERVICE: Final = "predictiondex"
_GRPC_SERVICE: Final = "inference.GRPCInferenceService"
_CALLS: Final = frozenset(ROUTES["grpc"]) - {OTHER}
_QUIET_SECONDS: Final = 300.0
"""Between two lines about a collector that does not answer."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_SERVER_FAULTS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""gRPC codes that make a server span an error, by the semantic conventions."""

log = logging.getLogger(__name__)


def start() -> "Tracing | None":
    """Start exporting where the environment asks for it; None where it does not."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return None
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in {None, "", "http/protobuf"}:
        log.warning("Traces are exported over http/protobuf only, not over the protocol that the environment names.")
    return Tracing()


class Tracing:
    """Exports a span or two a request, in batches, from a thread of its own; safe to use from several threads."""

    def __init__(self) -> None:
        # opentelemetry takes memory and time to import, so only who wants it pays.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        # It logs each batch that is lost, and each retry; what is worth a line is logged below.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": _SERVICE})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_quiet(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer(_SERVICE)
        self._model: dict[str, str] = {}
        self._stopped = False

    def bind(self, model: str, version: str) -> None:
        """Name the model that answers."""
        self._model = {"predictiondex.model.name": model, "predictiondex.model.version": version}

    def rest(
        self,
        method: str,
        route: str,
        code: str,
        *,
        status: int,
        seconds: float,
        request_id: str,
        traceparent: bytes | None = None,
        prediction: "Prediction | None" = None,
    ) -> None:
        """Record a REST request that has just been answered.

        Args:
            method: as sent.
            route: its template, or ``other``.
            code: ``ok``, or the stable word of the error.
            status: HTTP status; 0 where nobody got an answer.
            seconds: from its head to its answer.
            request_id: of its log lines.
            traceparent: value of that header.
            prediction: what the model said.
        """
        verb = method if method in _METHODS else "_OTHER"
        attributes: dict[str, Any] = {"http.request.method": verb, "url.scheme": "http"}
        if status:
            attributes["http.response.status_code"] = status
        known = route.startswith("/")
        if known:
            attributes["http.route"] = route
        name = f"{'HTTP' if verb == '_OTHER' else verb} {route}" if known else "HTTP" if verb == "_OTHER" else verb
        fault = code if status >= 500 else None
        self._record(name, attributes, fault, seconds, request_id, traceparent, prediction)

    def grpc(
        self,
        method: str,
        code: str,
        *,
        status: str,
        seconds: float,
        request_id: str,
        traceparent: bytes | None = None,
        prediction: "Prediction | None" = None,
    ) -> None:
        """Record a gRPC call that has just been answered; ``method`` as in ``ModelInfer``, ``status`` as in ``OK``."""
        known = method in _CALLS
        full = f"{_GRPC_SERVICE}/{method}" if known else "_OTHER"
        name = full if known else "grpc"
        attributes = {"rpc.system.name": "grpc", "rpc.method": full, "rpc.response.status_code": status}
        fault = code if status in _SERVER_FAULTS else None
        self._record(name, attributes, fault, seconds, request_id, traceparent, prediction)

    def stop(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, for so long at the most; later requests are not recorded."""
        if self._stopped:
            return
        self._stopped = True
        # The SDK waits for as long as its exporter tries, so it is left behind when the time is over.
        flush = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        flush.start()
        flush.join(seconds)
        if flush.is_alive():
            log.warning("The last traces were not taken by their collector within %g s.", seconds)

    def _record(  # noqa: PLR0917  private, and of two callers
        self,
        name: str,
        attributes: dict[str, Any],
        fault: str | None,
        seconds: float,
        request_id: str,
        traceparent: bytes | None,
        prediction: "Prediction | None",
    ) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415

        end = time_ns()
        begin = end - int(seconds * 1e9)
        attributes |= {**self._model, "predictiondex.request.id": request_id}
        if fault is not None:
            attributes["error.type"] = fault
        span = self._tracer.start_span(
            name, _context(traceparent), SpanKind.SERVER, attributes, start_time=begin, record_exception=False
        )
        if fault is not None:
            span.set_status(Status(StatusCode.ERROR))
        if prediction is not None and span.is_recording():
            took = int(prediction.seconds * 1e9)
            at = max(begin, end - took)
            rows: dict[str, Any] = {"predictiondex.rows": prediction.rows, **self._model}
            child = self._tracer.start_span("model", set_span_in_context(span), attributes=rows, start_time=at)
            child.end(min(end, at + took))
        span.end(end)


def _context(traceparent: bytes | None) -> Any:
    """The caller's span as a parent, or no parent, whatever the thread is doing otherwise."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import (  # noqa: PLC0415
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    parent = trace_parent(traceparent)
    if parent is None:
        return Context()
    trace, span, flags = parent
    remote = SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(flags & 1))
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _quiet(exporter: "SpanExporter") -> "SpanExporter":
    """An exporter that says once in a while that spans are lost, and once that they no longer are."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415

    class Quiet(SpanExporter):
        def __init__(self) -> None:
            self._lost = 0
            self._said: float | None = None

        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            result = exporter.export(spans)
            if result is SpanExportResult.SUCCESS:
                if self._said is not None:
                    log.warning("Traces are taken again; %d spans were lost.", self._lost)
                    self._said, self._lost = None, 0
                return result
            self._lost += len(spans)
            if self._said is None or monotonic() - self._said > _QUIET_SECONDS:
                self._said = monotonic()
                log.warning("Traces are not taken by their collector; %d spans were lost so far.", self._lost)
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Quiet()
