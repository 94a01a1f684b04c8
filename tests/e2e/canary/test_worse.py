"""Versions that are worse come out, and their faults reach no more users than they must."""

import re
import time
from contextlib import suppress
from typing import Any

import pytest

from k8s.local.errors import ClusterError
from tests.e2e.canary.conftest import Made, Shown
from tests.e2e.canary.driver import FAILING, OUT, RATE, SLOW, SLOWER, Driver
from tests.e2e.images import Image, Images
from tests.e2e.load import Load, Tally

pytestmark = pytest.mark.timeout(1500)


class Seen:
    """A rollout that was watched to its end.

    Attributes:
        record: of the rollout.
        tally: of the clients.
        most: the largest weight that was seen.
    """

    def __init__(self, driver: Driver, image: Image, *words: str, rate: float = RATE) -> None:
        weights = [0]
        with driver.release.load(rate=rate) as load:
            load.answered(50)
            process = driver.start(image, *words)
            while process.poll() is None:
                weights.append(driver.live()[2])
                time.sleep(0.5)
            ended = time.monotonic()
            self.record = driver.ended(process, OUT)
            load.answered(100, version="1")
        self.tally: Tally = load.stop()
        self.most = max(weights)
        self._first = min((each.ended for each in load.requests() if each.failure), default=ended)
        self._out_s = ended - self._first

    def __str__(self) -> str:
        return f"{self.record['sentence']} At most {self.most} %; {self.tally}"

    @property
    def result(self) -> str:
        """For the table of cases."""
        check = self.record["sentence"].split(":")[0].removeprefix("The new version ")
        late = f", {self._out_s:.0f} s after the first bad answer to a user" if self.tally.failed else ""
        return f"out ({check}), at most {self.most} %{late}"


def test_errors_come_out_before_a_user_meets_them(made: Made, images: Images, shown: Shown) -> None:
    """Of each twenty requests one fails; golden requests and copies show it at weight 0.

    Of the few golden rows here none or one fails now and then, and then it takes the intervals of a step by default.
    """
    driver = made("errors", FAILING)
    seen = Seen(driver, images.failing("2", "errors", PDX_FAULT_ERROR_RATIO="0.05"), "--min-intervals", "12")
    assert driver.live() == (images.version("1").reference, None, 0)
    assert seen.record["state"] == "rolled back"
    assert (seen.tally.failed, seen.most) == (0, 0), str(seen)
    shown(seen.result, seen.tally, log=driver.log())


@pytest.mark.full
def test_errors_come_out_at_a_step(made: Made, images: Images, shown: Shown) -> None:
    """Where nothing is copied and nothing compared, users' own errors are what shows it."""
    driver = made("steps", FAILING)
    failing = images.failing("2", "errors", PDX_FAULT_ERROR_RATIO="0.05")
    seen = Seen(driver, failing, "--without-pairs", "--shadow", "0", "--min-intervals", "12")
    assert driver.live() == (images.version("1").reference, None, 0)
    assert "errors" in seen.record["sentence"]
    assert 0 < seen.most <= 20
    # What failed was the fault's own answer, an error of the model, and no connection.
    assert all("500" in kind or "INTERNAL" in kind for kind in seen.tally.kinds), seen.tally.kinds
    assert seen.tally.failed <= 0.1 * seen.tally.versions["2"]
    shown(seen.result, seen.tally, log=driver.log())


@pytest.mark.full
def test_slow_answers_come_out(made: Made, images: Images, shown: Shown) -> None:
    driver = made("slow", SLOW)
    slow = images.failing("2", "slow", **SLOWER, PDX_FAULT_SLOW_RATIO="0.25")
    # REST requests and probes wait for slow ones: of more of them the pod would be taken for one that is not ready.
    # Each interval is one piece of evidence, however many of its requests are slow, so a verdict takes some:
    # docs/canary-statistics.md promises 40.
    seen = Seen(driver, slow, "--shadow", "0.05", "--min-intervals", "40", rate=RATE / 4)
    assert driver.live() == (images.version("1").reference, None, 0)
    assert "slow" in seen.record["sentence"]
    assert seen.most <= 20
    assert seen.tally.failed == 0, str(seen)
    shown(seen.result, seen.tally, log=driver.log())


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        pytest.param({"PDX_FAULT_ANSWERS": "mirrored"}, "golden", id="mirrored"),
        pytest.param({"PDX_FAULT_ANSWERS": "shuffled"}, "golden", id="shuffled", marks=pytest.mark.full),
        pytest.param({"PDX_FAULT_ANSWERS": "one-type"}, "golden", id="one-type", marks=pytest.mark.full),
        pytest.param({"PDX_NO_SUCH_SETTING": "1"}, "does not run", id="crash-loop", marks=pytest.mark.full),
        pytest.param({"PDX_FAULT_MEMORY_MIB": "8"}, "killed for memory", id="memory", marks=pytest.mark.full),
        pytest.param({"PDX_FAULT_SLOW_SECONDS": "60"}, "no answer|does not run", id="hang", marks=pytest.mark.full),
    ],
)
def test_out_before_a_user_meets_it(made: Made, images: Images, shown: Shown, fault: dict[str, str], word: str) -> None:
    (name,) = {f"{key}-{value}".lower().replace("_", "-") for key, value in fault.items()}
    driver = made(name.removeprefix("pdx-"))
    seen = Seen(driver, images.failing("2", name, **fault))
    assert seen.tally.failed == 0, str(seen)
    assert set(seen.tally.versions) == {"1"}
    assert re.search(word, seen.record["sentence"]), seen.record["sentence"]
    assert driver.live() == (images.version("1").reference, None, 0)
    shown(seen.result, seen.tally, log=driver.log())


@pytest.mark.full
def test_a_version_that_is_never_ready_comes_out(made: Made, images: Images, shown: Shown) -> None:
    """Its pods run, and the kubelet never hears from them that they are ready."""
    driver = made("unready")
    seen = Seen(driver, images.failing("2", "unready", PDX_ADMIN_PORT="3009"), "--ready-minutes", "1")
    assert seen.tally.failed == 0, str(seen)
    assert set(seen.tally.versions) == {"1"}
    assert driver.live() == (images.version("1").reference, None, 0)
    shown(seen.result, seen.tally, log=driver.log())


@pytest.mark.full
def test_a_version_that_hangs_comes_out(made: Made, images: Images, shown: Shown) -> None:
    """It stops answering anything while it has a share of the requests."""
    driver = made("hangs")
    release, new = driver.release, images.version("2")
    with release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(new)
        driver.at_weight()
        began = time.monotonic()
        while process.poll() is None and driver.live()[2]:
            # Again and again: what the kubelet starts anew hangs too.
            with suppress(ClusterError, LookupError):
                driver.signal("SIGSTOP", "canary")
            time.sleep(0.5)
        out = time.monotonic() - began
        driver.ended(process, OUT)
        load.answered(100, version="1")
    tally = load.stop()
    assert driver.live() == (images.version("1").reference, None, 0)
    # Nobody says which pod a failed request went to, but nothing failed before the hang, or long after it.
    assert _failed_outside(load, began, out) == []
    shown(f"out, {out:.0f} s from the hang to weight 0; nothing failed before, or 30 s after", tally)


def _failed_outside(load: Load, began: float, seconds: float) -> list[Any]:
    end = began + seconds + 30
    return [each for each in load.requests() if each.failure and not began - 12 < each.sent < end]
