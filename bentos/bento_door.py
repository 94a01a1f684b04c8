"""BentoML's ASGI app inside our process, built when the first request for it comes.

Importing BentoML takes longer than everything else a start needs together, and a replica that only answers
``/predict/battle`` never uses it. The first request for its documentation or its typed route pays that, in a thread.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from bentos.asgi import Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.applications import Starlette


class BentoDoor:
    """ASGI app that becomes BentoML's."""

    def __init__(self) -> None:
        self._app: Starlette | None = None
        self._building = asyncio.Lock()
        self._lifespan = contextlib.AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to BentoML."""
        app = self._app or await self._built()
        await app(scope, receive, send)

    async def _built(self) -> "Starlette":
        async with self._building:
            if self._app is None:
                app = await asyncio.to_thread(_build)
                await self._lifespan.enter_async_context(app.router.lifespan_context(app))
                self._app = app
            return self._app

    async def close(self) -> None:
        """Run BentoML's shutdown, if it was ever started."""
        await self._lifespan.aclose()


def _build() -> "Starlette":
    from bentos.service import bento_service  # noqa: PLC0415  imports BentoML

    return cast("Starlette", bento_service().to_asgi())
