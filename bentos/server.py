"""``python -m bentos``: one process, one event loop, a server for each door, and an orderly end."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bentos.bento_door import BentoDoor
from bentos.doors import Doors, limits_of
from bentos.errors import BundleError, SettingsError
from bentos.listen import Server, admin_server, bind
from bentos.locate import bundle_folder
from bentos.refusal import refuse
from bentos.settings import Settings
from bentos.state import STATE

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status, 78 where the bundle or a setting is refused."""
    try:
        folder = bundle_folder(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            loaded = runner.run(_serve(settings, folder))
    except (BundleError, SettingsError) as error:
        return refuse(error, settings.termination_log)
    if not loaded:
        # The thread that loads may be inside a native library, which the interpreter's end would make abort.
        logging.shutdown()
        os._exit(0)
    return 0


async def _serve(settings: Settings, folder: Path) -> bool:
    """Run the doors until the end; returns whether the load was over by then."""
    STATE.supervised = False
    signals = _Signals()
    http = settings.http
    bento = BentoDoor()
    doors = Doors.make(settings, STATE, bento)
    rest = Server(
        doors.rest,
        bind(http.host, http.port, "PDX_HTTP_PORT"),
        limits_of(http),
        finish_seconds=settings.stop.finish_seconds,
    )
    admin = admin_server(settings.admin, doors.admin)
    grpc = doors.grpc
    # Open before the model is loaded: a probe gets "loading" instead of a refused connection.
    serving = {rest.start(), admin.start()}
    grpc.start()
    watching = asyncio.create_task(doors.watchdog.run(grpc.pool))
    log.info("REST on port %d, gRPC on port %d, admin on port %d", rest.port, grpc.port, admin.port)
    try:
        loading = _start_loading(lambda: doors.load(folder, settings, STATE))
        ended = asyncio.create_task(signals.stopped.wait())
        ends: set[asyncio.Future[Any]] = {ended, *serving}
        await asyncio.wait({loading, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            log.info("stopping: the model was still loading")
            return False
        loading.result()
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await signals.drain(settings.stop.drain_seconds)
        return True
    finally:
        watching.cancel()
        if doors.shadow is not None:
            await asyncio.to_thread(doors.shadow.stop)
        await asyncio.gather(rest.stop(), grpc.stop(settings.stop.finish_seconds))
        await bento.close()
        await admin.stop()
        if doors.tracing is not None:
            await asyncio.to_thread(doors.tracing.stop)


def _start_loading(load: Callable[[], None]) -> asyncio.Future[None]:
    """Load in a thread that, unlike an executor's, the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    loading = loop.create_future()

    def settle(error: Exception | None) -> None:
        if error is None:
            loading.set_result(None)
        else:
            loading.set_exception(error)

    def run() -> None:
        failure = None
        try:
            load()
        # Raised again where the future is read.
        except Exception as error:  # noqa: BLE001
            failure = error
        # The loop is closed where the process was told to stop meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="load", daemon=True).start()
    return loading


class _Signals:
    """SIGTERM drains; SIGINT, which is a person at a terminal, and a second signal of either kind do not wait."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self._hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    def _received(self, number: signal.Signals) -> None:
        if number is signal.SIGINT or STATE.stopping:
            self._hurry.set()
        STATE.stopping = True
        self.stopped.set()

    async def drain(self, seconds: float) -> None:
        """Go on answering while endpoints and gateways learn that this replica is going."""
        log.info("stopping: answering for another %g s", 0 if self._hurry.is_set() else seconds)
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            log.info("stopping: finishing what is in flight")
