"""Doors that several modules call, each opened once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bentos.core import Core
from bentos.grpc_door import GrpcDoor
from tests import tabular
from tests.bentos.grpc_door import doors


@pytest.fixture(scope="session")
def door(core: Core) -> Iterator[GrpcDoor]:
    with doors.open_door(core) as opened:
        yield opened


@pytest.fixture
def channel(door: GrpcDoor) -> Iterator[Any]:
    with doors.connect(door) as connected:
        yield connected


@pytest.fixture(scope="session")
def tabular_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[tabular.Kind], tuple[GrpcDoor, Core]]]:
    """A door of each kind of tabular model and its core, made when it is asked for."""
    made: dict[str, tuple[GrpcDoor, Core]] = {}
    with ExitStack() as stack:

        def of(kind: tabular.Kind) -> tuple[GrpcDoor, Core]:
            if kind not in made:
                core = Core.open(tabular.write(kind, tmp_path_factory.mktemp("tabular") / kind))
                made[kind] = stack.enter_context(doors.open_door(core)), core
            return made[kind]

        yield of
