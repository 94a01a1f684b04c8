"""What all calls of the door share: who may call, how many at once, for how long, and who is told of it."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

import grpc

from bentos.cohorts import Cohorts
from bentos.errors import NotReady, Overloaded, PredictionDexError, TooSlow
from bentos.logs import REQUESTS, refused, request_line, trace_id
from bentos.metrics.labels import OK, REFUSED
from bentos.settings import Settings
from bentos.state import State

if TYPE_CHECKING:
    from bentos.core import Prediction
    from bentos.grpc_door.calls import Sent
    from bentos.keys import Keys
    from bentos.metrics import Metrics
    from bentos.shadow import Shadow
    from bentos.telemetry import Tracing


class Lane:
    """Calls of one kind that hold a thread or wait for one.

    Args:
        most: how many there may be.
        sentence: what one more is told.
    """

    def __init__(self, most: int, sentence: str) -> None:
        self.most = most
        self._refusal: PredictionDexError = Overloaded(sentence)
        # Appending and popping are atomic, unlike counting up and down.
        self._inside: deque[None] = deque()

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self) -> PredictionDexError | None:
        """Count a call in; where there are as many as allowed, return what it is told instead."""
        if len(self._inside) >= self.most:
            return self._refusal
        self._inside.append(None)
        return None

    def leave(self) -> None:
        """Count a call out."""
        self._inside.pop()

    def close(self) -> None:
        """Let no more calls in."""
        self._refusal = NotReady("The server is stopping.")
        self.most = 0


class Permits:
    """As a semaphore, and without its lock, which sixteen threads would wait for in turns.

    Args:
        most: how many may hold one at a time.
    """

    def __init__(self, most: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


class Desk:
    """Shared by the calls of one door.

    Attributes:
        state: whose core answers.
        keys: API keys; None asks for none.
        cohorts: says whose traffic a call is.
        permits: calls that may compute at the same time. Threads there are more: one that waits for a slow caller's
            message must not keep others from being answered.
        inference: calls of the protocol that ask for a key.
        open: those that do not, so that nobody without a key takes the others' places.
        large: held by the one call with a long message that computes; single rows do not wait for sixteen batches.
        health: calls of grpc.health.v1 that are being answered; they are let in when inference is not.
        reflection: open streams of grpc.reflection.
        arrivals: when each call of inference came in (``time.perf_counter()``), oldest first, until a thread has it.
        progressed: ``time.monotonic()`` when a thread last came to the end of a call.
    """

    def __init__(  # noqa: PLR0917  the door's own arguments, in its order
        self,
        settings: Settings,
        state: State,
        keys: "Keys | None",
        metrics: "Metrics | None",
        tracing: "Tracing | None",
        cohorts: Cohorts | None = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        most = settings.limit.in_flight
        self.state = state
        self.keys = keys
        self.cohorts = cohorts or Cohorts()
        self._shadow = shadow
        self.permits = Permits(settings.grpc.threads)
        self.inference = Lane(most, f"There are {most} calls in flight already.")
        self.open = Lane(16, "Too many calls for readiness are waiting already.")
        self.large = Lock()
        self.health = Lane(16, "Too many health checks are waiting already.")
        self.reflection = Lane(4, "Too many streams of reflection are open already.")
        self.arrivals: deque[float] = deque()
        self.progressed = monotonic()
        self._lines = REQUESTS.isEnabledFor(logging.DEBUG)
        self._metrics = metrics
        self._tracing = tracing
        self._message_seconds = settings.grpc.message_seconds
        self._waiting: dict[grpc.ServicerContext, float] = {}

    @property
    def threads(self) -> int:
        """Threads, so that every call that is let in has one, and two for refusals and the door itself."""
        return self.inference.most + self.open.most + self.health.most + self.reflection.most + 2

    @contextmanager
    def patience(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Cancel the call where what is inside takes longer than a message may."""
        self._waiting[context] = monotonic() + self._message_seconds
        try:
            yield
        finally:
            del self._waiting[context]

    def read(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """The next message of a call; raises TooSlow where it does not come, StopIteration where there is none."""
        end = self._waiting[context] = monotonic() + self._message_seconds
        try:
            return next(requests)
        except grpc.RpcError:
            if monotonic() > end:
                raise TooSlow("The message of the call did not come in time.") from None
            raise
        finally:
            del self._waiting[context]

    def sweep(self) -> None:
        """Cancel the calls that took too long to send or to take a message."""
        now = monotonic()
        for context, end in self._waiting.copy().items():
            if now > end:
                context.cancel()

    def on_call(
        self,
        route: str,
        code: str,
        status: grpc.StatusCode,
        started: float,
        *,
        sent: "Sent",
        prediction: "Prediction | None" = None,
    ) -> None:
        """Called once for each call of the protocol that was answered or refused.

        Args:
            route: the method's name without its service, or ``other``.
            code: ``ok``, ``cancelled`` where the caller went away, or the stable word of the error.
            status: what gRPC calls it.
            started: ``time.perf_counter()`` when the call came in.
            sent: what came with the call.
            prediction: what the core said, where it was asked.
        """
        seconds = perf_counter() - started
        ident, traceparent, cohort = sent.ident, sent.traceparent, None
        if sent.mark is not None or sent.testers is not None:
            cohort = self.cohorts.of(sent.mark, sent.testers)
        if self._metrics is not None:
            self._metrics.request("grpc", route, code, seconds, prediction, cohort)
        if self._shadow is not None and prediction is not None and cohort is None and code is OK:
            self._shadow.offer(prediction)
        if self._tracing is not None:
            self._tracing.grpc(
                route,
                code,
                status=status.name,
                seconds=seconds,
                request_id=ident,
                traceparent=traceparent,
                prediction=prediction,
            )
        if code is not OK and code in REFUSED:
            refused("grpc", route, code, ident)
        if self._lines:
            request_line(
                "grpc",
                route,
                code,
                status=status.name,
                seconds=seconds,
                request_id=ident,
                trace_id=trace_id(traceparent),
                rows=0 if prediction is None else prediction.rows,
            )
