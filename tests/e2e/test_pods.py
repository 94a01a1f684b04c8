"""Pods go away, gently and hard, while clients ask."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.e2e.cluster import Namespace, kill, until
from tests.e2e.conftest import Measured
from tests.e2e.generator import WAITS_S
from tests.e2e.images import Images
from tests.e2e.load import Phase
from tests.e2e.release import Release

PODS: Final = 3
GONE_S: Final = 5
"""Within which a pod whose container was killed has to be out of the endpoints."""

pytestmark = pytest.mark.usefixtures("space")


@pytest.fixture(scope="module")
def release(module_space: Namespace, images: Images) -> Release:
    release = Release(module_space, "battle")
    release.install(images.version("1").values, {"autoscaling": {"min": PODS, "max": PODS, "scaleDownSeconds": 0}})
    return release


def ready(release: Release, pods: int) -> None:
    """Wait until there are so many pods, each of them ready."""

    def there() -> bool:
        found = release.pods()
        return len(found) == pods and all(_is_ready(pod) for pod in found)

    until(f"{pods} ready pods", there, 120)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextmanager
def nothing_lost(release: Release, name: str, measured: Measured) -> Iterator[Phase]:
    """Clients ask before, during and after the block, and no request of theirs fails."""
    ready(release, PODS)
    with release.asked() as (load, _), load.during(name) as phase:
        yield phase
        load.answered(300)
    measured(str(phase))
    tally = load.stop()
    assert tally.failed == 0, tally


def test_a_deleted_pod(release: Release, measured: Measured) -> None:
    ready(release, PODS)
    (pod, *_) = sorted(each["metadata"]["name"] for each in release.pods())
    with nothing_lost(release, "kubectl delete pod", measured):
        release.space.kubectl("delete", "pod", pod, "--wait=false")

        def replaced() -> bool:
            names = {each["metadata"]["name"] for each in release.pods()}
            return pod not in names and len(names) == PODS

        until("another pod instead", replaced, 120)


def test_a_container_killed_hard(release: Release, measured: Measured) -> None:
    ready(release, PODS)
    (pod, *_) = sorted(each["metadata"]["name"] for each in release.pods())
    container = release.space.get("pod", pod)["status"]["containerStatuses"][0]["containerID"]
    with release.asked(retry=True) as (load, endpoints):
        assert pod in endpoints.ready
        with load.during("SIGKILL") as phase:
            kill(container)
            until("the pod to be out of the endpoints", lambda: endpoints.left(pod, phase.start) is not None, 60, 0.05)
            until("the pod to be back", lambda: pod in endpoints.ready, 120)
            load.answered(100)
        left = endpoints.left(pod, phase.start)
    assert left is not None
    tally = load.stop()
    first = min((at for each in phase.requests() for at, _ in each.raw), default=phase.start)
    last = max((at for each in phase.requests() for at, _ in each.raw), default=phase.start)
    waits = ", ".join(f"{seconds:g}" for seconds in WAITS_S)
    measured(
        f"{phase}; out of the endpoints after {left - phase.start:.2f} s, raw failures from "
        f"{first - phase.start:.2f} s to {last - phase.start:.2f} s; a retry after {waits} s"
    )
    assert tally.failed == 0, tally
    assert left - phase.start <= GONE_S


def test_three_pods_become_one(release: Release, measured: Measured) -> None:
    with nothing_lost(release, "3 pods to 1", measured) as phase:
        start = time.monotonic()
        release.upgrade({"autoscaling": {"min": 1, "max": 1}})
        until("one pod", lambda: len(release.pods()) == 1, 180)
    measured(f"one pod after {time.monotonic() - start:.0f} s")
    assert phase.tally.requests > 0
