"""Versions that are no worse are promoted, whatever happens beside them."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.e2e.canary.conftest import Made, Shown
from tests.e2e.canary.driver import PROMOTED, RATE, SLOW, SLOWER, Driver
from tests.e2e.images import Image, Images
from tests.e2e.monitoring.traffic import Traffic, reference

STALL_S: Final = 1.5
"""Requests of that time are slow, and the kubelet's probes do not yet take a pod out."""

pytestmark = [pytest.mark.full, pytest.mark.timeout(1500)]


def _nothing(_: Driver) -> None:
    pass


def promoted(
    driver: Driver, image: Image, shown: Shown, *words: str, meanwhile: Callable[[Driver], None] = _nothing
) -> None:
    """Roll an image out, with something else happening at the first step, and see it promoted without a failure."""
    with driver.release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(image, *words)
        if meanwhile is not _nothing:
            driver.at_weight()
            meanwhile(driver)
        driver.ended(process, PROMOTED)
        load.answered(100, version=image.version)
    tally = load.stop()
    assert tally.failed == 0, tally
    assert driver.live() == (image.reference, None, 0)
    shown("promoted", tally)


def test_a_stable_that_is_slow(made: Made, images: Images, shown: Shown) -> None:
    driver = made("stable-slow", SLOW, image=images.failing("1", "slow-stable", **SLOWER, PDX_FAULT_SLOW_RATIO="0.02"))
    promoted(driver, images.version("2"), shown)


def test_an_incident_of_both(made: Made, images: Images, shown: Shown) -> None:
    def stall(driver: Driver) -> None:
        for _ in range(2):
            driver.signal("SIGSTOP", "stable", "canary")
            time.sleep(STALL_S)
            driver.signal("SIGCONT", "stable", "canary")
            time.sleep(4 * STALL_S)

    promoted(made("incident", SLOW), images.version("2"), shown, meanwhile=stall)


def test_one_pod_that_stalls(made: Made, images: Images, shown: Shown) -> None:
    def stall(driver: Driver) -> None:
        driver.signal("SIGSTOP", "canary")
        time.sleep(STALL_S)
        driver.signal("SIGCONT", "canary")

    promoted(made("stalls", SLOW), images.version("2"), shown, meanwhile=stall)


def test_a_canary_that_begins_cold(made: Made, images: Images, shown: Shown) -> None:
    """Its first answers are slow; with neither golden requests nor copies, users are the first who ask it."""
    cold = images.failing("2", "cold", PDX_FAULT_SLOW_SECONDS="0.8", PDX_FAULT_SLOW_FIRST="5")
    promoted(made("cold", SLOW), cold, shown, "--without-pairs", "--shadow", "0")


def test_a_model_of_other_data(made: Made, images: Images, shown: Shown) -> None:
    """It answers differently, as differently as its expectation says, and is promoted for that."""
    driver, new = made("retrained", {"slo": {"canary": {"flips": 4.0}}}), images.retrained()
    with Traffic(driver.release.host, 2 * RATE, reference()) as users:
        process = driver.start(new)
        record = driver.ended(process, PROMOTED)
    (flips, *_) = [
        reading for step in reversed(record["steps"]) for reading in step["readings"] if reading["check"] == "flips"
    ]
    assert set(users.answers) == {200}
    assert driver.live() == (new.reference, None, 0)
    shown(f"promoted; of {users.answers.total():,} requests none failed; flips: {flips['sentence']}")
