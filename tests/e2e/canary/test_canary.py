"""Rollouts on the cluster, by the command that a person has, while clients ask over REST and gRPC."""

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.e2e.canary.driver import WIDE, Driver, as_account, with_ids
from tests.e2e.cluster import Namespace
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.release import Release, merged

_END_S: Final = 780
_RATE: Final = 30
"""Requests a second of each door, which leaves the pods some of the two cores."""

pytestmark = [pytest.mark.timeout(1500), pytest.mark.full]
Made = Callable[[str], Driver]


@pytest.fixture
def made(spaces: Callable[[str], Namespace], images: Images) -> Iterator[Made]:
    """A release of version 1 in a namespace of its own, and a driver for it."""
    drivers: list[Driver] = []

    def make(word: str) -> Driver:
        release = with_ids(Release(spaces(word), "battle"))
        release.install(images.version("1").values, WIDE)
        drivers.append(Driver(release))
        return drivers[-1]

    yield make
    for each in drivers:
        each.stop()


def live(release: Release) -> tuple[str, str | None, int]:
    """Image of stable, image of the canary if there is one, weight of the canary."""
    images = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in release.space.items("deployments")
    }
    (rule, *_) = release.space.get("httproute", release.name)["spec"]["rules"]
    weights = {each["name"]: each["weight"] for each in rule["backendRefs"]}
    return images[release.stable], images.get(f"{release.name}-canary"), weights.get(f"{release.name}-canary", 0)


def ended(process: Any, within_s: float = _END_S) -> int:
    """Exit status of a driver."""
    status: int = process.wait(within_s)
    return status


def before_any_step(record: dict[str, Any]) -> bool:
    return bool(record["place"] >= 0)


def test_a_good_version_is_promoted(made: Made, images: Images, measured: Measured) -> None:
    """By an account that may do what `kubectl canary rbac` prints, and nothing else."""
    driver = made("good")
    release, new = driver.release, images.version("2")
    driver.kubeconfig = as_account(release)
    deploy = release.space.values(merged(release.values(images.version("1").values, WIDE)))
    generations: dict[int, set[int]] = {}
    with release.load(rate=_RATE) as load:
        load.answered(50)
        process = driver.start(new, "--values", str(deploy))
        start = time.monotonic()
        while process.poll() is None and time.monotonic() - start < _END_S:
            generations.setdefault(live(release)[2], set()).add(release.deployment()["metadata"]["generation"])
            time.sleep(1)
        assert ended(process) == 0, driver.run("history").stdout
        load.answered(100, version="2")
    tally = load.stop()
    record = driver.record()
    measured(f"{tally}; {time.monotonic() - start:.0f} s from start to promotion")
    for step in record["steps"]:
        asked = sum(step["requests"].values())
        if asked > 500 and step["weight"]:
            share = step["requests"]["canary"] / asked
            measured(f"at {step['weight']} % the canary had {share:.1%} of {asked:.0f}")
            assert abs(share - step["weight"] / 100) < 5 * (0.25 / asked) ** 0.5 + 0.03
    assert tally.failed == 0, tally
    assert set(tally.versions) == {"1", "2"}
    # Scales, not weights, change a Deployment; the weights of the steps all saw one generation of stable's template.
    assert live(release) == (new.reference, None, 0)
    assert record["state"] == "promoted"
    # The next plain deploy is by the values file that the promotion wrote into, and without any value of before.
    release.space.helm("upgrade", release.name, "helm/serving", "--reset-values", "--values", deploy, "--wait")
    assert live(release) == (new.reference, None, 0)


def test_errors_come_out(made: Made, images: Images, measured: Measured) -> None:
    driver = made("errors")
    release = driver.release
    bad = images.failing("2", "errors", PDX_FAULT_ERROR_RATIO="0.2")
    weights: list[int] = []
    with release.load(rate=_RATE) as load:
        load.answered(50)
        process = driver.start(bad)
        while process.poll() is None:
            weights.append(live(release)[2])
            time.sleep(0.5)
        assert ended(process) == 4, driver.run("history").stdout
        first = min((each.ended for each in load.requests() if each.failure), default=time.monotonic())
        out = time.monotonic() - first
        load.answered(100, version="1")
    tally = load.stop()
    measured(f"{tally}; at most {max(weights)} %; {out:.0f} s from the first bad answer to weight 0 and the end")
    assert max(weights) <= 20
    assert live(release) == (images.version("1").reference, None, 0)
    # What failed was the fault's own answer, an error of the model, and no connection.
    assert all("500" in kind or "INTERNAL" in kind for kind in tally.kinds), tally.kinds
    record = driver.record()
    assert record["state"] == "rolled back"
    assert "errors" in record["sentence"] or "golden" in record["sentence"]


def test_a_driver_that_is_killed_in_an_upgrade_is_resumed(made: Made, images: Images, measured: Measured) -> None:
    driver = made("killed")
    release, new = driver.release, images.version("2")
    with release.load(rate=_RATE) as load:
        load.answered(50)
        process = driver.start(new)
        driver.until("a weight is being moved", lambda record: record["moving"] == 2, 300)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        # The Lease lapses by itself.
        refused = driver.run("resume")
        assert refused.returncode == 5, refused.stderr
        time.sleep(25)
        resumed = driver.run("resume")
        assert resumed.returncode == 0, resumed.stderr
        load.answered(100, version="2")
    tally = load.stop()
    measured(str(tally))
    assert tally.failed == 0, tally
    assert live(release) == (new.reference, None, 0)


def test_two_drivers_an_abort_and_a_hand(made: Made, images: Images, measured: Measured) -> None:
    """A second driver is refused, an abort goes through the first, and a change by hand stops the next rollout."""
    driver = made("hands")
    release, old, new = driver.release, images.version("1"), images.version("2")
    with release.load(rate=_RATE) as load:
        load.answered(50)
        process = driver.start(new)
        driver.until("the canary is up", before_any_step)
        second = driver.run("start", "--image", new.reference)
        assert second.returncode == 5, second.stderr
        driver.until("requests go to the canary", lambda record: record["weight"] == 20, 300)
        aborted = driver.run("abort")
        assert aborted.returncode == 0, aborted.stderr
        assert ended(process, 120) == 4
        assert live(release) == (old.reference, None, 0)

        process = driver.start(new)
        driver.until("requests go to the canary", lambda record: record["weight"] == 20, 300)
        release.space.kubectl("patch", "hpa", release.stable, "--patch", '{"spec": {"minReplicas": 2}}')
        assert ended(process, 120) == 3
        record = driver.record()
        assert record["state"] == "held"
        assert "minReplicas" in record["sentence"]
        out = driver.run("abort")
        assert out.returncode == 0, out.stderr
        load.answered(100, version="1")
    tally = load.stop()
    measured(str(tally))
    assert tally.failed == 0, tally
    assert live(release) == (old.reference, None, 0)
    listed = driver.run("history")
    assert "battle-rollout-1" in listed.stdout
    assert "battle-rollout-2" in listed.stdout


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [
        ("PDX_FAULT_ANSWERS", "mirrored", "golden"),
        ("PDX_FAULT_ANSWERS", "shuffled", "golden"),
        ("PDX_FAULT_ANSWERS", "one-type", "golden"),
        ("PDX_NO_SUCH_SETTING", "refused", "does not run"),
    ],
)
def test_out_before_a_user_meets_it(made: Made, images: Images, variable: str, value: str, word: str) -> None:
    driver = made(value)
    release = driver.release
    bad = images.failing("2", value, **{variable: value})
    with release.load(rate=_RATE) as load:
        load.answered(50)
        process = driver.start(bad)
        assert ended(process) == 4, driver.run("history").stdout
    tally = load.stop()
    record = driver.record()
    assert tally.failed == 0, tally
    assert set(tally.versions) == {"1"}
    assert word in record["sentence"], record["sentence"]


def test_no_traffic_is_held_then_aborted_as_set(made: Made, images: Images) -> None:
    driver = made("quiet")
    assert ended(driver.start(images.version("2"), "--wait-minutes", "0.5")) == 3
    assert driver.record()["state"] == "held"
    assert driver.run("abort").returncode == 0
    words = ("--wait-minutes", "0.5", "--on-timeout", "abort")
    assert ended(driver.start(images.version("2"), *words)) == 4
    assert live(driver.release) == (images.version("1").reference, None, 0)


def test_a_prometheus_that_is_not_there(made: Made, images: Images) -> None:
    driver = made("blind")
    with driver.release.load(rate=_RATE) as load:
        load.answered(50)
        words = ("--prometheus", "monitoring/nobody:9090", "--wait-minutes", "0.5")
        assert ended(driver.start(images.version("2"), *words)) == 3
    assert "no data" in driver.record()["sentence"]
    assert driver.run("abort").returncode == 0
