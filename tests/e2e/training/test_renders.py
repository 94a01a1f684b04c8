"""What the API server takes of the chart."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Namespace
from tests.e2e.training.jobs import CHART
from tests.helm import charts

TESTED = charts.TESTED[1]


def taken(space: Namespace, manifests: str) -> None:
    """The API server takes manifests of the namespace, and its Pod Security has no warning of them."""
    every: list[dict[str, Any]] = [each for each in yaml.safe_load_all(manifests) if each]
    assert {each["metadata"]["namespace"] for each in every} == {space.name}
    # A pod is refused where its account is not there.
    accounts = [each for each in every if each["kind"] == "ServiceAccount"]
    space.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": accounts}))
    words = ("apply", "--dry-run=server", "--warnings-as-errors", "--filename=-")
    done = subprocess.run(
        [*map(str, space.cluster.kubectl.start), *words], input=manifests, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(every)


@pytest.mark.parametrize("path", sorted(TESTED.golden.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_every_committed_render(space: Namespace, path: Path) -> None:
    taken(space, re.sub(r'^  namespace: ".+"$', f"  namespace: {space.name}", path.read_text(), flags=re.MULTILINE))


def test_the_api_server_takes_the_longest_name(space: Namespace) -> None:
    taken(space, space.helm("template", "a" * 53, CHART, "--values", TESTED.sets / "shards.yaml").stdout)
