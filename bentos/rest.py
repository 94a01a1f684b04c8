"""The REST door: our ASGI app, outermost. It knows its routes and hands three families of paths on to BentoML."""

import asyncio
import difflib
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from bentos.asgi import (
    CLOSE,
    App,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    error_body,
    error_headers,
    read_body,
    respond,
    status_of,
    unexpected,
)
from bentos.battle.schemas import BattleRequest
from bentos.errors import (
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    NotReady,
    PredictionDexError,
    RequestError,
    UnsupportedMediaType,
)
from bentos.state import State

TYPED_ROUTE: Final = "/bento/predict_battle"
"""BentoML's typed route."""
PASSED: Final = ("/docs.json", "/static_content/", TYPED_ROUTE)
"""What BentoML's app answers: the OpenAPI document of its route, the files that show it, and the route itself."""
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
_JSON: Final = b"application/json"
_READ: Final = ("GET", "HEAD")
_WRITE: Final = ("POST",)
_MOST_DETAILS: Final = 20
_LONGEST_FIELD: Final = 64
"""Characters of a field's name that an answer repeats."""
_LONGEST_TYPO: Final = 32
"""Characters of a field's name that the nearest one is looked for."""
Model = TypeVar("Model", bound=BaseModel)


class _Route(NamedTuple):
    methods: tuple[str, ...]
    answer: Callable[[bytes], bytes]
    content_type: bytes = _JSON


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
            "/predict/battle": _Route(_WRITE, self._battle),
            "/docs": _Route(_READ, lambda _: _DOCS, b"text/html; charset=utf-8"),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._state)
        try:
            await self._dispatch(scope, receive, answer)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # At the end of the time that a stopping server leaves to what is in flight.
            if answer.begun or not self._state.stopping:
                raise
            await _refuse(answer, NotReady("The server stopped before the request was answered."))
        except Exception as error:
            if answer.begun:
                raise
            await _refuse(answer, error if isinstance(error, PredictionDexError) else unexpected(scope["path"], error))

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        route = self._routes.get(path)
        if route is not None:
            _allow(scope, route.methods)
            body = await read_body(scope, receive, self._body_bytes)
            await respond(send, 200, route.answer(body), route.content_type)
        elif path in self._passed or path.startswith(self._prefixes):
            await self._pass_on(scope, receive, send)
        else:
            raise NotFound("There is no such route.")

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to BentoML, so far checked that its answer to a wrong one is never needed."""
        typed = scope["path"] == TYPED_ROUTE
        _allow(scope, _WRITE if typed else _READ)
        if scope["path"] not in HEALTH:
            self._state.require()
        if typed:
            scope = _as_json(scope)
        body = await read_body(scope, receive, self._body_bytes)
        if typed:
            parse(BattleRequest, body)
        await self._app(scope, _replay(body, receive), send)

    def _battle(self, body: bytes) -> bytes:
        core = self._state.require()
        request = parse(BattleRequest, body)
        answer = core.battle(request.pokemon_a, request.pokemon_b, request.available_moves_a, request.available_moves_b)
        return answer.model_dump_json().encode()


class _Answer:
    """A ``send`` that knows whether the answer has begun and, while stopping, sends the client elsewhere next time."""

    def __init__(self, send: Send, state: State) -> None:
        self._send = send
        self._state = state
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if self._state.stopping:
                message = {**message, "headers": [*message.get("headers", []), CLOSE]}
        await self._send(message)


async def _refuse(send: Send, error: PredictionDexError) -> None:
    await respond(send, status_of(error), error_body(error), headers=error_headers(error))


def _allow(scope: Scope, methods: tuple[str, ...]) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        raise MethodNotAllowed(f"{scope['path'][:_LONGEST_FIELD]} answers {allowed} only.", [{"allow": allowed}])


def _as_json(scope: Scope) -> Scope:
    """The request with the one spelling of its content type that BentoML knows; raises UnsupportedMediaType."""
    given = [value for name, value in scope["headers"] if name == b"content-type"]
    if any(value.partition(b";")[0].strip().lower() != _JSON for value in given):
        raise UnsupportedMediaType(f"The body must be {_JSON.decode()}.")
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", _JSON)]}


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
    """What pydantic refuses, in one sentence about the first fault and one detail for each of the first 20."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    details = []
    for fault in faults[:_MOST_DETAILS]:
        field = ".".join(str(part)[:_LONGEST_FIELD] for part in fault["loc"])
        shown = field[:_LONGEST_FIELD]
        details.append({"field": shown, "problem": _problem(model, fault["type"], field, fault["msg"])})
    problem = details[0]["problem"]
    if len(faults) > _MOST_DETAILS:
        problem += f" (One of {len(faults)} faults; the first {_MOST_DETAILS} are in the details.)"
    elif len(faults) > 1:
        problem += f" ({len(faults) - 1} more in the details.)"
    return InvalidInput(problem, details)


def _problem(model: type[BaseModel], kind: str, field: str, message: str) -> str:
    shown = field[:_LONGEST_FIELD]
    if not field:
        return "The body must be a JSON object."
    if kind == "missing":
        return f"The field {shown} is missing."
    if kind == "extra_forbidden":
        known = list(model.model_fields) if len(field) <= _LONGEST_TYPO else []
        near = difflib.get_close_matches(field, known, n=1)
        return f"There is no field {shown!r}." + (f" Did you mean {near[0]}?" if near else "")
    return f"{shown}: {message}."


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body already read, then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
