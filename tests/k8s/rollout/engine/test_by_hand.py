"""The driver beside people who ask it, change things, or deploy meanwhile."""

from collections.abc import Callable

import pytest

from k8s.rollout import commands, prepare
from k8s.rollout.errors import Held, Refused, RolledBack, Unreachable
from k8s.rollout.lease import Lease
from k8s.rollout.live import Live
from k8s.rollout.options import Options
from k8s.rollout.record import Record, Records
from k8s.rollout.work import Asked, Work
from tests.k8s.rollout.engine.driver import (
    FAST,
    HOTFIX,
    QUICK,
    Driver,
    by_abort,
    by_patch,
    by_rollback,
    grown,
    never_both,
    promoted,
    rolled_back,
)
from tests.k8s.rollout.world import NEW, OLD, Killed, World


def by_undo(world: World) -> None:
    found = world.live("Deployment", "battle-stable")
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/battle:v0"
    world.put(found)


def test_what_a_release_must_be(driver: Driver, world: World) -> None:
    for applied in ("csa", ""):
        world.applied = applied
        world.deploy(world.revisions[-1]["config"])
        with pytest.raises(Refused, match="client's side"):
            driver.prepare()
    world.applied = "ssa"
    world.deploy(world.revisions[-1]["config"])
    with pytest.raises(Refused, match="runs localhost/battle:v1 already"):
        prepare.prepare(driver.api, driver.helm, "battle", OLD, FAST, given_chart=None, say=print)
    by_patch(world)
    with pytest.raises(Refused, match="minReplicas"):
        driver.prepare()
    world.deploy({**world.revisions[-1]["config"], "canary": {"enabled": True, "image": {"tag": "x"}}})
    with pytest.raises(Refused, match="no rollout made"):
        driver.prepare()
    world.revisions[-1]["status"] = "pending-upgrade"
    world._said("pending-upgrade")
    with pytest.raises(Refused, match="is pending-upgrade"):
        driver.prepare()


def test_one_rollout_at_a_time(driver: Driver, world: World) -> None:
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    with pytest.raises(Refused, match="Rollout 1 of battle is held"):
        driver.prepare()


def test_a_held_rollout_is_promoted_by_hand(driver: Driver, world: World) -> None:
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    driver.resume(by_hand=True)
    promoted(world)
    assert driver.record.sentence.endswith("A person promoted it.")


@pytest.mark.parametrize(
    ("change", "word"),
    [(by_undo, "'localhost/battle:v0'"), (by_patch, "minReplicas"), (by_rollback, "Someone made revision")],
)
def test_what_a_person_changes_is_noticed(
    driver: Driver, world: World, change: Callable[[World], None], word: str
) -> None:
    def hear(line: str, _: Work) -> None:
        if "10 %" in line:
            return
        if line.startswith("  ") and world.weight() == 10 and not done:
            done.append(line)
            change(world)

    done: list[str] = []
    driver.hear = hear
    with pytest.raises(Held, match=word) as held:
        driver.start()
    assert "helm rollback battle 2 --force-conflicts" in str(held.value)
    assert max(weight for weight, *_ in world.writes) == 10
    record = driver.record
    assert record.state == "held"
    # As long as it is so, nothing goes on; an abort goes through whatever it is.
    with pytest.raises(Held, match=word):
        driver.resume()
    driver.with_work(driver.record, by_abort)
    rolled_back(world)


def test_an_abort_after_a_rollback_by_hand_moves_no_traffic(driver: Driver, world: World) -> None:
    """While stable takes the new image someone goes back to R0: the canary has no requests, and gets none again."""

    def kill(_: tuple[str, ...]) -> None:
        if world.image("stable") == NEW:
            raise Killed

    world.half = kill
    with pytest.raises(Killed):
        driver.start(QUICK)
    world.half = lambda _: None
    by_rollback(world)
    written = len(world.writes)
    driver.with_work(driver.record, by_abort)
    rolled_back(world)
    assert {(weight, stable) for weight, stable, _ in world.writes[written:]} == {(0, OLD)}


def test_a_rollback_by_hand_while_pods_start_is_noticed(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unready = Live.unready

    def slow(self: Live, track: str, image: str) -> str | None:
        if (track, image) == ("stable", NEW):
            if world.image("stable") == NEW:
                by_rollback(world)
            return "its pods start"
        return unready(self, track, image)

    monkeypatch.setattr(Live, "unready", slow)
    with pytest.raises(Held, match="Someone made revision"):
        driver.start(QUICK)
    assert world.weight() == 0


def test_a_driver_at_work_hears_of_an_abort(driver: Driver, world: World) -> None:
    def hear(line: str, mine: Work) -> None:
        if "s: stable" in line:
            mine.records.ask(mine.record, "abort")

    driver.hear = hear
    with pytest.raises(RolledBack, match="A person asked"):
        driver.start()
    rolled_back(world)
    assert Records(driver.api, "battle").asked(driver.record) == ""


def test_an_abort_that_comes_too_late_stops_nothing(driver: Driver, world: World) -> None:
    heard: list[str] = []

    def hear(line: str, mine: Work) -> None:
        if "0 %, nothing copied" in line:
            mine.records.ask(mine.record, "abort")
        if "has been promoted" in line:
            heard.append(line)

    driver.hear = hear
    driver.start(QUICK)
    promoted(world)
    assert len(heard) == 1
    assert Records(driver.api, "battle").asked(driver.record) == ""


def test_a_refused_abort_is_not_asked_for_ever(driver: Driver, world: World) -> None:
    def kill(_: tuple[str, ...]) -> None:
        if world.image("stable") == NEW and world.weight() == 0:
            raise Killed

    world.half = kill
    with pytest.raises(Killed):
        driver.start(QUICK)
    world.half = lambda _: None
    Records(driver.api, "battle").ask(driver.record, "abort")
    with pytest.raises(Refused, match="has been promoted"):
        driver.with_work(driver.record, by_abort)
    driver.resume()
    promoted(world)


def test_an_abort_says_what_the_driver_at_work_did(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    records, record = Records(driver.api, "battle"), driver.prepare().record
    records.create(record)
    monkeypatch.setattr(commands, "cluster", lambda *_: driver.api)
    monkeypatch.setattr(commands, "_POLL_S", 0.01)
    ask = Records.ask

    def end(self: Records, asked: Record, word: str | None) -> None:
        ask(self, asked, word)
        record.state = state
        self.save(record)

    monkeypatch.setattr(Records, "ask", end)
    with Lease(driver.api, "battle"):
        state = "rolled back"
        commands.abort("battle")
        record.state = "running"
        records.save(record)
        state = "promoted"
        with pytest.raises(Refused, match="promoted"):
            commands.abort("battle")


def test_what_was_deployed_while_the_canary_was_kept_stays(driver: Driver, world: World) -> None:
    kept = Options(**{**vars(QUICK), "keep_minutes": 60.0})
    world.restarts[NEW] = 3
    driver.killed_at("kept for a look", kept)
    world.deploy({"image": {"repository": "localhost/battle", "tag": "v3"}}, "Upgrade complete")
    with pytest.raises(RolledBack):
        driver.resume(kept_until=1.0)
    assert world.image("stable") == "localhost/battle:v3"
    assert len(world.revisions) == 3
    assert driver.record.kept_until == 0
    driver.prepare()


@pytest.mark.parametrize("canary", [True, False])
def test_an_abort_leaves_what_someone_deployed(driver: Driver, world: World, canary: bool) -> None:
    """With `--reuse-values` the canary is still in it, and goes; without, nothing is written."""
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    assert world.weight() == 10
    kept = world.revisions[-1]["config"] if canary else {}
    world.deploy({**kept, **HOTFIX}, "Upgrade complete")
    del world.writes[:-1]
    with pytest.raises(Held, match="Someone made revision"):
        driver.resume()
    driver.with_work(driver.record, by_abort)
    assert (world.image("stable"), world.image("canary"), world.weight()) == ("localhost/battle:v1hotfix", None, 0)
    assert len(world.writes) == (3 if canary else 1)
    never_both(world)
    assert (driver.record.state, driver.record.kept_until) == ("rolled back", 0)
    driver.prepare()


def test_a_deploy_that_was_gone_back_to_stays(driver: Driver, world: World) -> None:
    """A hotfix, a deploy that failed, and a way back to the hotfix; at 100 % its stable has to grow first."""
    world.half = grown(world)
    driver.killed_at("takes the new image", QUICK)
    world.deploy({**world.revisions[-1]["config"], **HOTFIX}, "Upgrade complete")
    hotfix = len(world.revisions)
    world.upgrade({}, "Upgrade complete", ())
    world._said("failed")
    world.revisions[-2]["status"] = "deployed"
    world._secret(world.revisions[-2])
    assert world.weight() == 100
    world.rollback(hotfix, ())
    before = len(world.revisions)
    driver.with_work(driver.record, by_abort)
    assert (world.image("stable"), world.image("canary"), world.weight()) == ("localhost/battle:v1hotfix", None, 0)
    made = [each["config"]["canary"] for each in world.revisions[before:]]
    assert [(each["weight"], each["stableMin"]) for each in made] == [(100, 7), (0, 7), (0, 0)]


def test_before_all_requests_come_back_stable_is_as_large_as_the_canary(driver: Driver, world: World) -> None:
    """Its autoscaler saw it idle, and the traffic has grown since the start."""

    scale = grown(world)

    def kill(words: tuple[str, ...]) -> None:
        scale(words)
        if world.image("stable") == NEW:
            raise Killed

    world.half = kill
    with pytest.raises(Killed):
        driver.start(QUICK)
    world.half = scale
    before = len(world.revisions)
    driver.with_work(driver.record, by_abort)
    rolled_back(world)
    never_both(world)
    made = [each["config"] for each in world.revisions[before:]]
    sizes = [(each["image"]["tag"], each["canary"]["weight"], each["canary"]["stableMin"]) for each in made]
    assert sizes == [("v1", 100, 2), ("v1", 100, 7), ("v1", 0, 7), ("v1", 0, 0)]
    # Its least falls when its autoscaler has seen the requests, however short the look was to be.
    assert any("autoscaler has" in line for line in driver.said)


def test_an_abort_is_heard_while_the_canary_is_kept(driver: Driver, world: World) -> None:
    world.restarts[NEW] = 3

    def hear(line: str, mine: Work) -> None:
        if "kept for a look" in line:
            mine.records.ask(mine.record, "abort")

    driver.hear = hear
    with pytest.raises(RolledBack):
        driver.start(Options(**{**vars(QUICK), "keep_minutes": 60.0}))
    rolled_back(world)
    assert driver.record.kept_until == 0
    assert Records(driver.api, "battle").asked(driver.record) == ""


def test_an_abort_asks_the_driver_that_keeps_a_canary(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    records, record = Records(driver.api, "battle"), driver.prepare().record
    record.state, record.kept_until = "rolled back", 1e12
    records.create(record)
    monkeypatch.setattr(commands, "cluster", lambda *_: driver.api)
    monkeypatch.setattr(commands, "_POLL_S", 0.01)
    ask = Records.ask

    def end(self: Records, asked: Record, word: str | None) -> None:
        ask(self, asked, word)
        record.kept_until = 0.0
        self.save(record)

    monkeypatch.setattr(Records, "ask", end)
    with Lease(driver.api, "battle"):
        commands.abort("battle")
    assert records.asked(record) == "abort"


def test_a_record_that_cannot_be_written_stops_no_way_back(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    save = Records.save

    def limited(self: Records, record: Record) -> str:
        if record.analysis is not None:
            raise Unreachable("Request entity too large")
        return save(self, record)

    monkeypatch.setattr(Records, "save", limited)
    driver.with_work(driver.record, by_abort)
    rolled_back(world)
    assert driver.record.state == "rolled back"


def test_an_abort_ends_the_look_at_a_canary_that_is_kept(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.restarts[NEW] = 3
    driver.killed_at("kept for a look", Options(**{**vars(QUICK), "keep_minutes": 60.0}))
    with pytest.raises(Refused, match="`kubectl canary abort battle` ends it"):
        driver.prepare()
    monkeypatch.setattr(commands, "cluster", lambda *_: driver.api)
    monkeypatch.setattr(commands, "helm", lambda *_: driver.helm)
    commands.abort("battle")
    rolled_back(world)
    assert driver.helm.history_max >= len(driver.record.plan) + 20
    driver.prepare()


def test_asked_is_heard_while_waiting(driver: Driver) -> None:
    prepared = driver.prepare()
    records = Records(driver.api, "battle")
    records.create(prepared.record)
    records.ask(prepared.record, "abort")
    with pytest.raises(Asked):
        driver.with_work(prepared.record, lambda mine: mine.sleep(30))
