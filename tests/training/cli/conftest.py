"""One home for all commands, whose first champion the ``demo`` fixture makes."""

from pathlib import Path

import pytest

from tests import commands
from tests.commands import Pdx
from tests.postgres import postgres
from tests.tracking import free_port
from training.serving import PYTHON

__all__ = ["postgres"]  # a fixture, found by its name

_ENOUGH = "60000"  # duels for a model that the gate's floors let pass


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of all these tests keep their state."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def process(home: Path) -> Pdx:
    """Run ``pdx`` as a process of its own."""
    return commands.process(home)


@pytest.fixture(scope="session")
def pdx(home: Path) -> Pdx:
    """Run ``pdx`` in this process."""
    return commands.here(home)


@pytest.fixture(scope="session")
def demo(process: Pdx) -> str:
    """What ``pdx demo --once`` printed in a new home."""
    if not PYTHON.exists():
        pytest.skip("there is no serving environment; make .venv-serving/.ready")
    ports = ("--port", str(free_port()), "--grpc-port", "0", "--admin-port", str(free_port()))
    return process("demo", "--once", "--rows", _ENOUGH, *ports).stdout
