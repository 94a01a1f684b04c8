"""A bundle, a core and a running server, each made once."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bentos.core import Core
from tests import bundles, servers


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle; copy it before changing it."""
    return bundles.write(tmp_path_factory.mktemp("bundle") / "battle")


@pytest.fixture(scope="session")
def core(bundle: Path) -> Core:
    return Core.open(bundle)


@pytest.fixture(scope="session")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    with servers.start(tmp_path_factory.mktemp("server"), "--bundle", str(bundle)) as process:
        yield servers.ready(process)


@pytest.fixture
def client(server: servers.Process) -> Iterator[httpx.Client]:
    """A client of the REST door."""
    with httpx.Client(base_url=server.rest, timeout=30) as connected:
        yield connected
