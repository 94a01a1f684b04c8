"""What the API server takes of the chart, and what Helm refuses before anything is made."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Namespace
from tests.e2e.release import CHART, merged
from tests.helm import charts

GIVEN: dict[str, Any] = {"image": {"repository": "localhost/battle", "tag": "v1"}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"autoscalng": {"min": 3}}, "additional properties 'autoscalng' not allowed"),
        ({"networkPolicy": {"gateway": {"cidr": []}}}, "additional properties 'cidr' not allowed"),
        ({"settings": {"PDX_STOP_DRAIN": 5}}, "additional properties 'PDX_STOP_DRAIN' not allowed"),
        ({"autoscaling": {"min": "three"}}, "at '/autoscaling/min': got string, want integer"),
        ({"image": {"tag": ""}}, "image.tag or image.digest"),
        ({"route": {"enabled": True}}, "route.enabled is on, and route.parentRefs names no Gateway."),
        ({"canary": {"enabled": True, "image": {"tag": "v2"}}}, "canary.enabled is on without route.enabled"),
        ({"canary": {"weight": 5}}, "canary.weight is 5, and no canary runs"),
        ({"rollout": {"progressDeadlineSeconds": 60}}, "rollout.progressDeadlineSeconds is 60"),
    ],
)
def test_refused_with_a_sentence_and_nothing_is_made(space: Namespace, values: dict[str, Any], sentence: str) -> None:
    done = space.tried("install", "refused", CHART, "--values", space.values(merged(GIVEN, values)))
    assert done.status != 0
    assert sentence in done.stderr
    assert space.tried("status", "refused").status != 0
    assert space.items("all,secrets,serviceaccounts", "--selector", "app.kubernetes.io/instance=refused") == []


@pytest.fixture(scope="module")
def accounts(module_space: Namespace) -> None:
    """A pod is refused where its ServiceAccount is not there yet, and a dry run makes none."""
    for release in ("battle", "on"):
        module_space.kubectl("create", "serviceaccount", release)


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("path", sorted(charts.TESTED[0].golden.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_every_committed_render(space: Namespace, path: Path) -> None:
    # The namespace asks for the restricted standard, and what a template would break of it comes as a warning.
    given = "123" if path.stem == charts.NUMBERS else "models"
    manifests = path.read_text().replace(f'namespace: "{given}"', f'namespace: "{space.name}"')
    assert manifests.count(f'namespace: "{space.name}"') > 5
    words = ("apply", "--dry-run=server", "--warnings-as-errors", "--filename=-")
    done = subprocess.run(
        [*map(str, space.cluster.kubectl.start), *words], input=manifests, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == manifests.count("\nkind: ")
