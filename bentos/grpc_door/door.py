"""The gRPC door: its server, its threads, and their end."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from threading import Event, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import grpc

from bentos.errors import SettingsError
from bentos.grpc_door import health, inference, reflection
from bentos.grpc_door.calls import Inference, Service
from bentos.grpc_door.desk import Desk, Permits
from bentos.grpc_door.health import Health
from bentos.grpc_door.inference import Methods
from bentos.grpc_door.reflection import Reflection
from bentos.settings import Grpc, Settings
from bentos.state import State

if TYPE_CHECKING:
    from bentos.cohorts import Cohorts
    from bentos.keys import Keys
    from bentos.metrics import Metrics
    from bentos.shadow import Shadow
    from bentos.telemetry import Tracing

_LOOK_SECONDS: Final = 0.1
"""How often the door looks for a change of phase and for slow callers."""
_TELL_SECONDS: Final = 1.0
"""How long watchers of health may take to read that the door is closing."""
_HEAR_SECONDS: Final = 0.2
"""How long new calls are refused in a sentence before connections are closed."""
_STREAMS: Final = 4
"""Streams of one connection, in limits of calls in flight: a gateway sends everybody's calls over few connections, and
calls beyond the limit have to arrive in order to be refused."""


class GrpcDoor:
    """The gRPC server of a process. Its socket is bound when it is made, and answers from ``start`` on.

    Args:
        settings: limits and address.
        state: whose core answers, once it is there.
        keys: API keys; None asks for none. Health does not ask for one.
        metrics: told of every call of the protocol; None for nobody.
        tracing: the same.
        cohorts: says whose traffic a call is; None knows users' only.
        shadow: is offered what users were answered; None for nobody.

    Attributes:
        port: TCP port.
        desk: what the calls share.
        pool: runs a task as a call is run, so one that is taken up shows that calls are.

    Raises:
        SettingsError: the address cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        *,
        keys: "Keys | None" = None,
        metrics: "Metrics | None" = None,
        tracing: "Tracing | None" = None,
        cohorts: "Cohorts | None" = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        self.desk = desk = Desk(settings, state, keys, metrics, tracing, cohorts, shadow)
        if metrics is not None:
            metrics.watch_in_flight("grpc", lambda: len(desk.inference) + len(desk.open))
        self._health = Health(desk)
        self._reflection = Reflection(desk)
        self._threads = ThreadPoolExecutor(desk.threads, thread_name_prefix="grpc")
        self.pool: Executor = _Permitted(self._threads, desk.permits)
        self._server = grpc.server(self._threads, options=_options(settings))
        self._server.add_generic_rpc_handlers(
            (
                Inference(inference.SERVICE, Methods(desk).handlers(), desk),
                Service(health.SERVICE, self._health.handlers(), desk.health),
                Service(reflection.SERVICE, self._reflection.handlers(), desk.reflection),
            )
        )
        self.port = _bind(self._server, settings.grpc)
        self._closed = Event()

    def start(self) -> None:
        """Answer calls, in threads of its own."""
        self._server.start()
        Thread(target=self._look, name="grpc-look", daemon=True).start()

    async def stop(self, grace_seconds: float) -> None:
        """As ``end``, and wait for the last call."""
        await asyncio.to_thread(lambda: self.end(grace_seconds).wait())

    def end(self, grace_seconds: float) -> Event:
        """Refuse new calls with UNAVAILABLE, give those in flight some time, then cancel them.

        Watches of health and streams of reflection, which last as long as their callers like, end at once; watchers
        are told before.

        Args:
            grace_seconds: how long calls in flight may take.

        Returns:
            Set when the last call has ended.
        """
        ended = Event()
        Thread(target=self._close, args=(grace_seconds, ended), name="grpc-close").start()
        return ended

    def _look(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            self.desk.sweep()
            if self._health.changed:
                # A watcher that does not read would hold up the sweeping, which is what ends it.
                with contextlib.suppress(RuntimeError):  # the door has been closed since
                    self._threads.submit(self._health.follow)

    def _close(self, grace_seconds: float, ended: Event) -> None:
        end = monotonic() + grace_seconds
        calls = self.desk.inference
        for lane in (calls, self.desk.open, self.desk.reflection):
            lane.close()
        if self._health.changed and not self._closed.is_set():
            wait((self._threads.submit(self._health.follow),), _TELL_SECONDS)
        self._end_streams()
        # gRPC cancels what arrives while its callers have not read that it stops. That would tell them nothing, so
        # they hear UNAVAILABLE from us first.
        told = monotonic() + _HEAR_SECONDS
        while monotonic() < end and (len(calls) or monotonic() < told):
            sleep(_LOOK_SECONDS / 10)
        self._end_streams()
        self._server.stop(max(0.0, end - monotonic())).wait()
        self._closed.set()
        self._threads.shutdown(wait=False)
        ended.set()

    def _end_streams(self) -> None:
        self._health.close()
        self._reflection.close()


class _Permitted(Executor):
    """Runs tasks in the threads of the door, when there is a permit to compute."""

    def __init__(self, threads: Executor, permits: Permits) -> None:
        self._threads = threads
        self._permits = permits

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._threads.submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._permits:
            return fn(*args, **kwargs)


def _options(settings: Settings) -> list[tuple[str, int]]:
    metadata = settings.grpc.header_bytes
    return [
        # With it, a second process on the port would get half of the calls instead of an error.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.grpc.message_bytes),
        # Between the two, which differ by default, calls are refused at random.
        ("grpc.max_metadata_size", metadata),
        ("grpc.absolute_max_metadata_size", metadata),
        ("grpc.max_concurrent_streams", _STREAMS * settings.limit.in_flight),
        # A peer that is gone without a word is found out, and one that asks whether we are is not turned away.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        # Callers come back through the balancer now and then, so that new pods get their share.
        ("grpc.max_connection_age_ms", 1_800_000),
        ("grpc.max_connection_age_grace_ms", 60_000),
    ]


def _bind(server: grpc.Server, settings: Grpc) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        return server.add_insecure_port(f"{host}:{settings.port}")
    except RuntimeError as error:
        raise SettingsError(
            f"PDX_GRPC_PORT is not usable: {settings.host}:{settings.port}: {_reason(settings)}."
        ) from error


def _reason(settings: Grpc) -> str:
    """Why the address cannot be had; gRPC's own error does not say."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return os.strerror(errno.EADDRNOTAVAIL)
