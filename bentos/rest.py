"""The REST door: our ASGI app, outermost. It knows its routes and hands three families of paths on to BentoML."""

import difflib
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from bentos.asgi import (
    App,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    error_body,
    read_body,
    respond,
    status_of,
    unexpected,
)
from bentos.battle.schemas import BattleRequest
from bentos.errors import InvalidInput, MethodNotAllowed, NotFound, PayloadTooLarge, PredictionDexError, RequestError
from bentos.state import State

BENTO_PREFIX: Final = "/bento/"
"""Paths of BentoML's typed routes."""
PASSED: Final = ("/docs.json", "/static_content/", BENTO_PREFIX)
"""What BentoML's app answers: the OpenAPI document of its routes, the files that show it, and the routes themselves."""
HEALTH: Final = ("/livez", "/readyz", "/healthz")
"""Passed on too where ``bentoml serve`` runs the process: its supervisor asks there."""

# BentoML's own page of this kind loads a tracker from the internet; ours uses the same files without it.
_DOCS: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>PredictionDex</title>
<link rel="stylesheet" href="static_content/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script src="static_content/swagger-ui-standalone-preset.js"></script>
<script src="static_content/swagger-initializer.js"></script>
</body>
</html>
"""
_CLOSE: Final = (b"connection", b"close")
Model = TypeVar("Model", bound=BaseModel)


class _Route(NamedTuple):
    method: str
    answer: Callable[[bytes], bytes]
    content_type: bytes = b"application/json"


class Rest:
    """ASGI app.

    Args:
        app: BentoML's app, which gets the paths in ``passed``.
        state: whose core answers.
        body_bytes: longest accepted body, in bytes; of BentoML's routes too.
        passed: paths, or beginnings of paths that end in a slash.
    """

    def __init__(self, app: App, *, state: State, body_bytes: int, passed: tuple[str, ...] = PASSED) -> None:
        self._app = app
        self._state = state
        self._body_bytes = body_bytes
        self._passed = frozenset(path for path in passed if not path.endswith("/"))
        self._prefixes = tuple(path for path in passed if path.endswith("/"))
        self._routes = {
            "/predict/battle": _Route("POST", self._battle),
            "/docs": _Route("GET", lambda _: _DOCS, b"text/html; charset=utf-8"),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._closing(send)
        try:
            await self._dispatch(scope, receive, send)
        except ClientGone:
            return
        except PredictionDexError as error:
            await self._refuse(send, error)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        route = self._routes.get(path)
        if route is not None:
            if scope["method"] != route.method:
                raise MethodNotAllowed(f"{path} answers {route.method} only.", [{"allow": route.method}])
            body = await read_body(scope, receive, self._body_bytes)
            try:
                answer = route.answer(body)
            except PredictionDexError:
                raise
            # For a bug of ours the client gets our error shape too, and the log gets the rest.
            except Exception as error:
                raise unexpected(path, error) from error
            await respond(send, 200, answer, route.content_type)
        elif path in self._passed or path.startswith(self._prefixes):
            await self._app(scope, _replay(await read_body(scope, receive, self._body_bytes), receive), send)
        else:
            raise NotFound("There is no such route.")

    def _battle(self, body: bytes) -> bytes:
        core = self._state.require()
        request = parse(BattleRequest, body)
        answer = core.battle(request.pokemon_a, request.pokemon_b, request.available_moves_a, request.available_moves_b)
        return answer.model_dump_json().encode()

    def _closing(self, send: Send) -> Send:
        """While stopping, tell each client to open its next connection elsewhere."""

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._state.stopping:
                message = {**message, "headers": [*message.get("headers", []), _CLOSE]}
            await send(message)

        return closing

    async def _refuse(self, send: Send, error: PredictionDexError) -> None:
        headers: list[tuple[bytes, bytes]] = []
        if isinstance(error, MethodNotAllowed):
            headers.append((b"allow", error.details[0]["allow"].encode()))
        if isinstance(error, PayloadTooLarge):
            headers.append(_CLOSE)  # what is left of the body would be taken for the next request
        await respond(send, status_of(error), error_body(error), headers=headers)


def parse(model: type[Model], body: bytes) -> Model:
    """Read a JSON body into a model.

    Raises:
        RequestError: it is not JSON.
        InvalidInput: it does not fit the model; ``details`` has one entry a fault.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"The body is not JSON: {error.msg} at line {error.lineno}.") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(model, error) from error


def invalid(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    """What pydantic refuses, in one sentence about the first fault and one detail for each."""
    details = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in fault["loc"])
        details.append({"field": field, "problem": _problem(model, fault["type"], field, fault["msg"])})
    more = f" ({len(details) - 1} more in the details.)" if len(details) > 1 else ""
    return InvalidInput(details[0]["problem"] + more, details)


def _problem(model: type[BaseModel], kind: str, field: str, message: str) -> str:
    if not field:
        return "The body must be a JSON object."
    if kind == "missing":
        return f"The field {field} is missing."
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(field, list(model.model_fields), n=1)
        return f"There is no field {field[:64]!r}." + (f" Did you mean {near[0]}?" if near else "")
    return f"{field}: {message}."


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body already read, then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
