"""The chart on a cluster that has names and nothing else: no Gateway API, no Prometheus Operator, no metrics.

Our cluster is taken down for it and comes back bare, so these cases are the last of all (tests/e2e/conftest.py), and
``make cluster`` gives it the rest again.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from k8s.local.paths import ROOT
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Namespace
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.release import CHART

OFF: Final = ("route and ingress", "serviceMonitor", "prometheusRule", "auth", "ids", "otlp")
"""What the notes call off with the values that are not given."""
GATEWAY: Final = [{"name": "gateway", "namespace": "gateway"}]
MISSING: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "route.enabled": (
        {"route": {"enabled": True, "parentRefs": GATEWAY}},
        "gateway.networking.k8s.io/v1/HTTPRoute: install Gateway API",
    ),
    "serviceMonitor.enabled": (
        {"serviceMonitor": {"enabled": True}},
        "monitoring.coreos.com/v1/ServiceMonitor: install Prometheus Operator",
    ),
    "prometheusRule.enabled": (
        {"prometheusRule": {"enabled": True}},
        "monitoring.coreos.com/v1/PrometheusRule: install Prometheus Operator",
    ),
}
"""Values that switch a part on, and what the refusal says is not there."""
_LOCAL_S: Final = 600

pytestmark = pytest.mark.usefixtures("space")


def local(*words: str) -> float:
    """Run ``python -m k8s.local``; returns the seconds that it took."""
    start = time.monotonic()
    command = [sys.executable, "-m", "k8s.local", *words]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=_LOCAL_S)
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return time.monotonic() - start


@pytest.fixture(scope="module")
def module_space(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A namespace of the bare cluster, which has the image of version 1."""
    image = images.version("1")
    local("down")
    local("up", "--bare")
    local("load", str(image.archive))
    with clusters.namespace(clusters.connect(bare=True), "e2e-bare", tmp_path_factory.mktemp("bare")) as there:
        yield there


def test_there_is_nothing_that_was_added(space: Namespace) -> None:
    assert space.kubectl("get", "customresourcedefinitions", "--output=name") == ""
    assert "metrics.k8s.io" not in space.kubectl("api-versions")


@pytest.mark.parametrize("value", MISSING)
def test_a_part_whose_resource_is_missing_is_refused(space: Namespace, images: Images, value: str) -> None:
    part, missing = MISSING[value]
    files = (space.values(images.version("1").values), space.values(part))
    done = space.tried("install", "refused", CHART, *(word for file in files for word in ("--values", file)))
    assert done.status != 0
    assert f"{value} is on, and this cluster has no {missing} or switch it off" in done.stderr, done.stderr
    assert space.tried("list", "--all", "--short").stdout == ""


def test_install_and_the_test_of_the_release(space: Namespace, images: Images, measured: Measured) -> None:
    installed = space.helm("install", "battle", CHART, "--values", space.values(images.version("1").values), "--wait")
    tested = space.helm("test", "battle")
    measured(f"helm install --wait took {installed.seconds:.1f} s, helm test {tested.seconds:.1f} s")
    assert "Phase:          Succeeded" in tested.stdout, tested.stdout
    answered = space.kubectl("get", "--raw", f"/api/v1/namespaces/{space.name}/services/battle-stable:3000/proxy/v2")
    assert '"name"' in answered


def test_the_notes_say_what_is_off(space: Namespace) -> None:
    notes = space.helm("get", "notes", "battle").stdout
    said = [line.removeprefix("- ").partition(":")[0] for line in notes.splitlines() if line.startswith("- ")]
    assert "What is off, and what that means:" in notes
    assert set(OFF) <= set(said), notes
