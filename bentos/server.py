"""``python -m bentos``: one process, one event loop, a server for each door, and an orderly end."""

import asyncio
import logging
import signal
from pathlib import Path

import uvloop

from bentos.bento_door import BentoDoor
from bentos.errors import BundleError, SettingsError
from bentos.listen import AdminServer, Server, bind
from bentos.locate import bundle_folder
from bentos.refusal import refuse
from bentos.rest import Rest
from bentos.settings import Settings
from bentos.state import STATE

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status, 78 where the bundle or a setting is refused."""
    try:
        folder = bundle_folder(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, folder))
    except (BundleError, SettingsError) as error:
        return refuse(error, settings.termination_log)
    return 0


async def _serve(settings: Settings, folder: Path) -> None:
    signals = _Signals()
    http = settings.http
    bento = BentoDoor()
    rest = Server(
        Rest(bento, state=STATE, body_bytes=http.body_bytes),
        bind(http.host, http.port, "PDX_HTTP_PORT"),
        keep_alive_seconds=http.keep_alive_seconds,
        finish_seconds=settings.stop.finish_seconds,
    )
    admin = AdminServer(settings.admin, STATE)
    # Open before the model is loaded: a probe gets "loading" instead of a refused connection.
    serving = {rest.start(), admin.start()}
    log.info("REST on port %d, admin on port %d", rest.port, admin.port)
    try:
        await asyncio.to_thread(_load, folder)
        ended = asyncio.create_task(signals.stopped.wait())
        await asyncio.wait({ended, *serving}, return_when=asyncio.FIRST_COMPLETED)
        await signals.drain(settings.stop.drain_seconds)
    finally:
        await rest.stop()
        await bento.close()
        await admin.stop()


def _load(folder: Path) -> None:
    from bentos.core import Core  # noqa: PLC0415  NumPy and both runtimes load while the doors already answer

    STATE.core = Core.open(folder)
    log.info("ready with %s version %s", STATE.core.contract.name, STATE.core.contract.version)


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
