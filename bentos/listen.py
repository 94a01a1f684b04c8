"""The sockets and HTTP servers of the doors."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Generator
from typing import Final

import uvicorn

from bentos.admin import Admin
from bentos.asgi import App
from bentos.errors import SettingsError
from bentos.settings import Admin as AdminSettings
from bentos.state import State

_BACKLOG: Final = 2048
"""Connections the kernel holds while the loop is busy with a large batch."""

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
    """uvicorn for one app on one socket, whose signals are handled by whoever runs the process."""

    def __init__(
        self, app: App, listener: socket.socket, *, keep_alive_seconds: int = 5, finish_seconds: float = 1
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # httptools reads headers without a bound, drops the body of a request that offers an upgrade, and
                # lets through a length of thousands of digits.
                http="h11",
                lifespan="off",
                ws="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=keep_alive_seconds,
                timeout_graceful_shutdown=max(1, round(finish_seconds)),
            )
        )
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the process's signal handlers alone."""
        yield

    def start(self) -> asyncio.Task[None]:
        """Serve in a task of the running loop."""
        self._task = asyncio.create_task(self.serve([self._listener]))
        return self._task

    async def stop(self) -> None:
        """Close idle connections, finish what is in flight, and return."""
        self.should_exit = True
        if self._task is not None:
            await self._task


class AdminServer(Server):
    """The admin door on its own socket."""

    def __init__(self, settings: AdminSettings, state: State) -> None:
        super().__init__(Admin(state), bind(settings.host, settings.port, "PDX_ADMIN_PORT"))
