"""The driver killed at each revision, forward and back, and resumed or aborted."""

from contextlib import suppress
from itertools import pairwise

import pytest

from k8s.rollout import back
from k8s.rollout.engine import Engine
from k8s.rollout.errors import Held, Refused, RolledBack, Unreachable
from k8s.rollout.record import Records
from k8s.rollout.work import Work
from tests.k8s.rollout.engine.driver import (
    HOTFIX,
    QUICK,
    REVISIONS,
    Driver,
    at_upgrade,
    at_write,
    by_abort,
    grown,
    killed,
    never_both,
    promoted,
    rolled_back,
)
from tests.k8s.rollout.world import NEW, OLD, Killed, World, WorldsHelm


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("place", range(REVISIONS))
def test_killed_and_resumed(driver: Driver, world: World, place: int, moment: str) -> None:
    """Before helm is called, in the middle of its upgrade, and after it, of each revision."""
    if moment == "after":
        made, kill = Engine._made, at_upgrade(place, killed)

        def making(self: Engine, at: int) -> None:
            kill(("upgrade",))
            made(self, at)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Engine, "_made", making)
            with pytest.raises(Killed):
                driver.start(QUICK)
    else:
        setattr(world, moment, at_upgrade(place, killed))
        with pytest.raises(Killed):
            driver.start(QUICK)
        setattr(world, moment, lambda _: None)
    assert driver.record.state == "running"
    driver.resume()
    promoted(world)
    never_both(world)
    assert not [words for words in driver.helm.said if "--force-conflicts" in words]


@pytest.mark.parametrize("place", range(REVISIONS))
def test_killed_and_aborted(driver: Driver, world: World, place: int) -> None:
    world.half = at_upgrade(place, killed)
    with pytest.raises(Killed):
        driver.start(QUICK)
    world.half = lambda _: None

    record = driver.record
    if record.moving is not None and record.moving >= len(record.plan) - 2:
        with pytest.raises(Refused, match="has been promoted"):
            driver.with_work(record, by_abort)
        return
    driver.with_work(record, by_abort)
    rolled_back(world)
    # Weight 0 and the old image came one after the other, also after stable had the new one.
    assert all(stable == OLD or weight == 100 for weight, stable, _ in world.writes), world.writes


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("said", ["50 %", "stable takes the new image"])
def test_killed_on_the_way_back_and_resumed(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch, moment: str, said: str
) -> None:
    def hear(line: str, mine: Work) -> None:
        if said in line:
            mine.records.ask(mine.record, "abort")

    def kill(words: tuple[str, ...]) -> None:
        if words[0] == "rollback":
            raise Killed

    def kill_after(self: WorldsHelm, release: str, revision: int, *, force: bool) -> None:
        rollback(self, release, revision, force=force)
        raise Killed

    driver.hear = hear
    rollback = WorldsHelm.rollback
    if moment == "after":
        monkeypatch.setattr(WorldsHelm, "rollback", kill_after)
    else:
        setattr(world, moment, kill)
    with pytest.raises(Killed):
        driver.start(QUICK)
    driver.hear = lambda *_: None
    Records(driver.api, "battle").ask(driver.record, None)  # a check that failed asks nobody either
    monkeypatch.setattr(WorldsHelm, "rollback", rollback)
    setattr(world, moment, lambda _: None)
    with pytest.raises(RolledBack, match="A person asked"):
        driver.resume()
    rolled_back(world)
    assert driver.record.state == "rolled back"
    assert all(stable == OLD or weight == 100 for weight, stable, _ in world.writes), world.writes


@pytest.mark.parametrize("where", [(place, moment) for place in range(4) for moment in ("before", "half", "after")])
@pytest.mark.parametrize("stopped", ["before", "half"])
def test_killed_on_the_way_back_of_a_canary_that_grew(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch, stopped: str, where: tuple[int, str]
) -> None:
    """While 100 % go to it, or stable takes the new image, the abort is killed in one of its writes, and repeated."""
    scale = world.half = grown(world)
    with monkeypatch.context() as patch:
        at_write(5, stopped, world, patch)
        with pytest.raises(Killed):
            driver.start(QUICK)
    world.before, world.half = (lambda _: None), scale
    with monkeypatch.context() as patch:
        at_write(*where, world, patch)
        with suppress(Killed):
            driver.with_work(driver.record, by_abort)
    world.before, world.half = (lambda _: None), scale
    with suppress(RolledBack):
        driver.resume()
    rolled_back(world)
    assert driver.record.state == "rolled back"
    assert all(stable == OLD or weight == 100 for weight, stable, _ in world.writes), world.writes
    configs = [each["config"].get("canary", {}) for each in world.revisions]
    back = [this for last, this in pairwise(configs) if last.get("weight") == 100 and this.get("weight") == 0]
    assert all(each["stableMin"] == 7 for each in back), back
    # It stays so until the canary is gone, which comes when its autoscaler has seen the requests.
    assert [each for each in configs if each.get("enabled")][-1]["stableMin"] == 7


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("place", range(3))
def test_killed_while_a_deploy_is_left(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch, place: int, moment: str
) -> None:
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    world.deploy({**world.revisions[-1]["config"], **HOTFIX}, "Upgrade complete")
    with monkeypatch.context() as patch:
        at_write(place, moment, world, patch)
        with suppress(Killed):
            driver.with_work(driver.record, by_abort)
    world.before = world.half = lambda _: None
    record = driver.record
    driver.with_work(record, by_abort if record.open else back.clean)
    assert (world.image("stable"), world.image("canary"), world.weight()) == ("localhost/battle:v1hotfix", None, 0)
    assert driver.record.kept_until == 0


@pytest.mark.parametrize("place", range(REVISIONS))
def test_a_helm_that_failed_is_resumed(driver: Driver, world: World, place: int) -> None:
    def fail() -> None:
        world.revisions[-1]["description"] = 'Upgrade "battle" failed: the webhook did not answer'
        world._said("failed")
        world._apply(world.revisions[-2]["objects"])  # nothing was written
        raise Unreachable("helm upgrade failed: the webhook did not answer")

    world.half = at_upgrade(place, fail)
    with pytest.raises(Held, match="the webhook did not answer"):
        driver.start(QUICK)
    driver.resume()
    promoted(world)
    never_both(world)


@pytest.mark.parametrize("moment", ["before", "half"])
def test_killed_while_the_canary_is_taken_away(driver: Driver, world: World, moment: str) -> None:
    world.restarts[NEW] = 3

    def kill(words: tuple[str, ...]) -> None:
        if words[0] == "upgrade" and "canary gone" in " ".join(words):
            raise Killed

    setattr(world, moment, kill)
    with pytest.raises(Killed):
        driver.start(QUICK)
    setattr(world, moment, lambda _: None)
    with pytest.raises(RolledBack):
        driver.resume(kept_until=1.0)
    rolled_back(world)
    assert world.revisions[-1]["status"] == "deployed"
