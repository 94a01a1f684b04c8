"""What a pod takes while clients ask, which the chart's requests and limits are made of (docs/chart.md)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import httpx
import pytest

from tests.e2e.cluster import Namespace
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import REST
from tests.e2e.release import Release

_LARGEST: Final = {"pokemon_a": "mew", "pokemon_b": "mew"}
"""The largest request of a duel: 2,500 pairings."""
_CALLERS: Final = 8
_CALLS: Final = 25
_ANSWERS: Final = 1_500
"""Of each door."""
# The kernel's own account of the container, under either version of control groups.
_ACCOUNT: Final = """
import json, pathlib
root = pathlib.Path("/sys/fs/cgroup")
if (root / "memory.peak").exists():
    used = int((root / "cpu.stat").read_text().split()[1]) / 1e6
    now, peak = ((root / name).read_text() for name in ("memory.current", "memory.peak"))
else:
    used = int((root / "cpuacct/cpuacct.usage").read_text()) / 1e9
    now, peak = ((root / "memory" / f"memory.{name}usage_in_bytes").read_text() for name in ("", "max_"))
print(json.dumps([used, int(now), int(peak)]))
"""

pytestmark = pytest.mark.usefixtures("space")


class Account(NamedTuple):
    """What the container has used.

    Attributes:
        cpu_s: seconds of a core, since its start.
        now: bytes of memory, file cache included.
        peak: the most bytes since its start.
    """

    cpu_s: float
    now: int
    peak: int


@pytest.fixture(scope="module")
def release(module_space: Namespace, images: Images) -> Release:
    release = Release(module_space, "battle")
    release.install(images.version("1").values, {"autoscaling": {"min": 1, "max": 1}})
    release.rolled_out()
    return release


def account(release: Release) -> Account:
    (pod,) = release.pods()
    said = release.space.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", _ACCOUNT)
    return Account(*json.loads(said))


def ask_the_largest(release: Release) -> None:
    url = "http://{}:{}/predict/battle".format(*REST)
    with httpx.Client(headers={"host": release.host}, timeout=60) as client:
        for _ in range(_CALLS):
            client.post(url, json=_LARGEST).raise_for_status()


def test_a_pod_under_load_keeps_within_its_bounds(release: Release, measured: Measured) -> None:
    start = account(release)
    with release.load(rate=120, connections=8) as load:
        load.answered(_ANSWERS)
    tally = load.stop()
    small = account(release)
    with ThreadPoolExecutor(_CALLERS) as pool:
        list(pool.map(lambda _: ask_the_largest(release), range(_CALLERS)))
    large = account(release)
    calls = _CALLERS * _CALLS
    measured(
        f"memory {start.now / 2**20:.0f} MiB when ready, {small.peak / 2**20:.0f} at most in {tally.requests} requests "
        f"and {large.peak / 2**20:.0f} in {calls} of 2,500 pairings, {_CALLERS} at a time; of a core "
        f"{(small.cpu_s - start.cpu_s) / tally.requests * 1e3:.2f} ms a request of up to 4 pairings, with probes and "
        f"scrapes, and {(large.cpu_s - small.cpu_s) / calls * 1e3:.1f} ms one of 2,500; start {start.cpu_s:.1f} s"
    )
    assert tally.failed == 0
    (pod,) = release.pods()
    (container,) = pod["status"]["containerStatuses"]
    assert container["restartCount"] == 0
    limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert limit == "1Gi"
    assert large.peak < 2**30 / 2
