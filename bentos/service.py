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
from typing import Any, cast

# Nothing phones home; read when BentoML is imported.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from starlette.responses import Response

from bentos.asgi import App, error_body, status_of
from bentos.battle.schemas import BattleAnswer, BattleRequest
from bentos.core import Core
from bentos.errors import BundleError, RequestError, SettingsError
from bentos.listen import AdminServer
from bentos.locate import bundle_folder
from bentos.refusal import refuse
from bentos.rest import HEALTH, PASSED, TYPED_ROUTE, Rest
from bentos.settings import Settings
from bentos.state import STATE

log = logging.getLogger(__name__)


@bentoml.service(name="predictiondex", metrics={"enabled": False}, logging={"access": {"enabled": False}})
class PredictionDex:
    """Tells which attack wins a Pokémon duel."""

    def __init__(self) -> None:
        self._supervised = STATE.supervised
        if self._supervised:
            self._settings = Settings.read()
            try:
                STATE.core = Core.open(bundle_folder(self._settings))
            except (BundleError, SettingsError) as error:
                refuse(error, self._settings.termination_log)
                raise

    @bentoml.api(  # type: ignore[untyped-decorator]
        route=TYPED_ROUTE
    )
    async def predict_battle(self, request: BattleRequest, /) -> BattleAnswer:
        """Rank the attacks of a Pokémon against another one; the same as POST /predict/battle."""
        try:
            return STATE.require().battle(
                request.pokemon_a, request.pokemon_b, request.available_moves_a, request.available_moves_b
            )
        except RequestError as error:
            # BentoML answers a Response as it is, and any other error of ours as a 500 without a sentence.
            answer = Response(error_body(error), status_of(error), media_type="application/json")
            return cast("BattleAnswer", answer)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def open_admin(self) -> None:
        """Open the admin door and drain before BentoML stops; under ``python -m bentos`` both are there already."""
        if self._supervised:
            self._admin = AdminServer(self._settings.admin, STATE)
            self._admin.start()
            _drain_first(self._settings.stop.drain_seconds)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close_admin(self) -> None:
        """Close the admin door."""
        if self._supervised:
            await self._admin.stop()

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


class _Doors(Rest):
    """Our app around BentoML's router, as BentoML builds it; ``python -m bentos`` has another one outermost."""

    def __init__(self, app: App) -> None:
        super().__init__(app, state=STATE, body_bytes=Settings.read().http.body_bytes, passed=(*PASSED, *HEALTH))


bento_service().add_asgi_middleware(_Doors)
