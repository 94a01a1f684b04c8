"""The door for the kubelet, Prometheus and the rollout driver: nothing here is for users."""

import asyncio
from collections.abc import Callable

import orjson

from bentos.cohorts import HEADER, Cohorts
from bentos.errors import MethodNotAllowed, NotFound, PredictionDexError
from bentos.http import Answer, Request, Response, refusal
from bentos.logs import ident, unexpected
from bentos.metrics import Metrics
from bentos.routes import READ, WRITE
from bentos.settings import Live
from bentos.state import State

_GOLDEN = "golden.json.gz"
_MARK = "/mark/golden"
"""By POST: a mark stands in an API key's place, so whoever may only read through the API server's proxy gets none."""


class Admin:
    """Answers ``/livez``, ``/readyz``, ``/metrics``, ``/contract``, ``/golden`` and POST ``/mark/golden``.

    Args:
        state: of the process.
        metrics: what ``/metrics`` shows.
        stalled: says in one sentence what has made no progress for so many seconds, or None.
        live: how many seconds are too many for readiness and for liveness.
        cohorts: makes marks.
    """

    stopping = False

    def __init__(
        self,
        state: State,
        metrics: Metrics,
        stalled: Callable[[float], str | None],
        live: Live,
        cohorts: Cohorts | None = None,
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._stalled = stalled
        self._live_settings = live
        self._cohorts = cohorts or Cohorts()
        self._routes: dict[str, Callable[[Request], Answer]] = {
            "/livez": self._live,
            "/readyz": self._ready,
            "/metrics": self._scrape,
            "/contract": self._contract,
            "/golden": self._golden,
            _MARK: self._mark,
        }

    def admit(self, request: Request) -> None:
        """Everything is let in: whoever reaches this port belongs to the cluster."""

    def release(self, request: Request) -> None:
        """Nothing is counted here."""

    def refuse(self, request: Request, error: PredictionDexError) -> Response:  # noqa: ARG002  Handler's
        """The answer to what cannot be handled."""
        return refusal(error)

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            return self._find(request)(request)
        except PredictionDexError as error:
            return refusal(error)
        # For a bug of ours the caller gets our error shape too, and the log gets the rest.
        except Exception as error:  # noqa: BLE001
            return refusal(unexpected("admin", "rest", ident(None), None, error))

    def _find(self, request: Request) -> Callable[[Request], Answer]:
        route = self._routes.get(request.path)
        if route is None:
            raise NotFound(f"There is no such route; those that exist are {', '.join(self._routes)}.")
        allowed = WRITE if request.path == _MARK else READ
        if request.method not in allowed:
            raise MethodNotAllowed(
                f"{request.path} answers {' and '.join(allowed)} only.", [{"allow": ", ".join(allowed)}]
            )
        return route

    def _live(self, _: Request) -> Response:
        return self._stall(self._live_settings.stall_seconds) or Response(200, b'{"status":"live"}')

    def _stall(self, seconds: float) -> Response | None:
        problem = self._stalled(seconds)
        return None if problem is None else Response(503, orjson.dumps({"status": "stalled", "problem": problem}))

    def _ready(self, _: Request) -> Response:
        phase = self._state.phase
        stalled = self._stall(self._live_settings.unready_seconds) if phase == "ready" else None
        if stalled is not None:
            return stalled
        return Response(200 if phase == "ready" else 503, orjson.dumps({"status": phase}))

    async def _scrape(self, _: Request) -> Response:
        # In a thread: a scrape of a busy replica takes milliseconds, and the loop has requests to answer.
        body, kind = await asyncio.to_thread(self._metrics.expose)
        return Response(200, body, kind)

    def _contract(self, _: Request) -> Response:
        return Response(200, self._state.require().contract.model_dump_json().encode())

    def _mark(self, _: Request) -> Response:
        self._state.require()  # without a model there is nothing that a mark would be for, and no key yet
        mark = self._cohorts.make("golden")
        return Response(200, orjson.dumps({"mark": mark.text, "header": HEADER, "expires": mark.expires}))

    def _golden(self, _: Request) -> Response:
        bundle = self._state.require().bundle
        if _GOLDEN not in bundle.contract.files:
            raise NotFound("The bundle has no golden requests.")
        packed = bundle.path(_GOLDEN).read_bytes()
        return Response(200, packed, headers=((b"content-encoding", b"gzip"),))
