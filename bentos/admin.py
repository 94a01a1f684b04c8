"""The door for the kubelet, Prometheus and the rollout driver: nothing here is for users."""

import orjson

from bentos.asgi import Receive, Scope, Send, error_body, respond, status_of
from bentos.errors import MethodNotAllowed, NotFound, PredictionDexError
from bentos.state import State


class Admin:
    """ASGI app with ``/livez``, ``/readyz`` and ``/contract``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._routes = {"/livez": self._live, "/readyz": self._ready, "/contract": self._contract}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Answer one request."""
        try:
            route = self._routes.get(scope["path"])
            if route is None:
                raise NotFound(f"There is no such route; those that exist are {', '.join(self._routes)}.")
            if scope["method"] not in {"GET", "HEAD"}:
                raise MethodNotAllowed(f"{scope['path']} answers GET only.", [{"allow": "GET"}])
            status, body = route()
        except PredictionDexError as error:
            status, body = status_of(error), error_body(error)
        await respond(send, status, body)

    def _live(self) -> tuple[int, bytes]:
        return 200, b'{"status":"live"}'

    def _ready(self) -> tuple[int, bytes]:
        phase = self._state.phase
        return 200 if phase == "ready" else 503, orjson.dumps({"status": phase})

    def _contract(self) -> tuple[int, bytes]:
        return 200, self._state.require().contract.model_dump_json().encode()
