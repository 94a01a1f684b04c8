"""From nothing to the first answer, and what is there then."""

import json
import time
from typing import Any, Final

import httpx
import pytest

from k8s.local import smoke
from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import REST
from tests.e2e.release import Release

FIRST_ANSWER_S: Final = 30
"""What is promised on an idle machine; this one has others on it, so the bound is three times that."""


@pytest.fixture(scope="module")
def release(module_space: Namespace) -> Release:
    return Release(module_space, "battle")


def ask(host: str) -> dict[str, Any]:
    """One battle through the gateway."""
    body = json.dumps({"pokemon_a": "pikachu", "pokemon_b": "blastoise"}).encode()
    url = "http://{}:{}/predict/battle".format(*REST)
    head = {"content-type": "application/json", "host": host}
    found: dict[str, Any] = httpx.post(url, content=body, headers=head, timeout=10).raise_for_status().json()
    return found


def answers(host: str) -> bool:
    try:
        return bool(ask(host)["model"]["version"] == "1")
    except httpx.HTTPError:
        return False


@pytest.mark.usefixtures("space")
def test_install_answers_soon(release: Release, images: Images, measured: Measured) -> None:
    image = images.version("1")
    start = time.monotonic()
    release.install(image.values, words=())
    until("the first answer", lambda: answers(release.host), 3 * FIRST_ANSWER_S, poll_s=0.1)
    seconds = time.monotonic() - start
    release.rolled_out()
    measured(f"first answer {seconds:.1f} s after helm install, of {FIRST_ANSWER_S} s")
    assert seconds < 3 * FIRST_ANSWER_S


@pytest.mark.usefixtures("space")
def test_helm_test_passes(release: Release, measured: Measured) -> None:
    done = release.space.helm("test", release.name)
    measured(f"helm test took {done.seconds:.1f} s")
    assert "Phase:          Succeeded" in done.stdout, done.stdout


@pytest.mark.usefixtures("space")
def test_prometheus_scrapes_every_pod(release: Release) -> None:
    pods = {pod["metadata"]["name"] for pod in release.pods()}

    def scraped() -> bool:
        asked = f'up{{namespace="{release.space.name}",release="{release.name}",track="stable"}} == 1'
        return {each["metric"]["pod"] for each in smoke.query(release.space.cluster.kubectl, asked)} == pods

    assert pods
    until("a scrape of every pod", scraped, 90, poll_s=1)


@pytest.mark.usefixtures("space")
def test_prometheus_has_the_rules(release: Release) -> None:
    asked = f'slo:availability:objective{{namespace="{release.space.name}",release="{release.name}"}}'

    def recorded() -> bool:
        return [each["value"][1] for each in smoke.query(release.space.cluster.kubectl, asked)] == ["99.9"]

    until("the objective as a series", recorded, 90, poll_s=1)


@pytest.mark.usefixtures("space")
def test_both_doors_answer_through_the_gateway(release: Release, measured: Measured) -> None:
    with release.load() as load:
        load.answered(200)
    tally = load.stop()
    measured(str(tally))
    assert tally.failed == 0
    assert set(tally.versions) == {"1"}
