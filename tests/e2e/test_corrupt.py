"""An image whose bundle is not what its contract says: it never gets a request, and helm takes the change back."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from k8s.local.errors import ClusterError
from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.release import Release

PODS: Final = 2
DEADLINE_S: Final = 40
HELMS_OWN_S: Final = 300
VALUES: Final[dict[str, Any]] = {
    "autoscaling": {"min": PODS, "max": PODS},
    "rollout": {"progressDeadlineSeconds": DEADLINE_S},
    "probes": {"startup": {"failureThreshold": 30}},
}
SENTENCE: Final = "The bundle's 'model.onnx' is not the file that was packed: "


@pytest.fixture(scope="module")
def release(module_space: Namespace, images: Images) -> Release:
    release = Release(module_space, "battle")
    release.install(images.version("1").values, VALUES)
    return release


def told(release: Release, image: str) -> tuple[str, str]:
    """The sentence that a pod of the image left behind, and how kubectl describes the pod."""
    for pod in release.pods():
        if pod["spec"]["containers"][0]["image"] != image:
            continue
        for status in pod["status"].get("containerStatuses", ()):
            for state in (status["state"], status["lastState"]):
                message: str = state.get("terminated", {}).get("message", "")
                if message:
                    try:
                        return message, release.space.kubectl("describe", "pod", pod["metadata"]["name"])
                    except ClusterError:  # it went meanwhile
                        continue
    return "", ""


@pytest.mark.usefixtures("space")
def test_it_gets_no_request_and_is_taken_back(release: Release, images: Images, measured: Measured) -> None:
    corrupt = images.corrupt()
    words = (*release.upgrading(corrupt.values), "--rollback-on-failure")
    with release.asked(rate=60) as (load, endpoints), ThreadPoolExecutor(max_workers=1) as pool:
        until("all pods", lambda: len(endpoints.ready) == PODS, 120)
        before = endpoints.ready
        with load.during("upgrade to a corrupt bundle") as phase:
            upgrade = pool.submit(release.space.tried, *words)
            sentence, described = "", ""
            while not upgrade.done() and not sentence:
                sentence, described = told(release, corrupt.reference)
            done = upgrade.result()
            release.rolled_out()
            load.answered(100)
        tally = load.stop()
    measured(f"{phase}; helm ended with {done.status} after {done.seconds:.1f} s; the pod said: {sentence.strip()}")
    assert sentence.startswith(SENTENCE)
    assert len(sentence.strip().splitlines()) == 1
    assert sentence.strip() in described
    assert done.status != 0
    assert DEADLINE_S <= done.seconds < HELMS_OWN_S
    assert tally.failed == 0
    assert set(tally.versions) == {"1"}
    assert endpoints.ever(phase.start) == before
    assert endpoints.lowest(phase.start) == PODS


@pytest.mark.usefixtures("space")
def test_the_old_release_is_back(release: Release, images: Images) -> None:
    history = json.loads(release.space.helm("history", release.name, "--output", "json").stdout)
    assert [each["status"] for each in history] == ["superseded", "failed", "deployed"]
    assert history[2]["description"] == "Rollback to 1"
    container = release.deployment()["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == images.version("1").reference
    pods = release.pods()
    until("the corrupt pods are gone", lambda: len(release.pods()) == PODS)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {images.version("1").reference}
