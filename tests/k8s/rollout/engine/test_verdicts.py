"""The driver from the first revision to the last, and out of it again, by what it sees."""

import pytest

from k8s.rollout import opening
from k8s.rollout.errors import Held, RolledBack, Silent, Unreachable
from k8s.rollout.live import Live
from k8s.rollout.options import OnTimeout, Options
from k8s.rollout.work import Work
from tests.k8s.rollout.engine.driver import FAST, Driver, never_both, promoted, rolled_back
from tests.k8s.rollout.world import NEW, OLD, World


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
    assert not any("autoscaler has" in line for line in driver.said)


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
    # Idle until now, it would be shrunk to its least before its autoscaler has seen the requests.
    assert any("autoscaler has 90 s" in line for line in driver.said)


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


def test_errors_come_out_while_prometheus_is_away(driver: Driver, world: World) -> None:
    world.errors[NEW] = 0.5
    with pytest.raises(RolledBack, match="errors"):
        driver.start(Options(**{**vars(FAST), "prometheus": "monitoring/away:9090", "wait_minutes": 0.5}))
    rolled_back(world)
    assert max(weight for weight, *_ in world.writes) == 10


def test_without_prometheus_nothing_goes_on(driver: Driver, world: World) -> None:
    with pytest.raises(Held, match="no data"):
        driver.start(Options(**{**vars(FAST), "prometheus": "monitoring/away:9090", "wait_minutes": 0.1}))
    assert world.weight() == 10


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


def test_pods_that_crash_come_out_at_weight_0(driver: Driver, world: World) -> None:
    world.restarts[NEW] = 3
    with pytest.raises(RolledBack, match="again and again"):
        driver.start()
    rolled_back(world)
    assert {weight for weight, *_ in world.writes} == {0}


def test_an_image_that_does_not_come_in_time_comes_out(
    driver: Driver, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unready = Live.unready

    def waits(self: Live, track: str, image: str) -> str | None:
        if track != "canary":
            return unready(self, track, image)
        status = world.server.objects["/api/v1/namespaces/models/pods/canary-v2"]["status"]
        waiting = {"reason": "ErrImagePull", "message": "dial tcp: i/o timeout"}
        status |= {"conditions": [], "containerStatuses": [{"restartCount": 0, "state": {"waiting": waiting}}]}
        return "0 of 1 pods of battle-canary are ready"

    monkeypatch.setattr(Live, "unready", waits)
    with pytest.raises(RolledBack, match=r"After 0\.05 minutes 0 of 1 pods .* has no image: dial tcp: i/o timeout"):
        driver.start()
    rolled_back(world)


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
