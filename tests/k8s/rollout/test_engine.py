"""The driver from the first revision to the last: killed and resumed at each, beside people who change things."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from k8s.rollout import analysis, back, commands, engine, gates, opening, prepare, work
from k8s.rollout.analysis import Plan
from k8s.rollout.api import Api
from k8s.rollout.engine import Engine
from k8s.rollout.errors import Held, Refused, RolledBack, Silent, Unreachable
from k8s.rollout.lease import Lease
from k8s.rollout.live import Live
from k8s.rollout.options import OnTimeout, Options
from k8s.rollout.prepare import Prepared
from k8s.rollout.record import Record, Records
from k8s.rollout.work import Asked, Work
from tests.k8s.rollout.conftest import ApiServer
from tests.k8s.rollout.world import NEW, OLD, Killed, World, WorldsHelm

FAST: Final = Options(
    steps=(10, 50), interval=15, warm_up=1, min_intervals=4, pairs=False, keep_minutes=0.0,
    max_minutes=0.5, wait_minutes=0.03, ready_minutes=0.05,
)  # fmt: skip
QUICK: Final = Options(**{**vars(FAST), "warm_up": 0, "min_intervals": 2})
REVISIONS: Final = 8  # canary up, 10 %, larger, 50 %, 100 %, stable, 0 %, canary gone
"""Of a plan with these steps, for a stable of two pods."""


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is a few milliseconds."""
    slept = Work.sleep
    monkeypatch.setattr(Work, "sleep", lambda self, seconds: slept(self, seconds / 300))
    monkeypatch.setattr(work, "_POLL_S", 0.02)
    monkeypatch.setattr(gates, "_POLL_S", 0.02)
    monkeypatch.setattr(engine, "_PENDING_S", 0.2)
    monkeypatch.setattr(engine, "_POLL_S", 0.05)
    monkeypatch.setattr(back, "_POLL_S", 0.05)
    monkeypatch.setattr(prepare, "TRAFFIC_S", 0.1)
    # A second of simulation, of which tests/k8s/rollout/analysis sees to.
    expected = Plan(20.0, (4.0,), (10, 50), 0.015, 0.015, None, 0.0)
    monkeypatch.setattr(analysis, "plan", lambda *_, **__: expected)


@pytest.fixture
def world(server: ApiServer) -> World:
    return World(server)


class Driver:
    """Drives the release of a world, each time as a new process would."""

    def __init__(self, world: World, api: Api) -> None:
        self.world, self.api = world, api
        self.helm = WorldsHelm(world)
        self.said: list[str] = []
        self.hear: Callable[[str, Work], None] = lambda *_: None

    @property
    def record(self) -> Record:
        return Records(self.api, "battle").newest()

    def prepare(self, options: Options = FAST) -> Prepared:
        return prepare.prepare(self.api, self.helm, "battle", NEW, options, given_chart=None, say=self.said.append)

    def start(self, options: Options = FAST) -> None:
        prepared = self.prepare(options)
        Records(self.api, "battle").create(prepared.record)
        self.drive(prepared.record, resumed=False)

    def resume(self, **changes: Any) -> None:
        record = self.record
        for key, value in changes.items():
            setattr(record, key, value)
        self.drive(record, resumed=True)

    def drive(self, record: Record, *, resumed: bool) -> None:
        self.with_work(record, lambda mine: Engine(mine).run(resumed=resumed))

    def with_work(self, record: Record, do: Callable[[Work], None]) -> None:
        with Lease(self.api, "battle") as held:
            options = Options.from_json(record.settings)
            records, live = Records(self.api, "battle"), Live(self.api, "battle")

            def say(line: str) -> None:
                self.said.append(line)
                self.hear(line, mine)

            mine = Work(self.api, self.helm, live, records, record, held, options, say)
            do(mine)


@pytest.fixture
def driver(world: World, api: Api) -> Driver:
    return Driver(world, api)


def promoted(world: World) -> None:
    assert (world.image("stable"), world.image("canary"), world.weight()) == (NEW, None, 0)
    config = world.revisions[-1]["config"]
    assert config["image"]["tag"] == "v2"
    assert not config["canary"]["enabled"]
    assert config["canary"]["stableMin"] == 0


def rolled_back(world: World) -> None:
    assert (world.image("stable"), world.image("canary"), world.weight()) == (OLD, None, 0)


def never_both(world: World) -> None:
    """No write of helm's changed who runs and who gets traffic at once."""
    for (weight, *images), (next_weight, *next_images) in zip(world.writes, world.writes[1:], strict=False):
        assert weight == next_weight or images == next_images, world.writes


def test_a_good_version_is_promoted(driver: Driver, world: World) -> None:
    driver.start()
    promoted(world)
    never_both(world)
    assert [weight for weight, *_ in world.writes] == [0, 0, 10, 10, 50, 100, 100, 0, 0]
    assert driver.record.state == "promoted"
    assert all(step.ended for step in driver.record.steps)
    forced = [words for words in driver.helm.said if "--force-conflicts" in words]
    assert not forced
    assert all("--history-max" in words for words in driver.helm.said)
    assert "tag: v2" in driver.said[-1]


@pytest.mark.parametrize(("most", "pods"), [(10, 7), (5, 5)])
def test_a_track_that_takes_all_requests_is_as_large_as_the_one_that_had_them(
    driver: Driver, world: World, most: int, pods: int
) -> None:
    """Autoscalers made stable larger while the canary had half, and then the canary."""
    world.upgrade({"autoscaling": {"max": most}}, "larger", ())
    world.writes.clear()

    def scale(track: str, replicas: int) -> None:
        path = world.path("Deployment", f"battle-{track}")
        if path in world.server.objects:
            world.server.objects[path]["spec"]["replicas"] = replicas

    def half(_: tuple[str, ...]) -> None:
        # An upgrade leaves the number of pods to the autoscaler.
        scale("stable", 7)
        scale("canary", 9 if world.weight() == 100 else 2)

    world.half = half
    driver.start()
    promoted(world)
    never_both(world)
    made = [(each["config"].get("canary", {}), each["config"]["image"]["tag"]) for each in world.revisions[2:]]
    sizes = [(c["weight"], c["autoscaling"]["min"], c["stableMin"], tag) for c, tag in made if c.get("enabled")]
    assert sizes[-5:] == [
        (50, 2, 2, "v1"), (50, pods, 2, "v1"), (100, pods, 2, "v1"),
        (100, pods, min(9, most), "v2"), (0, pods, min(9, most), "v2"),
    ]  # fmt: skip


def test_errors_come_out_at_their_step(driver: Driver, world: World) -> None:
    world.errors[NEW] = 0.2
    with pytest.raises(RolledBack, match="errors"):
        driver.start(Options(**{**vars(FAST), "min_intervals": 12}))
    rolled_back(world)
    assert max(weight for weight, *_ in world.writes) == 10
    record = driver.record
    assert record.state == "rolled back"
    assert any(reading["outcome"] == "fail" for step in record.steps for reading in step.readings)
    assert [words[:3] for words in driver.helm.said if words[0] == "rollback"] == [("rollback", "battle", "2")]
    with pytest.raises(RolledBack):
        driver.resume()


def test_errors_of_both_are_not_the_canarys(driver: Driver, world: World) -> None:
    world.errors |= {NEW: 0.003, OLD: 0.003}
    driver.start()
    promoted(world)


@pytest.mark.parametrize(("on_timeout", "error"), [(OnTimeout.HOLD, Held), (OnTimeout.ABORT, RolledBack)])
def test_no_traffic_is_no_pass(driver: Driver, world: World, on_timeout: OnTimeout, error: type[Exception]) -> None:
    world.rate = 0
    with pytest.raises(error, match="no data"):
        driver.start(Options(**{**vars(FAST), "on_timeout": on_timeout}))
    assert world.image("stable") == OLD
    if on_timeout is OnTimeout.ABORT:
        rolled_back(world)
        return
    assert (driver.record.state, world.weight()) == ("held", 10)
    world.rate = 4000
    driver.resume()
    promoted(world)


def test_a_held_rollout_is_promoted_by_hand(driver: Driver, world: World) -> None:
    world.rate = 0
    with pytest.raises(Held):
        driver.start()
    driver.resume(by_hand=True)
    promoted(world)
    assert driver.record.sentence.endswith("A person promoted it.")


def test_pods_that_crash_come_out_at_weight_0(driver: Driver, world: World) -> None:
    world.restarts[NEW] = 3
    with pytest.raises(RolledBack, match="again and again"):
        driver.start()
    rolled_back(world)
    assert {weight for weight, *_ in world.writes} == {0}


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize("place", range(REVISIONS))
def test_killed_and_resumed(driver: Driver, world: World, place: int, moment: str) -> None:
    """Before helm is called, in the middle of its upgrade, and after it, of each revision."""
    upgrades = 0

    def kill(words: tuple[str, ...]) -> None:
        nonlocal upgrades
        if words[0] == "upgrade":
            upgrades += 1
            if upgrades == place + 1:
                raise Killed

    if moment == "after":
        made = Engine._made

        def killed(self: Engine, at: int) -> None:
            nonlocal upgrades
            upgrades += 1
            if upgrades == place + 1:
                raise Killed
            made(self, at)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Engine, "_made", killed)
            with pytest.raises(Killed):
                driver.start(QUICK)
    else:
        setattr(world, moment, kill)
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
    upgrades = 0

    def kill(words: tuple[str, ...]) -> None:
        nonlocal upgrades
        upgrades += words[0] == "upgrade"
        if upgrades == place + 1:
            raise Killed

    world.half = kill
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


def by_abort(mine: Work) -> None:
    back.abort(mine, "A person asked for it.")
    back.clean(mine)


def by_undo(world: World) -> None:
    found = world.live("Deployment", "battle-stable")
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost/battle:v0"
    world.put(found)


def by_patch(world: World) -> None:
    found = world.live("HorizontalPodAutoscaler", "battle-stable")
    found["spec"]["minReplicas"] = 1
    world.put(found)


def by_rollback(world: World) -> None:
    world.rollback(2, ())


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

    def killed(self: WorldsHelm, release: str, revision: int, *, force: bool) -> None:
        rollback(self, release, revision, force=force)
        raise Killed

    driver.hear = hear
    rollback = WorldsHelm.rollback
    if moment == "after":
        monkeypatch.setattr(WorldsHelm, "rollback", killed)
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


@pytest.mark.parametrize("place", range(REVISIONS))
def test_a_helm_that_failed_is_resumed(driver: Driver, world: World, place: int) -> None:
    upgrades = 0

    def fail(words: tuple[str, ...]) -> None:
        nonlocal upgrades
        upgrades += words[0] == "upgrade"
        if upgrades == place + 1:
            upgrades += 1
            world.revisions[-1]["description"] = 'Upgrade "battle" failed: the webhook did not answer'
            world._said("failed")
            world._apply(world.revisions[-2]["objects"])  # nothing was written
            raise Unreachable("helm upgrade failed: the webhook did not answer")

    world.half = fail
    with pytest.raises(Held, match="the webhook did not answer"):
        driver.start(QUICK)
    driver.resume()
    promoted(world)
    never_both(world)


def test_what_was_deployed_while_the_canary_was_kept_stays(driver: Driver, world: World) -> None:
    kept = Options(**{**vars(QUICK), "keep_minutes": 60.0})
    world.restarts[NEW] = 3

    def hear(line: str, _: Work) -> None:
        if "kept for a look" in line:
            raise Killed

    driver.hear = hear
    with pytest.raises(Killed):
        driver.start(kept)
    driver.hear = lambda *_: None
    world.deploy({"image": {"repository": "localhost/battle", "tag": "v3"}}, "Upgrade complete")
    with pytest.raises(RolledBack):
        driver.resume(kept_until=1.0)
    assert world.image("stable") == "localhost/battle:v3"
    assert len(world.revisions) == 3
    assert driver.record.kept_until == 0
    driver.prepare()


def test_an_abort_ends_the_look_at_a_canary_that_is_kept(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.restarts[NEW] = 3

    def hear(line: str, _: Work) -> None:
        if "kept for a look" in line:
            raise Killed

    driver.hear = hear
    with pytest.raises(Killed):
        driver.start(Options(**{**vars(QUICK), "keep_minutes": 60.0}))
    with pytest.raises(Refused, match="`kubectl canary abort battle` ends it"):
        driver.prepare()
    monkeypatch.setattr(commands, "cluster", lambda *_: driver.api)
    monkeypatch.setattr(commands, "helm", lambda *_: driver.helm)
    commands.abort("battle")
    rolled_back(world)
    assert driver.helm.history_max >= len(driver.record.plan) + 20
    driver.prepare()


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


def test_a_canary_without_a_ready_pod_comes_out(driver: Driver, world: World) -> None:
    def hear(line: str, _: Work) -> None:
        if "s: stable" in line and world.weight() == 10:
            pod = world.server.objects["/api/v1/namespaces/models/pods/canary-v2"]
            pod["status"]["conditions"] = []

    driver.hear = hear
    with pytest.raises(RolledBack, match="no pod of it was ready"):
        driver.start(Options(**{**vars(FAST), "wait_minutes": 0.5}))
    rolled_back(world)


@pytest.mark.parametrize(
    ("error", "ended", "state"),
    [(Silent("c gives no answer"), RolledBack, "rolled back"), (Unreachable("stable is away"), Held, "held")],
)
def test_a_canary_that_answers_no_golden_request_comes_out(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, error: Unreachable, ended: type[Exception], state: str
) -> None:
    def asked(_: Work) -> None:
        raise error

    monkeypatch.setattr(opening, "analysis", asked)
    with pytest.raises(ended, match=str(error)):
        driver.start(Options(**{**vars(FAST), "wait_minutes": 0.02}))
    assert driver.record.state == state


def test_a_crash_while_golden_requests_are_asked_comes_out(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_: Work) -> None:
        status = world.server.objects["/api/v1/namespaces/models/pods/canary-v2"]["status"]
        status["conditions"] = []
        status["containerStatuses"] = [{"restartCount": 1, "lastState": {"terminated": {"reason": "OOMKilled"}}}]
        raise Unreachable("No pod of canary is ready.")

    monkeypatch.setattr(opening, "analysis", asked)
    with pytest.raises(RolledBack, match="killed for memory"):
        driver.start(FAST)
    rolled_back(world)


def test_what_a_release_must_be(driver: Driver, world: World) -> None:
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


def test_asked_is_heard_while_waiting(driver: Driver) -> None:
    prepared = driver.prepare()
    records = Records(driver.api, "battle")
    records.create(prepared.record)
    records.ask(prepared.record, "abort")
    with pytest.raises(Asked):
        driver.with_work(prepared.record, lambda mine: mine.sleep(30))
