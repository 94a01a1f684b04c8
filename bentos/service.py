"""The BentoML service: what ``bentoml build`` packs and ``bentoml serve`` runs.

``python -m bentos`` runs the same core without BentoML's supervisor and hands this service its typed route and the
documentation of it only.
"""

import asyncio
import logging
import os
import signal
from functools import partial
from types import FrameType
from typing import Any, ClassVar, cast

# Nothing phones home; read when BentoML is imported.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from starlette.responses import Response

from bentos.asgi import App, Receive, Scope, Send
from bentos.battle.schemas import BattleAnswer, BattleRequest
from bentos.doors import Doors
from bentos.errors import BundleError, RequestError, SettingsError
from bentos.http import refusal
from bentos.listen import admin_server
from bentos.locate import bundle_folder
from bentos.logs import configure
from bentos.refusal import refuse
from bentos.rest import TYPED_ROUTE, Rest
from bentos.settings import Settings
from bentos.state import STATE

log = logging.getLogger(__name__)


@bentoml.service(name="predictiondex", metrics={"enabled": False}, logging={"access": {"enabled": False}})
class PredictionDex:
    """Serves one bundle: any model on named columns, and of duels which attack wins."""

    def __init__(self) -> None:
        self._supervised = STATE.supervised
        if self._supervised:
            self._settings = Settings.read()
            configure(self._settings.log)
            try:
                self._doors = Doors.make(self._settings, STATE)
                self._doors.load(bundle_folder(self._settings), self._settings, STATE)
            except (BundleError, SettingsError) as error:
                refuse(error, self._settings.termination_log)
                raise
            _Outermost.rest = self._doors.rest

    @bentoml.api(  # type: ignore[untyped-decorator]
        route=TYPED_ROUTE
    )
    def predict_battle(self, request: BattleRequest, /) -> BattleAnswer:
        """Rank the attacks of a Pokémon against another one; the same as POST /predict/battle."""
        # No coroutine: BentoML runs it in a thread, and thousands of pairings do not hold the loop.
        try:
            return STATE.require().battle(
                request.pokemon_a, request.pokemon_b, request.available_moves_a, request.available_moves_b
            )
        except RequestError as error:
            # BentoML answers a Response as it is, and any other error of ours as a 500 without a sentence.
            refused = refusal(error)
            answer = Response(refused.body, refused.status, media_type="application/json")
            return cast("BattleAnswer", answer)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def open_doors(self) -> None:
        """Open the other doors and drain before BentoML stops; under ``python -m bentos`` all are there already."""
        if self._supervised:
            self._admin = admin_server(self._settings.admin, self._doors.admin)
            self._admin.start()
            self._doors.grpc.start()
            self._watching = asyncio.create_task(self._doors.watchdog.run(self._doors.grpc.pool))
            _drain_first(self._settings.stop.drain_seconds)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close_doors(self) -> None:
        """Close them."""
        if self._supervised:
            self._watching.cancel()
            if self._doors.shadow is not None:
                await asyncio.to_thread(self._doors.shadow.stop)
            await self._doors.grpc.stop(self._settings.stop.finish_seconds)
            await self._admin.stop()
            if self._doors.tracing is not None:
                await asyncio.to_thread(self._doors.tracing.stop)

    def __is_ready__(self) -> bool:
        """What BentoML's own ``/readyz`` answers."""
        return STATE.phase == "ready"


def _drain_first(seconds: float) -> None:
    """On SIGTERM lose readiness at once and go on answering; the server's own handler runs ``seconds`` later."""
    loop = asyncio.get_running_loop()
    before: Any = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        STATE.stopping = True
        if callable(before):
            loop.call_soon_threadsafe(loop.call_later, seconds, partial(before, number, frame))

    signal.signal(signal.SIGTERM, drain)


def bento_service() -> Any:
    """The service that BentoML's decorator makes of the class, while its declared type stays that of the class."""
    return PredictionDex


class _Outermost:
    """Our app around BentoML's router; ``python -m bentos`` has it around BentoML's whole app."""

    rest: ClassVar[Rest]

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The start of the app, which is what makes the service.
            await self._app(scope, receive, send)
            return
        self.rest.app = self._app
        await self.rest(scope, receive, send)


if STATE.supervised:
    bento_service().add_asgi_middleware(_Outermost)
