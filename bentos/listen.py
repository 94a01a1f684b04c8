"""The sockets and HTTP servers of the doors."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Generator
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from bentos.errors import SettingsError
from bentos.protocol import Handler, HttpProtocol, Sweeper, sweep_seconds
from bentos.reader import Arriving, Limits
from bentos.settings import Admin as AdminSettings

_BACKLOG: Final = 2048
"""Connections the kernel holds while the loop is busy with a large batch."""

_FLUSH_SECONDS: Final = 0.05
"""What is left to the last answers to leave before the loop ends."""
_ADMIN: Final = Limits(
    header_bytes=16 << 10,
    header_seconds=5,
    body_bytes=1 << 10,
    body_seconds=5,
    arriving_bytes=1 << 20,
    keep_alive_seconds=75,
    connections=256,
)
"""The admin door's, which are no settings: its few callers send requests without bodies."""

log = logging.getLogger(__name__)


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening TCP socket; raises SettingsError, naming the setting, where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"{setting} is not usable: {host}:{port}: {reason}.") from error


class Server(uvicorn.Server):
    """uvicorn with our protocol for one handler on one socket, its signals handled by whoever runs the process."""

    def __init__(self, handler: Handler, listener: socket.socket, limits: Limits, *, finish_seconds: float = 1) -> None:
        self._handler = handler
        self._limits = limits
        self._arriving = Arriving()
        super().__init__(
            uvicorn.Config(
                _no_app,
                http=cast("type[asyncio.Protocol]", self._protocol),
                lifespan="off",
                ws="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=max(1, round(finish_seconds)),
            )
        )
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    def _protocol(self, *, server_state: ServerState, **_: Any) -> HttpProtocol:
        """What uvicorn calls for each connection."""
        return HttpProtocol(self._handler, self._limits, self._arriving, server_state)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the process's signal handlers alone."""
        yield

    def start(self) -> asyncio.Task[None]:
        """Serve in a task of the running loop."""
        self._task = asyncio.create_task(self._run())
        return self._task

    async def _run(self) -> None:
        sweep = asyncio.create_task(Sweeper(self.server_state, sweep_seconds(self._limits)).run())
        try:
            await self.serve([self._listener])
        finally:
            sweep.cancel()
            # First those whose answers were cancelled: they say so themselves.
            await asyncio.sleep(0)
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.cut()
            await asyncio.sleep(_FLUSH_SECONDS)

    async def stop(self) -> None:
        """Close idle connections, finish what is in flight, and return."""
        self.should_exit = True
        if self._task is not None:
            await self._task


def admin_server(settings: AdminSettings, handler: Handler) -> Server:
    """The admin door on its own socket."""
    return Server(handler, bind(settings.host, settings.port, "PDX_ADMIN_PORT"), _ADMIN)


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    """Uvicorn wants an app; our protocol never asks one."""
