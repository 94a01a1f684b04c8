"""Models of every kind behind the protocol's routes, as functions and as a running server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentos.core import Core
from bentos.http import Request, Response
from bentos.oip.routes import Oip
from bentos.state import State
from tests import servers, tabular

NESTING = 16

Ask = Callable[..., Response]


@pytest.fixture(scope="session")
def tabular_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tabular.Kind], Path]:
    """Makes a tabular bundle of a kind, each once."""
    made: dict[str, Path] = {}

    def bundle(kind: tabular.Kind) -> Path:
        if kind not in made:
            made[kind] = tabular.write(kind, tmp_path_factory.mktemp("tabular") / kind)
        return made[kind]

    return bundle


@pytest.fixture(scope="session")
def tabular_core(tabular_bundle: Callable[[tabular.Kind], Path]) -> Callable[[tabular.Kind], Core]:
    """Opens a tabular bundle of a kind, each once."""
    made: dict[str, Core] = {}

    def core(kind: tabular.Kind) -> Core:
        if kind not in made:
            made[kind] = Core.open(tabular_bundle(kind))
        return made[kind]

    return core


@pytest.fixture(scope="session")
def ask() -> Callable[[Core, bytes, dict[bytes, bytes]], Response]:
    """Sends the body of an inference request through the routes of a core."""

    def send(core: Core, body: bytes, headers: dict[bytes, bytes]) -> Response:
        path = f"/v2/models/{core.contract.name}/infer"
        route = Oip(State(), nesting=NESTING).routes(core)[path]
        assert route.prepare is not None
        job = route.prepare(Request("POST", path, "", headers, body))
        return job.finish(job.run())

    return send


@pytest.fixture(scope="session")
def classifier(
    tabular_bundle: Callable[[tabular.Kind], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Process]:
    """A server of a classifier on numbers."""
    yield from _serve(tabular_bundle("classifier"), tmp_path_factory)


@pytest.fixture(scope="session")
def pipeline(
    tabular_bundle: Callable[[tabular.Kind], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Process]:
    """A server of a pipeline on text and numbers."""
    yield from _serve(tabular_bundle("pipeline"), tmp_path_factory)


def _serve(bundle: Path, factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    # Nobody sends anything any more when these are stopped.
    with servers.start(factory.mktemp("server"), "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="0") as process:
        yield servers.ready(process)
