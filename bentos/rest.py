"""The REST door: our app, outermost. It knows its routes, and hands three families of paths on to BentoML."""

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Final

import orjson

from bentos import openapi
from bentos.asgi import (
    App,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    request_of,
    send_response,
)
from bentos.battle.schemas import BattleRequest
from bentos.cohorts import HEADER, MARKED, TESTERS, Cohorts
from bentos.core import Core, Prediction
from bentos.docs import Docs
from bentos.errors import (
    DeadlineExceeded,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Overloaded,
    PredictionDexError,
    RequestError,
    TooSlow,
    UnsupportedMediaType,
)
from bentos.feedback import Feedback
from bentos.http import JSON, Answer, Request, Response, refusal
from bentos.keys import Keys
from bentos.logs import REQUESTS, ident, refused, request_line, trace_id, unexpected
from bentos.metrics import CANCELLED, OK, OTHER, REFUSED, Metrics
from bentos.oip.routes import Oip
from bentos.packing import unpack
from bentos.passing import pass_on
from bentos.reader import too_large
from bentos.routes import READ, WRITE, Job, Route
from bentos.settings import Settings
from bentos.shadow import Shadow
from bentos.state import State
from bentos.telemetry import Tracing
from bentos.typed import BATTLE_BYTES, Typed, parse

TYPED_ROUTE: Final = "/bento/predict_battle"
"""BentoML's typed route."""
HEALTH: Final = ("/livez", "/readyz", "/healthz")
"""Passed on too where ``bentoml serve`` runs the process: its supervisor asks there."""
_MARK: Final = HEADER.encode()
_TESTERS: Final = TESTERS.encode()
_OF_THE_MODEL: Final = ("/predict", "/feedback", "/openapi.json")
"""Beginnings of paths that are there once the model is."""
_FAILURES: Final = 400
_FEEDBACK_BYTES: Final = 256 << 10
_LONG_PACKED: Final = 1 << 10
"""Bytes of a packed body above which it is unpacked in that thread too: they may become a thousand times as many."""
_LARGE: Final = 256 << 10
"""Bytes of a body above which reading it, too, is left to the thread of the large requests."""


class Rest:
    """Handler of the REST door, and the same as an ASGI app.

    Args:
        app: BentoML's app inside of ours; None where BentoML's server has ours inside of its own, and sets it later.
            Its health routes are passed on too then, since its supervisor asks there.
        state: whose core answers.
        settings: limits.
        metrics: counts every request.
        keys: API keys; None asks for none.
        tracing: records every request; None for no traces.
        cohorts: says whose traffic a request is; None knows users' only.
        shadow: is offered what users were answered; None for nobody.

    Attributes:
        app: as above.
    """

    def __init__(
        self,
        app: App | None,
        *,
        state: State,
        settings: Settings,
        metrics: Metrics,
        keys: Keys | None = None,
        tracing: Tracing | None = None,
        cohorts: Cohorts | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.app = app
        self._tracing = tracing
        self._state = state
        self._metrics = metrics
        self._keys = keys
        self._cohorts = cohorts or Cohorts()
        self._shadow = shadow
        self._limit = settings.limit
        self._body_bytes = settings.http.body_bytes
        self._body_seconds = settings.http.body_seconds
        self._oip = Oip(state, nesting=self._limit.nesting)
        self._fixed = {
            TYPED_ROUTE: Route(TYPED_ROUTE, WRITE, call=self._typed_route, most_bytes=BATTLE_BYTES, slow=True),
            "/docs.json": Route("/docs.json", READ, call=self._pass_on, slow=True),
            **Docs(lambda: openapi.text(state.require())).routes(),
            **self._oip.early(),
        }
        if app is None:
            self._fixed |= {path: Route(OTHER, READ, call=self._pass_on, open=True, slow=True) for path in HEALTH}
        self._table: dict[str, Route] = {}
        self._core: Core | None = None
        self._lines = REQUESTS.isEnabledFor(logging.DEBUG)
        self._told = self._lines or tracing is not None
        self._in_flight = 0
        self._held_bytes = 0
        self._held_limit = settings.http.arriving_bytes
        # One worker: large requests wait for each other, and leave the other core's time to small ones.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="large")
        metrics.watch_in_flight("rest", lambda: self._in_flight)

    # What the protocol asks

    @property
    def stopping(self) -> bool:
        """Whether answers should send their clients elsewhere next time."""
        return self._state.stopping

    def admit(self, request: Request) -> None:
        """Let a request in before its body is read; raises Overloaded and Unauthorized."""
        headers = request.headers
        mark, testers = headers.get(_MARK), headers.get(_TESTERS)
        if mark is not None or testers is not None:
            request.cohort = self._cohorts.of(mark, testers)
        if self._in_flight >= self._limit.in_flight and request.method == "POST":
            raise Overloaded(f"There are {self._limit.in_flight} requests in flight already.")
        # Testers choose a track and no more; whoever has a mark was given it by a process that knows the keys.
        if self._keys is not None and request.cohort not in MARKED and not self._find(request).open:
            self._keys.check(headers.get(b"x-api-key"))

    def handle(self, request: Request) -> Answer:
        """Answer a request: at once, or later where it is large or BentoML's."""
        headers = request.headers
        request.ident = ident(headers.get(b"x-request-id"))
        route = _OTHER
        try:
            route = self._find(request)
            if request.method not in route.methods or route.most_bytes is not None:
                _check(request, route)
            if b"content-encoding" in headers:
                self._unpack_short(request, route)
            if route.prepare is None:
                return self._call(request, route)
            # Reading it is itself work for a thread; and what is still packed will be long.
            if len(request.body) > _LARGE or b"content-encoding" in headers:
                return self._beside(request, route)
            job = route.prepare(request)
            if job.rows > self._limit.offload_rows:
                return self._beside(request, route, job)
            prediction = _run(job)
            response = job.finish(prediction)
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets our error shape
            return self._failed(request, route, error)
        if self._told:
            self._count(request, route, OK, prediction, response.status)
        else:
            seconds = perf_counter() - request.started
            self._metrics.request("rest", route.template, OK, seconds, prediction, request.cohort)
        if self._shadow is not None and request.cohort is None:
            self._shadow.offer(prediction)
        return response

    def release(self, request: Request) -> None:
        """Count out a request whose answer was to come later."""
        self._in_flight -= 1
        self._held_bytes -= request.held

    def refuse(self, request: Request, error: PredictionDexError) -> Response:
        """The answer to a request that is not to be handled."""
        request.ident = ident(request.headers.get(b"x-request-id"))
        return self._done(request, self._find(request), refusal(error), error=error)

    # Inside

    def _find(self, request: Request) -> Route:
        core = self._state.core
        if core is not self._core and core is not None:
            self._serve(core)
        path = request.path
        route = self._table.get(path)
        return route if route is not None else self._unknown(path)

    def _serve(self, core: Core) -> None:
        """Know the routes of a model, which is there once it is loaded."""
        if core.contract.adapter != "battle":
            self._fixed.pop(TYPED_ROUTE, None)
        self._table = {
            **self._fixed,
            **self._oip.routes(core),
            **Typed(core, self._limit.nesting).routes(),
            "/feedback": Route(
                "/feedback",
                WRITE,
                call=partial(_feedback, Feedback.of(core, self._metrics, nesting=self._limit.nesting)),
                most_bytes=_FEEDBACK_BYTES,
            ),
        }
        self._core = core

    def _unknown(self, path: str) -> Route:
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        if self._core is None and path.startswith(_OF_THE_MODEL):
            return _LOADING
        return self._oip.unknown(path) or _OTHER

    async def _pass_on(self, request: Request) -> Response:
        if request.path not in HEALTH:
            self._state.require()
        return await self._bento(request)

    async def _typed_route(self, request: Request) -> Response:
        """BentoML's route, so far checked that its own answer to a wrong request is never needed."""
        self._state.require()
        given = request.headers.get(b"content-type")
        if given is not None and given.partition(b";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType(f"The body must be {JSON.decode()}.")
        request.headers[b"content-type"] = JSON  # the one spelling of it that BentoML knows
        parse(BattleRequest, request.body, self._limit.nesting)
        return await self._bento(request)

    async def _bento(self, request: Request) -> Response:
        if self.app is None:
            raise NotReady("The model is still loading.")
        return await pass_on(self.app, request)

    def _unpack_short(self, request: Request, route: Route) -> None:
        """Unpack here what may not become long."""
        if route.methods is READ:
            request.headers.pop(b"content-encoding", None)
        elif len(request.body) <= _LONG_PACKED:
            _unpack(request, route, self._body_bytes)

    def _call(self, request: Request, route: Route) -> Answer:
        """A route that predicts nothing, or lets BentoML do it."""
        assert route.call is not None  # noqa: S101  for the type checker: a route has one of the two
        if b"content-encoding" in request.headers:
            _unpack(request, route, self._body_bytes)
        if route.slow:
            self._check_room(request)
        answer = route.call(request)
        if isinstance(answer, Response):
            return self._done(request, route, answer)
        return self._later(request, route, answer)

    def _beside(self, request: Request, route: Route, job: Job | None = None) -> Answer:
        """In a thread beside the loop, one after another."""
        self._check_room(request)
        work = partial(_work, request, route, job, self._body_bytes)
        return self._later(request, route, asyncio.get_running_loop().run_in_executor(self._threads, work))

    def _later(
        self, request: Request, route: Route, work: Awaitable[Response | tuple[Response, Prediction]]
    ) -> Awaitable[Response]:
        # Until the protocol calls release.
        self._in_flight += 1
        self._held_bytes += len(request.body)
        request.held = len(request.body)
        return self._wait(request, route, work)

    def _check_room(self, request: Request) -> None:
        if self._in_flight >= self._limit.in_flight:
            raise Overloaded(f"There are {self._limit.in_flight} requests in flight already.")
        if self._held_bytes + len(request.body) > self._held_limit:
            raise Overloaded(f"Bodies of {self._held_limit} bytes are waiting already.")

    async def _wait(
        self, request: Request, route: Route, work: Awaitable[Response | tuple[Response, Prediction]]
    ) -> Response:
        try:
            made = await work
            if isinstance(made, Response):
                return self._done(request, route, made)
            if self._shadow is not None and request.cohort is None:
                self._shadow.offer(made[1])
            return self._done(request, route, *made)
        except asyncio.CancelledError:
            # A server that is stopping cancels as well, and then answers.
            if not self._state.stopping:
                self._count(request, route, CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets our error shape
            return self._failed(request, route, error)
        finally:
            # Its error's traceback holds this frame: a ring that only a collection would open.
            del work

    def _failed(self, request: Request, route: Route, error: Exception) -> Response:
        if not isinstance(error, PredictionDexError):
            trace = trace_id(request.headers.get(b"traceparent"))
            error = unexpected(route.template, "rest", request.ident, trace, error)
        return self._done(request, route, refusal(error), error=error)

    def _done(
        self,
        request: Request,
        route: Route,
        response: Response,
        prediction: Prediction | None = None,
        error: PredictionDexError | None = None,
    ) -> Response:
        """Count an answer."""
        code = OK if response.status < _FAILURES else _code_of(response) if error is None else error.code
        self._count(request, route, code, prediction, response.status)
        return response

    def _count(
        self, request: Request, route: Route, code: str, prediction: Prediction | None = None, status: int = 0
    ) -> None:
        seconds = perf_counter() - request.started
        self._metrics.request("rest", route.template, code, seconds, prediction, request.cohort)
        if code is not OK and code in REFUSED:
            refused("rest", route.template, code, request.ident)
        if self._tracing is not None:
            self._tracing.rest(
                request.method,
                route.template,
                code,
                status=status,
                seconds=seconds,
                request_id=request.ident,
                traceparent=request.headers.get(b"traceparent"),
                prediction=prediction,
            )
        if self._lines:
            request_line(
                "rest",
                route.template,
                code,
                status=status,
                seconds=seconds,
                request_id=request.ident,
                trace_id=trace_id(request.headers.get(b"traceparent")),
                rows=0 if prediction is None else prediction.rows,
            )

    # The same under BentoML's server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request of an ASGI server."""
        request = request_of(scope)
        try:
            response = await self._asgi(request, receive)
        except ClientGone:
            return
        await send_response(send, response, request.ident, close=self.stopping)

    async def _asgi(self, request: Request, receive: Receive) -> Response:
        try:
            self.admit(request)
            async with asyncio.timeout(self._body_seconds):
                await read_body(request, receive, self._body_bytes)
        except PredictionDexError as error:
            return self.refuse(request, error)
        except TimeoutError:
            return self.refuse(request, TooSlow(f"The body did not arrive within {self._body_seconds:g} s."))
        answer = self.handle(request)
        if isinstance(answer, Response):
            return answer
        try:
            return await answer
        finally:
            self.release(request)


def _check(request: Request, route: Route) -> None:
    """Raise MethodNotAllowed, and PayloadTooLarge of a route with a limit of its own."""
    if request.method not in route.methods:
        allowed = ", ".join(route.methods)
        raise MethodNotAllowed(f"{route.template} answers {allowed} only.", [{"allow": allowed}])
    if route.most_bytes is not None and len(request.body) > route.most_bytes:
        raise too_large(route.most_bytes)


def _unpack(request: Request, route: Route, limit: int) -> None:
    request.body = unpack(request.body, request.headers.pop(b"content-encoding"), min(limit, route.most_bytes or limit))


def _code_of(response: Response) -> str:
    """The stable word of an error that BentoML's app answered, ours or its own."""
    try:
        word = orjson.loads(response.body)["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        word = None
    if isinstance(word, str):
        return word
    return RequestError.code if response.status < 500 else PredictionDexError.code


def _work(request: Request, route: Route, job: Job | None, limit: int) -> tuple[Response, Prediction]:
    """A large request, in its thread."""
    if job is None:
        if b"content-encoding" in request.headers:
            _unpack(request, route, limit)
        assert route.prepare is not None  # noqa: S101  for the type checker: only such routes come here
        job = route.prepare(request)
    prediction = _run(job)
    return job.finish(prediction), prediction


def _run(job: Job) -> Prediction:
    if job.deadline is not None and perf_counter() > job.deadline:
        raise DeadlineExceeded("The time that the request allows has passed; nothing was computed.")
    return job.run()


def _feedback(feedback: Feedback, request: Request) -> Response:
    return Response(200, feedback.answer(request.body, counted=request.cohort is None))


def _no_route(_: Request) -> Response:
    raise NotFound("There is no such route.")


def _loading(_: Request) -> Response:
    raise NotReady("The model is still loading.")


_ANY: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_OTHER: Final = Route(OTHER, _ANY, call=_no_route)
_LOADING: Final = Route(OTHER, _ANY, call=_loading)
