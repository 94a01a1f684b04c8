"""grpc.health.v1: what gateways and the kubelet ask, open without an API key."""

from collections.abc import Callable
from threading import Lock
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
)

from bentos.errors import NotFound, Overloaded, PredictionDexError
from bentos.grpc_door.calls import Context, Handler, Requests, fail, told
from bentos.grpc_door.desk import Desk
from bentos.grpc_door.inference import SERVICE as INFERENCE

SERVICE: Final = "grpc.health.v1.Health"
_KNOWN: Final = frozenset({"", INFERENCE})
_MOST_WATCHERS: Final = 256

_SERVING: Final[bytes] = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING: Final[bytes] = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()
_UNKNOWN: Final[bytes] = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()

Send = Callable[[bytes | None], None]


class _Watcher:
    """An open Watch and what it was told last."""

    def __init__(self, context: Context, send: Send, service: str) -> None:
        self.context = context
        self.service = service
        self._send = send
        self._told = b""
        self._lock = Lock()

    def tell(self, message: bytes, desk: Desk) -> None:
        """Send a status, unless it is the one that was told last."""
        with self._lock, desk.patience(self.context):
            if message != self._told:
                self._told = message
                self._send(message)


class Health:
    """The service of one door. Both names it knows are serving while the process is ready, and not otherwise.

    Check looks at the state itself; Watch is told by whoever calls ``follow``.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watchers: dict[Context, _Watcher] = {}
        self._told = desk.state.phase

    def handlers(self) -> dict[str, Handler]:
        """The handler of each method."""
        return {
            "Check": grpc.stream_unary_rpc_method_handler(self._check),
            "Watch": grpc.stream_stream_rpc_method_handler(_Watch(self)),
        }

    @property
    def changed(self) -> bool:
        """Whether watchers have not been told of the phase that the process is in."""
        return self._told != self._desk.state.phase

    def follow(self) -> None:
        """Tell every watcher where the process stands, unless it knows."""
        self._told = self._desk.state.phase
        for watcher in self._watchers.copy().values():
            watcher.tell(self._status(watcher.service), self._desk)

    def close(self) -> None:
        """End every Watch: none of them would end by itself."""
        for context in self._watchers.copy():
            context.cancel()

    def watch(self, requests: Requests, context: Context, send: Send) -> None:
        """Tell a caller where its service stands, and go on telling it; returns after the first time."""
        try:
            self._watch(requests, context, send)
        finally:
            self._desk.health.leave()

    def _watch(self, requests: Requests, context: Context, send: Send) -> None:
        service = self._service(requests, context)
        if len(self._watchers) >= _MOST_WATCHERS:
            fail(context, Overloaded(f"There are {_MOST_WATCHERS} watchers already."))
        watcher = self._watchers[context] = _Watcher(context, send, service)
        if not context.add_callback(lambda: self._forget(context)):
            del self._watchers[context]
            return
        watcher.tell(self._status(service), self._desk)

    def _forget(self, context: Context) -> None:
        self._watchers.pop(context, None)

    def _check(self, requests: Requests, context: Context) -> bytes:
        try:
            service = self._service(requests, context)
        finally:
            self._desk.health.leave()
        if service not in _KNOWN:
            fail(context, NotFound("There is no service of that name here."))
        return self._status(service)

    def _service(self, requests: Requests, context: Context) -> str:
        try:
            message = self._desk.read(requests, context)
            service: str = HealthCheckRequest.FromString(message).service
        except (PredictionDexError, DecodeError, StopIteration) as error:
            fail(context, told(error))
        return service

    def _status(self, service: str) -> bytes:
        if service not in _KNOWN:
            return _UNKNOWN
        return _SERVING if self._desk.state.phase == "ready" else _NOT_SERVING


class _Watch:
    """Behaviour of Watch, which gives its thread back once a caller was told the first time."""

    experimental_non_blocking: Final = True
    """gRPC then hands the behaviour a function that sends, whenever and from wherever it is called."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def __call__(self, requests: Requests, context: Context, send: Send) -> None:
        self._health.watch(requests, context, send)
