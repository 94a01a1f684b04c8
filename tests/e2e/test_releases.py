"""Two releases in one namespace have nothing to do with each other, and what helm uninstalls is gone."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import Load
from tests.e2e.release import Release
from tests.e2e.watching import Endpoints

LONG: Final = "a-release-whose-name-is-as-long-as-helm-lets-names-be"
ONE: Final[dict[str, Any]] = {"autoscaling": {"min": 1, "max": 1}}
# Made by Kubernetes as it sees fit, and no part of anything that was installed.
_PASSING: Final = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")

pytestmark = pytest.mark.usefixtures("space")


def kinds(space: Namespace) -> str:
    """Every kind that a namespace can hold, as kubectl wants them."""
    named = space.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    kept = [name for name in named if name not in _PASSING and not name.endswith(".metrics.k8s.io")]
    assert len(kept) > 30, kept
    return ",".join(kept)


def everything(space: Namespace) -> set[str]:
    """Kind and name of all that is in the namespace."""
    return set(space.kubectl("get", kinds(space), "--output=name").split())


def objects(space: Namespace, release: Release) -> dict[str, Any]:
    """What was asked for in each object of a release: all of it but status and who wrote it when."""
    found = {}
    for each in space.items(kinds(space), "--selector", f"app.kubernetes.io/instance={release.name}"):
        meta = {key: each["metadata"][key] for key in ("uid", "generation", "labels") if key in each["metadata"]}
        rest = {key: value for key, value in each.items() if key not in {"metadata", "status"}}
        found[f"{each['kind']}/{each['metadata']['name']}"] = {"metadata": meta, **rest}
    return found


@pytest.fixture(scope="module")
def empty(module_space: Namespace) -> set[str]:
    """What a namespace has by itself."""
    accounts = "serviceaccount/default"
    until("the namespace's own objects", lambda: {accounts, "configmap/kube-root-ca.crt"} <= everything(module_space))
    return everything(module_space)


@pytest.fixture(scope="module")
def battle(module_space: Namespace, images: Images, empty: set[str]) -> Release:  # noqa: ARG001  taken before
    release = Release(module_space, "battle")
    release.install(images.version("1").values, ONE)
    return release


@pytest.fixture(scope="module")
def long(module_space: Namespace, images: Images, battle: Release) -> Release:  # noqa: ARG001  beside it
    release = Release(module_space, LONG)
    release.install(images.version("1").values, ONE)
    return release


@pytest.fixture(scope="module")
def asked(battle: Release, long: Release) -> Iterator[tuple[Load, Endpoints]]:  # noqa: ARG001  both are there
    with battle.asked(rate=60) as asked:
        yield asked


def test_a_name_of_53_characters(long: Release, measured: Measured) -> None:
    assert len(long.name) == 53
    with long.load(rate=30) as load:
        load.answered(100)
    tally = load.stop()
    tested = long.space.helm("test", long.name)
    measured(f"{tally}; helm test took {tested.seconds:.1f} s")
    assert tally.failed == 0
    assert "Phase:          Succeeded" in tested.stdout, tested.stdout


def test_changes_of_one_leave_the_other_alone(
    asked: tuple[Load, Endpoints], battle: Release, long: Release, empty: set[str], measured: Measured
) -> None:
    load, endpoints = asked
    space = battle.space
    before, ready = objects(space, battle), endpoints.ready
    assert len(before) > 10, sorted(before)
    with load.during("upgrade and uninstall of the other") as phase:
        pods = {pod["metadata"]["name"] for pod in long.pods()}
        long.upgrade({"settings": {"PDX_LIMIT_NESTING": 31}})
        assert not {pod["metadata"]["name"] for pod in long.pods() if "deletionTimestamp" not in pod["metadata"]} & pods
        assert objects(space, battle) == before
        space.helm("uninstall", long.name, "--wait")
        until("the other has gone", lambda: not objects(space, long), 120, poll_s=1)
        load.answered(100)
    measured(f"{phase}; {len(before)} objects of the other as before")
    assert phase.tally.failed == 0
    assert objects(space, battle) == before
    assert endpoints.ever(phase.start) == ready
    assert not {name for name in everything(space) - empty if LONG in name}


def test_uninstall_leaves_nothing(
    asked: tuple[Load, Endpoints], battle: Release, empty: set[str], measured: Measured
) -> None:
    load, _ = asked
    load.stop()
    there = everything(battle.space) - empty
    done = battle.space.helm("uninstall", battle.name, "--wait")
    assert done.stdout.startswith(f'release "{battle.name}" uninstalled'), done.stdout
    until("nothing is left", lambda: everything(battle.space) == empty, 120, poll_s=1)
    measured(f"helm uninstall took {done.seconds:.1f} s; {len(there)} objects are gone")
