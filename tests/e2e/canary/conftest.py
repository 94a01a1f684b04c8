"""A release of version 1 for each case of a rollout, with its driver."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from tests.e2e.canary.driver import WIDE, Driver, with_ids
from tests.e2e.cluster import Namespace
from tests.e2e.conftest import RECORDS, Measured
from tests.e2e.images import Image, Images
from tests.e2e.load import Tally
from tests.e2e.release import Release


class Made(Protocol):
    """Installs a release in a namespace of its own, by a word; of version 1, where no other image is given."""

    def __call__(self, word: str, *values: dict[str, Any], image: Image | None = None) -> Driver: ...


@pytest.fixture
def made(spaces: Callable[[str], Namespace], images: Images) -> Iterator[Made]:
    """Installs releases; their drivers end with the test."""
    drivers: list[Driver] = []

    def make(word: str, *values: dict[str, Any], image: Image | None = None) -> Driver:
        release = with_ids(Release(spaces(word), "battle"))
        release.install((image or images.version("1")).values, WIDE, *values)
        drivers.append(Driver(release))
        return drivers[-1]

    yield make
    for each in drivers:
        each.stop()
        # Pods of all cases together ask for more than the node has.
        each.release.space.tried("uninstall", each.release.name, "--wait")


class Shown(Protocol):
    """Writes down what a case came to, for ``tools/rollout_cases.py``; called once all of it was as it should be."""

    def __call__(self, result: str, tally: Tally | None = None, *, log: str = "") -> None: ...


@pytest.fixture
def shown(request: pytest.FixtureRequest, measured: Measured) -> Shown:
    """Writes into ``.pdx/e2e/rollouts``."""

    def write(result: str, tally: Tally | None = None, *, log: str = "") -> None:
        measured(f"{result}; {tally}")
        name = request.node.name
        found = {
            "name": name, "result": result, "log": log, "on": datetime.now(UTC).date().isoformat(),
            "requests": tally and tally.requests, "failed": tally and tally.failed,
        }  # fmt: skip
        folder = RECORDS / "rollouts"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{re.sub(r'[^a-z-]+', '-', name)}.json").write_text(json.dumps(found))

    return write
