"""Every pod is evicted, as a drain of its node would: the disruption budget lets them go one at a time."""

import time
from typing import Final

import kubernetes.client

from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.release import Release

PODS: Final = 3
_REFUSED: Final = 429
_ALLOWED_S: Final = 90


def evict(space: Namespace, pod: str) -> bool:
    """Ask the Eviction API; False where the disruption budget forbids it now."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
    try:
        space.cluster.core.create_namespaced_pod_eviction(pod, space.name, body)
    except kubernetes.client.ApiException as error:
        if error.status != _REFUSED or "disruption budget" not in str(error.body):
            raise
        return False
    return True


def test_never_below_the_budget(space: Namespace, images: Images, measured: Measured) -> None:
    release = Release(space, "battle")
    release.install(images.version("1").values, {"autoscaling": {"min": PODS, "max": PODS}})
    with release.asked(rate=60) as (load, endpoints):
        until("all pods", lambda: len(endpoints.ready) == PODS, 120)
        until("a budget", lambda: space.get("pdb", release.stable)["status"]["disruptionsAllowed"] > 0)
        before = endpoints.ready
        refused = 0
        with load.during("evictions") as phase:
            for pod in before:
                deadline = time.monotonic() + _ALLOWED_S
                while not evict(space, pod):
                    refused += 1
                    assert time.monotonic() < deadline, f"{pod} may never go"
                    time.sleep(0.2)
            until("all pods anew", lambda: len(endpoints.ready - before) == PODS, 120)
            load.answered(200)
        lowest = endpoints.lowest(phase.start)
        tally = load.stop()
    measured(f"{phase}; {len(before)} evicted, {refused} times refused with {_REFUSED}, never fewer than {lowest} pods")
    assert refused > 0
    assert lowest == PODS - 1
    assert tally.failed == 0
