"""A good version is promoted on the cluster, by the command that a person has, while clients ask over REST and gRPC."""

import os
import subprocess
import sys
import time
from typing import Final

from k8s.local import paths
from monitoring.pictures.draw import silent
from monitoring.pictures.recording import Recording
from tests.e2e.canary.conftest import Made, Shown
from tests.e2e.canary.driver import END_S, PROMETHEUS, PROMOTED, RATE, WIDE, Driver, as_account
from tests.e2e.conftest import FULL, RECORDS, Measured
from tests.e2e.images import Images
from tests.e2e.release import merged

_ASKED: Final = 50_000 if FULL else 5_000
"""Requests that the clients have asked at least, of whom none fails."""


def test_a_good_version_is_promoted(made: Made, images: Images, measured: Measured, shown: Shown) -> None:
    """By an account that may do what `kubectl canary rbac` prints, and nothing else."""
    driver = made("good")
    release, new = driver.release, images.version("2")
    driver.kubeconfig = as_account(release)
    deploy = release.space.values(merged(release.values(images.version("1").values, WIDE)))
    longer = ("--min-intervals", "20", "--max-minutes", "25") if FULL else ()
    generations: dict[int, set[int]] = {}
    with release.load(rate=3 * RATE if FULL else RATE) as load:
        load.answered(50)
        process = driver.start(new, "--values", str(deploy), *longer)
        start = time.monotonic()
        while process.poll() is None and time.monotonic() - start < 2 * END_S:
            generations.setdefault(driver.live()[2], set()).add(release.deployment()["metadata"]["generation"])
            time.sleep(1)
        record = driver.ended(process, PROMOTED)
        took = time.monotonic() - start
        load.answered(100, version="2")
        load.until(f"{_ASKED} requests", lambda requests: len(requests) >= _ASKED, END_S)
    tally = load.stop()
    followed: list[str] = []
    for step in record["steps"]:
        asked = sum(step["requests"].values())
        if asked > 500 and 0 < step["weight"] < 100:
            share = step["requests"]["canary"] / asked
            followed.append(f"{share:.1%} at {step['weight']} %")
            measured(f"at {step['weight']} % the canary had {share:.1%} of {asked:.0f}")
            assert abs(share - step["weight"] / 100) < 5 * (0.25 / asked) ** 0.5 + 0.03
    assert tally.failed == 0, tally
    assert set(tally.versions) == {"1", "2"}
    # Scales, not weights, change a Deployment; the weights of the steps all saw one generation of stable's template.
    assert len(set().union(*(seen for weight, seen in generations.items() if 0 < weight < 100))) == 1, generations
    assert driver.live() == (new.reference, None, 0)
    assert record["state"] == "promoted"
    # The next plain deploy is by the values file that the promotion wrote into, and without any value of before.
    release.space.helm("upgrade", release.name, "helm/serving", "--reset-values", "--values", deploy, "--wait")
    assert driver.live() == (new.reference, None, 0)
    picture(driver, took)
    what = f"promoted in {took:.0f} s; the canary had {', '.join(followed)}; the next plain deploy keeps it"
    shown(what, tally, log=driver.log())


def picture(driver: Driver, took_s: float) -> None:
    """Record what the dashboard of rollouts showed; ``python -m monitoring.pictures draw FOLDER --keep`` draws it."""
    words = ["--service", PROMETHEUS, "--namespace", driver.release.space.name, "--release", driver.release.name]
    words += ["--dashboard", "rollout", "--interval", "5", "--minutes", f"{took_s / 60 + 1:.2f}"]
    environment = {**os.environ, "KUBECONFIG": str(paths.KUBECONFIG), "PATH": f"{paths.PROGRAMS}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "monitoring.pictures", "record", *words, "--out", str(RECORDS / "rollout")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=paths.ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    drawn = Recording.read(RECORDS / "rollout/rollout.json.gz")
    assert not {query.panel for query in silent(drawn)} & {"Share of the requests", "Requests", "Pods by version"}
