"""The charts on a real cluster, through the helm and kubectl that a person has, while clients ask all the time.

``make cluster`` first, then ``make e2e`` (or ``pytest tests/e2e -m e2e``); ``FULL=1`` takes the cases too that carry
the marker ``full``. Fixtures, widest first:

- ``cluster``: the cluster that is up; without one the run ends with a sentence;
- ``images``: versions 1 and 2 of a small model, a corrupt image, one with faults built in (tests/e2e/images.py);
- ``space``: a namespace a test module, Pod Security ``restricted`` enforced (tests/e2e/cluster.py);
- ``spaces``: makes further ones of a module;
- ``measured``: writes down a figure, which the end of the run prints.

``Release`` (tests/e2e/release.py) installs and changes a release and starts clients (tests/e2e/load.py) and a watch of
its endpoints (tests/e2e/watching.py). Where a test fails its module's namespaces are written into ``.pdx/e2e``
(tests/e2e/dump.py), and the report shows the end of that.
"""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from k8s.local import choose
from k8s.local.choose import Mode
from k8s.local.errors import ClusterError
from k8s.local.paths import ROOT
from tests.e2e import cluster as clusters
from tests.e2e import dump
from tests.e2e.cluster import Cluster, Namespace
from tests.e2e.images import Images

HERE: Final = Path(__file__).parent
BARE: Final = HERE / "test_bare.py"
RECORDS: Final = ROOT / ".pdx/e2e"
FULL: Final = os.environ.get("PDX_E2E_FULL", "") not in {"", "0"}
ORDER: Final = (".", "canary", "monitoring", "training")
"""Folders in their order of importance: the serving chart, rollouts, alerts and dashboards, the training chart."""
TIMEOUT_S: Final = 900
_SPACES: Final = pytest.StashKey[list[Namespace]]()
_MEASURED: Final = pytest.StashKey[list[str]]()
_ONCE: Final = 2
"""A module of more namespaces than this has them written down for its first failure alone."""

Measured = Callable[[str], None]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: runs on a cluster with FULL=1 alone, for it takes long")
    config.stash[_MEASURED] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
    left = [] if FULL else [item for item in ours if item.get_closest_marker("full")]
    bare = [item for item in ours if item.path == BARE]
    if bare and choose.running() is Mode.CURRENT:
        config.stash[_MEASURED].append(f"{BARE.name} is left out: it takes the cluster down, and this one is not ours.")
        left += bare
    config.hook.pytest_deselected(items=left)
    # The bare ones are last, since they take the cluster down.
    kept = [item for item in items if item not in (*left, *bare)]
    items[:] = sorted(kept, key=_importance) + [item for item in bare if item not in left]


def _importance(item: pytest.Item) -> int:
    """Of the folder; other tests come first."""
    folder = item.path.parent
    return ORDER.index(folder.relative_to(HERE).as_posix()) if folder.is_relative_to(HERE) else -1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    module = item.getparent(pytest.Module)
    if report.failed and call.when != "teardown" and module is not None:
        name = re.sub(r"[^\w.-]+", "-", item.nodeid.rpartition("/")[2])
        for space in module.stash.get(_SPACES, []):
            report.sections.append((space.name, dump.write(space, RECORDS / name / space.name)))
        if len(module.stash.get(_SPACES, [])) > _ONCE:
            module.stash[_SPACES] = []
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("measured on the cluster")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster; where there is none the whole run ends, with the reason and status 1."""
    try:
        there = clusters.connect()
    except ClusterError as error:
        pytest.exit(str(error), returncode=1)
    shutil.rmtree(RECORDS, ignore_errors=True)
    yield there
    there = clusters.connect(bare=True)  # not the same one where it was made bare
    mine = [each.metadata.name for each in there.core.list_namespace().items if each.metadata.name.endswith(_RUN)]
    clusters.gone(there, mine)


_RUN: Final = f"-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:  # noqa: ARG001  loads into it
    """Images; each is made when it is asked for. Their archives are large and go at the end."""
    folder = tmp_path_factory.mktemp("images")
    made = Images(folder)
    yield made
    made.forget()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def module_space(
    cluster: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Namespace]:
    """The module's namespace; fixtures of a module build on it."""
    word = _word(request)
    with clusters.namespace(cluster, f"e2e-{word}{_RUN}", tmp_path_factory.mktemp(word)) as there:
        _watch(request, there)
        yield there


@pytest.fixture(scope="module")
def spaces(
    cluster: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Namespace]]:
    """Makes further namespaces, each by a word; they go with the module.

    Another module may use the same word while they are still being deleted.
    """
    with ExitStack() as stack:

        def make(word: str) -> Namespace:
            folder = tmp_path_factory.mktemp(word)
            there = stack.enter_context(clusters.namespace(cluster, f"e2e-{_word(request)}-{word}{_RUN}", folder))
            _watch(request, there)
            return there

        yield make


def _word(request: pytest.FixtureRequest) -> str:
    """What namespaces of the module are called after."""
    return request.path.stem.removeprefix("test_").replace("_", "-")


def _watch(request: pytest.FixtureRequest, space: Namespace) -> None:
    request.node.stash.setdefault(_SPACES, []).append(space)


@pytest.fixture
def space(module_space: Namespace) -> Namespace:
    """The module's namespace."""
    return module_space


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Write down what was measured."""

    def write(line: str) -> None:
        request.config.stash[_MEASURED].append(f"{request.node.name}: {line}")

    return write
