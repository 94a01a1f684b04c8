"""The protocol's routes, as functions from a request to an answer."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

import orjson

from bentos.core import Core
from bentos.errors import NotReady
from bentos.http import Request, Response
from bentos.oip import metadata
from bentos.oip.answer import Writer
from bentos.oip.binary import LENGTH_HEADER
from bentos.oip.request import Reader
from bentos.routes import READ, WRITE, Job, Route
from bentos.state import State

_MODEL: Final = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<what>/ready|/infer)?")
_LIVE: Final = Response(200, b'{"live":true}')
_READY: Final = Response(200, b'{"ready":true}')
_SERVER: Final = Response(200, orjson.dumps(metadata.server()))


class Oip:
    """The Open Inference Protocol v2.

    Args:
        state: whether the model is there, and the process stopping.
        nesting: levels of arrays and objects that a request may have.
    """

    def __init__(self, state: State, *, nesting: int) -> None:
        self._state = state
        self._nesting = nesting

    def early(self) -> dict[str, Route]:
        """The routes that answer before there is a model, by path."""
        fixed = [
            Route("/v2", READ, call=lambda _: _SERVER),
            Route("/v2/health/live", READ, call=lambda _: _LIVE, open=True),
            Route("/v2/health/ready", READ, call=lambda _: self._ready(_READY), open=True),
        ]
        return {route.template: route for route in fixed}

    def routes(self, core: Core) -> dict[str, Route]:
        """The routes of a model, by path, with its version named and without."""
        contract = core.contract
        described = Response(200, orjson.dumps(metadata.model(core)))
        ready = Response(200, orjson.dumps({"name": contract.name, "ready": True}))
        reader = Reader(core.adapter.inputs, core.outputs, core.most_rows, self._nesting)
        writer = Writer(contract.name, contract.version, core.outputs, contract.classes or ())
        infer = partial(_infer, core, reader, writer)
        bare, named = f"/v2/models/{contract.name}", f"/versions/{contract.version}"
        table = {}
        for path, template in ((bare, "/v2/models/{name}"), (bare + named, "/v2/models/{name}/versions/{version}")):
            table[path] = Route(template, READ, call=lambda _: described)
            table[path + "/ready"] = Route(template + "/ready", READ, call=lambda _: self._ready(ready), open=True)
            table[path + "/infer"] = Route(template + "/infer", WRITE, prepare=infer)
        return table

    def unknown(self, path: str) -> Route | None:
        """The route of a model or version that is not there, which says so; None for a path of another form."""
        found = _MODEL.fullmatch(path)
        if found is None:
            return None
        name, version, what = found["name"], found["version"], found["what"] or ""
        template = "/v2/models/{name}" + ("" if version is None else "/versions/{version}") + what
        methods = WRITE if what == "/infer" else READ
        return Route(template, methods, call=self._missing(name, version), open=what == "/ready")

    def _missing(self, name: str, version: str | None) -> Callable[[Request], Response]:
        def answer(_: Request) -> Response:
            self._state.require().check_model(name, version)
            raise NotReady("The model is still loading.")

        return answer

    def _ready(self, answer: Response) -> Response:
        phase = self._state.phase
        if phase == "ready":
            return answer
        raise NotReady("The server is stopping." if phase == "stopping" else "The model is still loading.")


def _infer(core: Core, reader: Reader, writer: Writer, request: Request) -> Job:
    """Check an inference request; safe in any thread. Raises RequestError."""
    headers = request.headers
    tensors, ident, ids, timeout, wanted = reader.read(request.body, headers.get(LENGTH_HEADER))
    rows = core.tensors(tensors)
    accept = headers.get(b"accept-encoding")
    return Job(
        rows.n,
        partial(core.predict, rows, ids=ids),
        partial(writer.write, ident=ident, wanted=wanted, accept=accept),
        None if timeout is None else request.started + timeout,
    )
