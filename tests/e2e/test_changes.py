"""Every way a release is changed, with clients asking all the while: nothing is lost, and never are there fewer pods.

Most clients come through the gateway and ask nothing twice. Some call the Service from a pod of the cluster, with the
stated retry: gRPC without a gateway keeps its connection to a pod until that ends, and hears UNAVAILABLE from it then.

One release goes through all of them in order, so each case begins with what the one before it left: version 1 for the
first. With FULL=1 each change has 20,000 requests made while it is under way or just over; otherwise all have together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.e2e import inside
from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import FULL, Measured
from tests.e2e.images import Images
from tests.e2e.load import Load, Phase, Tally
from tests.e2e.release import Release
from tests.e2e.watching import Endpoints

REQUESTS: Final = 20_000
PODS: Final = 2
_RATE: Final = 200 if FULL else 75
_INSIDE_RATE: Final = 10
_AFTER: Final = 200
"""Answers of each door that are looked at after a change."""

pytestmark = pytest.mark.usefixtures("space")


class Asked:
    """The release, its clients outside and inside of the cluster, and the watch of its endpoints."""

    def __init__(self, release: Release, load: Load, inside: Load, endpoints: Endpoints) -> None:
        self.release, self.load, self.inside, self.endpoints = release, load, inside, endpoints

    @contextmanager
    def change(self, name: str, version: str) -> Iterator[Phase]:
        """The change that the block makes has to lose nothing, and to end with the answers of a version."""
        before = self.endpoints.ready
        with self.load.during(name) as phase, self.inside.during(name) as called:
            yield phase
            self.release.rolled_out()
            # The gateway hears of the endpoints a moment after they have changed.
            self.load.answered(_AFTER, version=version, within_s=15)
            with self.load.during("afterwards") as after:
                self.load.answered(_AFTER)
            if FULL:
                self.load.until("as many requests", lambda _: phase.tally.requests >= REQUESTS, 300)
        assert phase.tally.failed == 0, phase
        assert called.tally.failed == 0, called
        assert version in called.tally.versions, called
        assert set(after.tally.versions) == {version}, after
        assert self.endpoints.lowest(phase.start, phase.end) >= len(before), before


@pytest.fixture(scope="module")
def asked(module_space: Namespace, images: Images) -> Iterator[Asked]:
    release = Release(module_space, "battle")
    images.version("2")
    release.install(images.version("1").values, {"autoscaling": {"min": PODS, "max": PODS}})
    until("all pods", lambda: len(release.pods()) == PODS)
    release.rolled_out()
    service = f"{release.stable}.{module_space.name}.svc"
    command = inside.command(module_space, images.version("1"))
    called = release.load(
        rate=_INSIDE_RATE, connections=2, retry=True, rest=(service, 3000), grpc=(service, 3001), command=command
    )
    with release.asked(rate=_RATE) as (load, endpoints), called:
        called.answered(20)
        yield Asked(release, load, called, endpoints)


def test_upgrade_to_another_image(asked: Asked, images: Images, measured: Measured) -> None:
    with asked.change("helm upgrade", "2") as phase:
        before = asked.load.requests()[-1].version
        asked.release.upgrade(images.version("2").values)
    measured(str(phase))
    assert before == "1"
    assert set(phase.tally.versions) == {"1", "2"}


def test_rollback(asked: Asked, measured: Measured) -> None:
    with asked.change("helm rollback", "1") as phase:
        asked.release.rollback()
    measured(str(phase))
    assert set(phase.tally.versions) == {"1", "2"}


def test_undo_by_hand_and_the_next_upgrade(asked: Asked, images: Images, measured: Measured) -> None:
    with asked.change("kubectl rollout undo", "2") as undone:
        asked.release.space.kubectl("rollout", "undo", f"deployment/{asked.release.stable}")
    measured(str(undone))
    # What was done by hand is another manager's field: the next upgrade says so, and has to be told to take it.
    refused = asked.release.space.tried(*asked.release.upgrading(images.version("1").values))
    assert refused.status != 0
    assert "conflict" in refused.stderr
    with asked.change("helm upgrade --force-conflicts", "1") as forced:
        asked.release.upgrade(images.version("1").values, words=("--wait", "--force-conflicts"))
    measured(str(forced))
    assert set(undone.tally.versions) == set(forced.tally.versions) == {"1", "2"}


def test_restart(asked: Asked, measured: Measured) -> None:
    before = asked.endpoints.ready
    with asked.change("kubectl rollout restart", "1") as phase:
        asked.release.space.kubectl("rollout", "restart", f"deployment/{asked.release.stable}")
    measured(str(phase))
    assert set(phase.tally.versions) == {"1"}
    assert not asked.endpoints.ready & before


def test_bounds_of_the_autoscaler_are_changed(asked: Asked, measured: Measured) -> None:
    pods = asked.endpoints.ready
    with asked.change("autoscaling bounds", "1") as phase:
        asked.release.upgrade({"autoscaling": {"min": 3, "max": 3}})
        until("three pods", lambda: len(asked.endpoints.ready) == 3, 120)
    measured(str(phase))
    assert pods < asked.endpoints.ready  # nothing was restarted


def test_nothing_was_lost_over_all_of_it(asked: Asked, measured: Measured) -> None:
    asked.load.until("as many requests", lambda requests: len(requests) >= REQUESTS, 300)
    tally: Tally = asked.load.stop()
    measured(f"altogether: {tally}")
    called = asked.inside.stop()
    measured(f"inside of the cluster: {called}")
    assert tally.requests >= REQUESTS
    assert tally.failed == tally.raw == 0
    assert called.requests > 0
    assert called.failed == 0
    assert set(called.kinds) <= {"grpc gRPC UNAVAILABLE", "grpc gRPC CANCELLED"}
