"""What happens around every call of the protocol: key, id, message, error, and who is told."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from bentos.cohorts import HEADER, TESTERS
from bentos.errors import DeadlineExceeded, InvalidInput, MethodNotAllowed, PredictionDexError, Unauthorized
from bentos.grpc_door.desk import Desk, Lane
from bentos.grpc_door.status import Metadata, sentence_of, status_of, trailing_of
from bentos.logs import ident, trace_id, unexpected
from bentos.metrics.labels import OK

if TYPE_CHECKING:
    from bentos.core import Prediction

    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler

Requests = Iterator[bytes]
Context = grpc.ServicerContext

_IDENT: Final = "x-request-id"
_KEY: Final = "x-api-key"
_TRACE: Final = "traceparent"
_CANCELLED: Final = "cancelled"


OPEN: Final = ("ServerLive", "ServerReady", "ModelReady")
"""Methods that ask for no API key."""
_LARGE: Final = 256 << 10
"""Bytes of a message above which calls compute one after another."""


class CallerGone(Exception):
    """The caller cancelled the call or lost its connection; nobody waits for an answer."""


class Sent:
    """What the metadata of a call say; no tuple, whose ``repr`` would show the key.

    Args:
        metadata: as gRPC has them; of a name that comes twice, the last holds.

    Attributes:
        ident: the id of the request, the caller's or a new one.
        key: the API key that came with it.
        traceparent: the caller's, unchecked.
        mark: of a cohort, unchecked.
        testers: what testers choose the canary by, unchecked.
    """

    __slots__ = ("ident", "key", "mark", "testers", "traceparent")

    def __init__(self, metadata: Iterable[tuple[str, str | bytes]] | None = None) -> None:
        self.key: str | bytes | None = None
        self.traceparent: bytes | None = None
        self.mark: str | bytes | None = None
        self.testers: str | bytes | None = None
        given: bytes | None = None
        for name, value in metadata or ():
            if name == _IDENT:
                given = _bytes(value)
            elif name == _KEY:
                self.key = value
            elif name == _TRACE:
                self.traceparent = _bytes(value)
            elif name == HEADER:
                self.mark = value
            elif name == TESTERS:
                self.testers = value
        self.ident = ident(given)


_NOTHING_SENT: Final = Sent()


class Call:
    """One call of the protocol.

    Attributes:
        context: gRPC's.
        started: ``time.perf_counter()`` when it came in.
        sent: what its metadata say, once they are read.
        prediction: what the core said, once it did.
    """

    __slots__ = ("context", "prediction", "sent", "started")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.started = perf_counter()
        self.sent = _NOTHING_SENT
        self.prediction: Prediction | None = None

    def check_wanted(self, timeout: float | None = None) -> None:
        """Raise DeadlineExceeded or CallerGone where nobody waits for the answer any more.

        Args:
            timeout: seconds from the start that the request itself gives the server; None for no such time.
        """
        if self.context.time_remaining() <= 0 or (timeout is not None and perf_counter() - self.started > timeout):
            raise DeadlineExceeded("The deadline of the request has passed; nothing was computed.")
        if not self.context.is_active():
            raise CallerGone


class Unary:
    """A method with one message each way, as the behaviour of a handler.

    gRPC is told that requests are a stream: so the call is known before its message is there, its key can be refused
    without reading, and its message can be given up when it does not come.

    Args:
        desk: the door's.
        route: the method's name without its service.
        answer: from the message's bytes to the answer's; raises what ``bentos.errors`` has, and DecodeError.
        open: whether no API key is asked for.
    """

    def __init__(self, desk: Desk, route: str, answer: Callable[[bytes, Call], bytes], *, open: bool = False) -> None:  # noqa: A002
        self._desk = desk
        self._route = route
        self._answer = answer
        self.open = open

    def __call__(self, requests: Requests, context: Context) -> bytes:
        """Answer one call, or abort it."""
        try:
            return self._run(requests, context)
        finally:
            (self._desk.open if self.open else self._desk.inference).leave()

    def _run(self, requests: Requests, context: Context) -> bytes:
        desk = self._desk
        call = Call(context)
        try:
            call.started = desk.arrivals.popleft()
            call.sent = Sent(context.invocation_metadata())
            message = desk.read(requests, context)
            if len(message) > _LARGE:
                with desk.large, desk.permits:
                    answer = self._answer(message, call)
            else:
                with desk.permits:
                    answer = self._answer(message, call)
            context.set_trailing_metadata(((_IDENT, call.sent.ident),))
        except (PredictionDexError, DecodeError, StopIteration) as error:
            # Its traceback holds this frame, and that the message: a ring that only a collection would open.
            failure = told(error).with_traceback(None)
        except (CallerGone, grpc.RpcError):
            self._done(call, _CANCELLED, grpc.StatusCode.CANCELLED)
            context.abort(grpc.StatusCode.CANCELLED, "The call was cancelled.")
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets our error shape
            failure = unexpected(self._route, "grpc", call.sent.ident, trace_id(call.sent.traceparent), error)
        else:
            self._done(call, OK, grpc.StatusCode.OK)
            return answer
        self._done(call, failure.code, status_of(failure))
        return fail(context, failure, call.sent.ident)

    def _done(self, call: Call, code: str, status: grpc.StatusCode) -> None:
        self._desk.progressed = monotonic()
        self._desk.on_call(
            self._route,
            code,
            status,
            call.started,
            sent=call.sent,
            prediction=call.prediction,
        )


def fail(context: Context, error: PredictionDexError, request: str | None = None) -> NoReturn:
    """End a call with an error, and with the id of its request where it has one."""
    extra: Metadata = () if request is None else ((_IDENT, request),)
    context.set_trailing_metadata((*extra, *trailing_of(error)))
    context.abort(status_of(error), sentence_of(error))


def told(error: Exception) -> PredictionDexError:
    """What a caller is told where its message did not come, or was none."""
    if isinstance(error, PredictionDexError):
        return error
    if isinstance(error, StopIteration):
        return InvalidInput("The call ended without a message.")
    return InvalidInput("The message is not what the method takes: it cannot be decoded.")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


class Refusal:
    """Behaviour of a call that is refused without being looked at; it takes one of the spare threads for an instant."""

    def __init__(self, error: PredictionDexError, request: str) -> None:
        self._error = error
        self._request = request

    def __call__(self, requests: Requests, context: Context) -> NoReturn:  # noqa: ARG002  gRPC's signature
        """Abort."""
        fail(context, self._error, self._request)


class Service(grpc.GenericRpcHandler):
    """The handlers of one service, and the lane that its calls pass through.

    Args:
        name: of the service, with its package.
        handlers: by method.
        lane: of its calls; their behaviours leave it.
    """

    def __init__(self, name: str, handlers: dict[str, Handler], lane: Lane) -> None:
        self._prefix = f"/{name}/"
        self._handlers = {self._prefix + method: handler for method, handler in handlers.items()}
        self._lane = lane

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler of a call; None where the method is another service's."""
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            return self._unknown(handler_call_details)
        try:
            refusal = self.lane(method, handler_call_details).enter()
        except Unauthorized as unauthorized:
            refusal = unauthorized
        if refusal is not None:
            return self._refuse(method, refusal, handler_call_details)
        self.accepted()
        return handler

    def lane(self, method: str, details: grpc.HandlerCallDetails) -> Lane:  # noqa: ARG002  others look at both
        """The lane of a call; raises Unauthorized."""
        return self._lane

    def accepted(self) -> None:
        """Called when a call is let in."""

    def refused(self, method: str, error: PredictionDexError, sent: Sent) -> None:
        """Called when a call is refused."""

    def _unknown(self, details: grpc.HandlerCallDetails) -> Handler | None:
        if not details.method.startswith(self._prefix):
            return None
        error = MethodNotAllowed("This server does not have the method; reflection lists those that it has.")
        return self._refuse("/other", error, details)

    def _refuse(self, method: str, error: PredictionDexError, details: grpc.HandlerCallDetails) -> Handler:
        """A handler that refuses its call, whatever its kind."""
        sent = Sent(details.invocation_metadata)
        self.refused(method, error, sent)
        return grpc.stream_unary_rpc_method_handler(Refusal(error, sent.ident))


class Inference(Service):
    """The service of the protocol, whose calls are timed from here on and counted."""

    def __init__(self, name: str, handlers: dict[str, Handler], desk: Desk) -> None:
        super().__init__(name, handlers, desk.inference)
        self._desk = desk
        self._without_key = {f"/{name}/{method}" for method in OPEN}

    def lane(self, method: str, details: grpc.HandlerCallDetails) -> Lane:
        """By whether it asks for a key, which has to be there before the call takes a place."""
        desk = self._desk
        if method in self._without_key:
            return desk.open
        if desk.keys is not None:
            sent = Sent(details.invocation_metadata)
            # Whoever has a mark was given it by a process that knows the keys.
            if desk.cohorts.marked(sent.mark) is None:
                desk.keys.check(sent.key)
        return desk.inference

    def accepted(self) -> None:
        """Note the time, for the thread that will have the call."""
        self._desk.arrivals.append(perf_counter())

    def refused(self, method: str, error: PredictionDexError, sent: Sent) -> None:
        """Count the call."""
        self._desk.on_call(
            method.rpartition("/")[2],
            error.code,
            status_of(error),
            perf_counter(),
            sent=sent,
        )
