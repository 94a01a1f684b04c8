"""A door that stands still: readiness sends requests to other pods first, then liveness starts the pod anew.

Both doors are blocked at the same time, each in a pod of its own, and a third pod is left.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

import pytest

from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import Load, Request
from tests.e2e.release import Release
from tests.e2e.watching import Endpoints

FAULTS: Final = {"rest-loop": "rest", "grpc-pool": "grpc"}
"""Each fault and the door that it blocks."""
PODS: Final = 3
# Clients that wait for the blocked pod ask nobody else meanwhile: there have to be many, and patience has to be short.
_CLIENTS: Final = {"rate": 30, "connections": 60, "timeout_s": 4}
_GATEWAY_S: Final = 3
"""Within this the gateway has heard of an endpoint that is no longer ready."""
_GAP_S: Final = 2
_OUT_S: Final = 30
_ANEW_S: Final = 150

pytestmark = pytest.mark.usefixtures("space")


class Blocked(NamedTuple):
    """A pod with a fault, and when that was switched on, in monotonic seconds."""

    pod: str
    at: float


class Asked:
    """The release, its clients and what is blocked."""

    def __init__(self, release: Release, load: Load, endpoints: Endpoints) -> None:
        self.release, self.load, self.endpoints = release, load, endpoints
        self.blocked: dict[str, Blocked] = {}
        pods = sorted(endpoints.ready)
        for fault, pod in zip(FAULTS, pods, strict=False):
            write = f"from pathlib import Path; Path('/tmp', 'fault').write_text('{fault}')"
            self.blocked[fault] = Blocked(pod, time.monotonic())
            release.space.kubectl("exec", pod, "--", "python", "-c", write)

    def out(self, fault: str) -> float | None:
        """When the pod got no requests any more, in monotonic seconds."""
        return self.endpoints.left(*self.blocked[fault])

    def container(self, fault: str) -> dict[str, Any]:
        """What the kubelet says of the pod's container."""
        found: dict[str, Any] = self.release.space.get("pod", self.blocked[fault].pod)["status"]["containerStatuses"][0]
        return found

    def killed(self, fault: str) -> float:
        """When the kubelet decided to start the container anew, in seconds since 1970."""
        selector = f"--field-selector=reason=Killing,involvedObject.name={self.blocked[fault].pod}"
        (event,) = self.release.space.items("events", selector)
        assert "failed liveness probe" in event["message"], event["message"]
        assert event["source"]["component"] == "kubelet"
        return datetime.fromisoformat(event["firstTimestamp"]).timestamp()


@pytest.fixture(scope="module")
def asked(module_space: Namespace, images: Images) -> Iterator[Asked]:
    release = Release(module_space, "battle")
    release.install(images.faulty().values, {"autoscaling": {"min": PODS, "max": PODS}})
    with release.asked(**_CLIENTS) as (load, endpoints):
        until("all pods", lambda: len(endpoints.ready) == PODS, 120)
        load.answered(100)
        yield Asked(release, load, endpoints)


def longest_gap(requests: list[Request], door: str, start: float, end: float) -> float:
    """Seconds without any answer of a door, at most."""
    answers = sorted(each.ended for each in requests if each.door == door and each.version and each.ended > start)
    return max(later - earlier for earlier, later in pairwise([start, *(at for at in answers if at < end), end]))


@pytest.mark.parametrize(("fault", "door"), FAULTS.items())
def test_readiness_takes_it_out_and_liveness_starts_it_anew(
    asked: Asked, fault: str, door: str, measured: Measured
) -> None:
    pod, at = asked.blocked[fault]
    until(f"{pod} gets no requests", lambda: asked.out(fault) is not None, _OUT_S)
    until(f"{pod} is started anew", lambda: asked.container(fault)["restartCount"] > 0, _ANEW_S, poll_s=1)
    until(f"{pod} is back", lambda: pod in asked.endpoints.ready, 90)
    out, back = asked.out(fault), time.monotonic()
    assert out is not None
    killed = asked.killed(fault) + time.monotonic() - time.time()
    asked.load.answered(100)
    requests = asked.load.requests()
    mine = [each for each in requests if each.door == door]
    failed = [each for each in mine if each.failure and each.sent >= at]
    gap = max(longest_gap(requests, each, at, back) for each in FAULTS.values())
    last = max((each.sent for each in failed), default=out) - out
    measured(
        f"out after {out - at:.1f} s, killed after {killed - at:.0f} s, back after {back - at:.1f} s; "
        f"{len(failed)} of {sum(each.sent >= at for each in mine)} {door} requests failed, the last sent {last:+.1f} s "
        f"from then; no longer than {gap:.1f} s without an answer of either door"
    )
    assert out < killed + 1  # an event's time has whole seconds
    assert asked.container(fault)["restartCount"] == 1
    assert failed, "nothing was blocked"
    assert last < _GATEWAY_S
    assert not [each for each in mine if each.failure and each.sent < at]
    assert gap < _GAP_S


def test_the_pod_that_was_not_blocked_went_on(asked: Asked) -> None:
    blocked = {each.pod for each in asked.blocked.values()}
    others = [pod for pod in asked.release.pods() if pod["metadata"]["name"] not in blocked]
    assert len(others) == PODS - len(blocked)
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in others)
