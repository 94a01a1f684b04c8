"""The door for the kubelet, Prometheus and the rollout driver: nothing here is for users."""

import orjson

from bentos.asgi import Receive, Scope, Send, error_body, error_headers, respond, status_of, unexpected
from bentos.errors import MethodNotAllowed, NotFound, PredictionDexError
from bentos.state import State


class Admin:
    """ASGI app with ``/livez``, ``/readyz`` and ``/contract``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._routes = {"/livez": self._live, "/readyz": self._ready, "/contract": self._contract}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        """Answer one request."""
        headers: list[tuple[bytes, bytes]] = []
        try:
            status, body = self._answer(scope["path"], scope["method"])
        except PredictionDexError as error:
            status, body, headers = status_of(error), error_body(error), error_headers(error)
        # For a bug of ours the caller gets our error shape too, and the log gets the rest.
        except Exception as error:  # noqa: BLE001
            bug = unexpected(scope["path"], error)
            status, body = status_of(bug), error_body(bug)
        await respond(send, status, body, headers=headers)

    def _answer(self, path: str, method: str) -> tuple[int, bytes]:
        route = self._routes.get(path)
        if route is None:
            raise NotFound(f"There is no such route; those that exist are {', '.join(self._routes)}.")
        if method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"{path} answers GET and HEAD only.", [{"allow": "GET, HEAD"}])
        return route()

    def _live(self) -> tuple[int, bytes]:
        return 200, b'{"status":"live"}'

    def _ready(self) -> tuple[int, bytes]:
        phase = self._state.phase
        return 200 if phase == "ready" else 503, orjson.dumps({"status": phase})

    def _contract(self) -> tuple[int, bytes]:
        return 200, self._state.require().contract.model_dump_json().encode()
