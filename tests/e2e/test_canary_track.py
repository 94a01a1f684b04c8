"""A second track beside stable: the weight leads requests to it, over REST and gRPC, and restarts nothing.

One release goes through the revisions of a rollout in order, by plain helm, with clients asking all the while; each
case begins with what the one before it left.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.e2e.cluster import Namespace
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import Load, Phase
from tests.e2e.release import Release, Values

TESTER: Final = "me"
_ANSWERS: Final = 600
"""Of each door, that a share is counted over."""
_SIGMAS: Final = 5

pytestmark = [pytest.mark.usefixtures("space"), pytest.mark.full]


class Rollout:
    """The release, its clients, and testers, whose header leads to the canary or is a wrong one."""

    def __init__(self, release: Release, users: Load, testers: Load, strangers: Load) -> None:
        self.release, self.users, self.testers, self.strangers = release, users, testers, strangers

    def generations(self) -> dict[str, int]:
        """Of the Deployments that are there; a generation is another whenever a Deployment is changed."""
        found = self.release.space.items("deployments", "--selector", self.release.selector)
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found}

    def weigh(self, weight: int) -> Phase:
        """Give the canary a weight; returns the answers that followed."""
        before = self.generations()
        with self.users.during("the change") as change:
            self.release.upgrade({"canary": {"weight": weight}})
            # The gateway hears of the route a moment after it has changed.
            version = {0: "1", 100: "2"}.get(weight)
            self.users.answered(_ANSWERS // 4, version=version, within_s=60)
        with self.users.during(f"weight {weight}") as phase:
            self.users.answered(_ANSWERS)
        assert change.tally.failed == 0, change
        assert phase.tally.failed == 0, phase
        assert self.generations() == before
        return phase


@pytest.fixture(scope="module")
def rollout(module_space: Namespace, images: Images) -> Iterator[Rollout]:
    release = Release(module_space, "battle")
    images.version("2")
    one: Values = {"autoscaling": {"min": 1, "max": 1}, "canary": {"header": {"value": TESTER}}}
    release.install(images.version("1").values, one)
    with ExitStack() as stack:
        users = stack.enter_context(release.load())
        testers, strangers = (
            stack.enter_context(release.load(rate=5, connections=1, headers={"x-canary": value}))
            for value in (TESTER, f"{TESTER}-too")
        )
        users.answered(20, version="1")
        yield Rollout(release, users, testers, strangers)


def test_a_canary_comes_up_and_users_do_not_notice(rollout: Rollout, images: Images, measured: Measured) -> None:
    before = rollout.generations()
    canary = {"enabled": True, "image": images.version("2").values["image"], "autoscaling": {"min": 1, "max": 1}}
    with rollout.users.during("a canary comes up") as phase:
        rollout.release.upgrade({"canary": canary})
        rollout.users.answered(_ANSWERS // 4)
    measured(str(phase))
    assert phase.tally.failed == 0, phase
    assert set(phase.tally.versions) == {"1"}
    after = rollout.generations()
    assert set(after) == {"battle-stable", "battle-canary"}
    assert after["battle-stable"] == before["battle-stable"]


def test_testers_are_led_to_it_at_weight_0_and_strangers_are_not(rollout: Rollout) -> None:
    rollout.testers.answered(20, version="2")
    rollout.strangers.answered(20, version="1")


@pytest.mark.parametrize("weight", [10, 50, 100, 0])
def test_answers_follow_the_weight_and_no_deployment_changes(rollout: Rollout, weight: int, measured: Measured) -> None:
    phase = rollout.weigh(weight)
    measured(str(phase))
    share = weight / 100
    for door in ("rest", "grpc"):
        versions = [each.version for each in phase.requests() if each.door == door]
        spread = math.sqrt(share * (1 - share) / len(versions))
        assert abs(versions.count("2") / len(versions) - share) <= _SIGMAS * spread, (door, phase)


def test_going_back_a_revision_is_a_weight_too(rollout: Rollout) -> None:
    rollout.weigh(50)
    before = rollout.generations()
    rollout.release.rollback()
    rollout.users.answered(_ANSWERS // 4, version="1", within_s=60)
    assert rollout.generations() == before


def test_a_canary_goes_and_nothing_was_lost_over_all_of_it(rollout: Rollout, measured: Measured) -> None:
    before = rollout.generations()["battle-stable"]
    rollout.release.upgrade({"canary": {"enabled": False}})
    rollout.users.answered(_ANSWERS // 4, version="1")
    rollout.testers.answered(20, version="1")
    assert rollout.generations() == {"battle-stable": before}
    for who, load in (("users", rollout.users), ("strangers", rollout.strangers)):
        tally = load.stop()
        measured(f"{who}: {tally}")
        assert tally.failed == tally.raw == 0
