"""The REST door: our app, outermost. It knows its routes, and hands three families of paths on to BentoML."""

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Final

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
from bentos.core import Core, Prediction
from bentos.docs import Docs
from bentos.errors import (
    DeadlineExceeded,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    PredictionDexError,
    UnsupportedMediaType,
)
from bentos.feedback import Feedback
from bentos.http import JSON, Answer, Request, Response, refusal, unexpected
from bentos.keys import Keys
from bentos.logs import REQUESTS, ident, request_line, trace_id
from bentos.metrics import CANCELLED, OK, OTHER, Metrics
from bentos.oip.routes import Oip
from bentos.openapi import document
from bentos.packing import unpack
from bentos.passing import pass_on
from bentos.routes import READ, WRITE, Job, Route
from bentos.settings import Settings
from bentos.state import State
from bentos.telemetry import Tracing
from bentos.typed import Typed, parse

TYPED_ROUTE: Final = "/bento/predict_battle"
"""BentoML's typed route."""
HEALTH: Final = ("/livez", "/readyz", "/healthz")
"""Passed on too where ``bentoml serve`` runs the process: its supervisor asks there."""
_OF_THE_MODEL: Final = ("/predict", "/feedback", "/openapi.json")
"""Beginnings of paths that are there once the model is."""
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
    ) -> None:
        self.app = app
        self._tracing = tracing
        self._state = state
        self._metrics = metrics
        self._keys = keys
        self._limit = settings.limit
        self._body_bytes = settings.http.body_bytes
        self._oip = Oip(state, nesting=self._limit.nesting)
        self._fixed = {
            TYPED_ROUTE: Route(TYPED_ROUTE, WRITE, call=self._typed_route),
            "/docs.json": Route("/docs.json", READ, call=self._pass_on),
            **Docs(lambda: document(state.require())).routes(),
            **self._oip.early(),
        }
        if app is None:
            self._fixed |= {path: Route(OTHER, READ, call=self._pass_on, open=True) for path in HEALTH}
        self._table: dict[str, Route] = {}
        self._core: Core | None = None
        self._lines = REQUESTS.isEnabledFor(logging.DEBUG)
        self._in_flight = 0
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
        if self._in_flight >= self._limit.in_flight and request.method == "POST":
            raise Overloaded(f"There are {self._limit.in_flight} requests in flight already.")
        if self._keys is not None and not self._find(request).open:
            self._keys.check(request.headers.get(b"x-api-key"))
        self._in_flight += 1

    def release(self, request: Request) -> None:  # noqa: ARG002  Handler's signature
        """Count a request out."""
        self._in_flight -= 1

    def handle(self, request: Request) -> Answer:
        """Answer a request: at once, or later where it has many rows or is BentoML's."""
        route = self._find(request)
        request.ident = ident(request.headers.get(b"x-request-id"))
        try:
            _allow(request, route)
            if b"content-encoding" in request.headers:
                encoding = request.headers.pop(b"content-encoding")
                request.body = unpack(request.body, encoding, self._body_bytes)
            if route.prepare is None:
                assert route.call is not None  # noqa: S101  for the type checker: a route has one of the two
                answer = route.call(request)
                if isinstance(answer, Response):
                    return self._done(request, route, answer)
                return self._wait(request, route, answer)
            if len(request.body) > _LARGE:
                return self._wait(request, route, self._run_beside(request, route))
            job = route.prepare(request)
            if job.rows > self._limit.offload_rows:
                return self._wait(request, route, self._run_beside(request, route, job))
            prediction = _run(job)
            return self._done(request, route, job.finish(prediction), prediction)
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets our error shape
            return self._failed(request, route, error)

    def refuse(self, request: Request | None, error: PredictionDexError) -> Response:
        """The answer to a request that is not to be handled."""
        if request is None:
            request = Request("", "", "", {})
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
        self._table = {
            **self._fixed,
            **self._oip.routes(core),
            **Typed(core, self._limit.nesting).routes(),
            "/feedback": Route(
                "/feedback",
                WRITE,
                call=partial(_feedback, Feedback.of(core, self._metrics, nesting=self._limit.nesting)),
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

    async def _run_beside(self, request: Request, route: Route, job: Job | None = None) -> tuple[Response, Prediction]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _work, request, route, job)

    async def _wait(
        self, request: Request, route: Route, work: Awaitable[Response | tuple[Response, Prediction]]
    ) -> Response:
        try:
            made = await work
        except asyncio.CancelledError:
            self._count(request, route, CANCELLED)
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets our error shape
            return self._failed(request, route, error)
        if isinstance(made, Response):
            return self._done(request, route, made)
        return self._done(request, route, *made)

    def _failed(self, request: Request, route: Route, error: Exception) -> Response:
        if not isinstance(error, PredictionDexError):
            error = unexpected(route.template, error, request.ident)
        return self._done(request, route, refusal(error), error=error)

    def _done(
        self,
        request: Request,
        route: Route,
        response: Response,
        prediction: Prediction | None = None,
        error: PredictionDexError | None = None,
    ) -> Response:
        """Count an answer, and give it the id of its request."""
        self._count(request, route, OK if error is None else error.code, prediction, response.status)
        status, body, content_type, headers = response
        return Response(status, body, content_type, (*headers, (b"x-request-id", request.ident.encode())))

    def _count(
        self, request: Request, route: Route, code: str, prediction: Prediction | None = None, status: int = 0
    ) -> None:
        seconds = perf_counter() - request.started
        self._metrics.request("rest", route.template, code, seconds, prediction)
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
            self.admit(request)
        except PredictionDexError as error:
            await send_response(send, self.refuse(request, error), close=self.stopping)
            return
        try:
            response = await self._asgi(request, receive)
        except ClientGone:
            return
        finally:
            self.release(request)
        await send_response(send, response, close=self.stopping)

    async def _asgi(self, request: Request, receive: Receive) -> Response:
        try:
            await read_body(request, receive, self._body_bytes)
        except PayloadTooLarge as error:
            return self.refuse(request, error)
        answer = self.handle(request)
        return answer if isinstance(answer, Response) else await answer


def _allow(request: Request, route: Route) -> None:
    if request.method not in route.methods:
        allowed = ", ".join(route.methods)
        raise MethodNotAllowed(f"{route.template} answers {allowed} only.", [{"allow": allowed}])


def _work(request: Request, route: Route, job: Job | None) -> tuple[Response, Prediction]:
    """A large request, in its thread."""
    if job is None:
        assert route.prepare is not None  # noqa: S101  for the type checker: only such routes come here
        job = route.prepare(request)
    prediction = _run(job)
    return job.finish(prediction), prediction


def _run(job: Job) -> Prediction:
    if job.deadline is not None and perf_counter() > job.deadline:
        raise DeadlineExceeded("The time that the request allows has passed; nothing was computed.")
    return job.run()


def _feedback(feedback: Feedback, request: Request) -> Response:
    return Response(200, feedback.answer(request.body))


def _no_route(_: Request) -> Response:
    raise NotFound("There is no such route.")


def _loading(_: Request) -> Response:
    raise NotReady("The model is still loading.")


_ANY: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
_OTHER: Final = Route(OTHER, _ANY, call=_no_route)
_LOADING: Final = Route(OTHER, _ANY, call=_loading)
