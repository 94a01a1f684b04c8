"""The plan's values, rendered by the chart: which objects differ from one revision to the next, forward and back."""

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from k8s.rollout import plan
from k8s.rollout.plan import Changes, Image, Revision, Shape
from k8s.rollout.release import merged
from tests.helm.charts import APIS, CHART, MISSING, helm

pytestmark = pytest.mark.skipif(helm() is None, reason=MISSING)

PODS: Final = frozenset({"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"})
TRAFFIC: Final = frozenset({"HTTPRoute", "ConfigMap"})
BEFORE: Final[dict[str, Any]] = {
    "image": {"repository": "localhost/battle", "tag": "v1"},
    "route": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    "ids": {"existingSecret": "ids"},
    "autoscaling": {"min": 2, "max": 9},
}

Objects = dict[tuple[str, str], dict[str, Any]]


def rendered(values: dict[str, Any], folder: Path) -> Objects:
    """Objects by kind and name, without the labels of the chart's own version and without hooks."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    words = [str(helm()), "template", "battle", str(CHART), "--values", str(file)]
    words += [word for api in APIS for word in ("--api-versions", api)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {
        (each["kind"], each["metadata"]["name"]): each
        for each in found
        if "helm.sh/hook" not in (each["metadata"].get("annotations") or {})
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Revision], list[Objects]]:
    """The revisions of a plan, and the objects before the first and after each."""
    folder = tmp_path_factory.mktemp("rendered")
    revisions = plan.make(Shape(Image("localhost/battle", "v2"), steps=(5, 50), size=4, most=9, shadow=0.1))
    values, states = BEFORE, [rendered(BEFORE, folder)]
    for each in revisions:
        values = merged(values, each.values)
        states.append(rendered(values, folder))
    return revisions, states


def differing(before: Objects, after: Objects) -> set[str]:
    return {kind for kind, name in {*before, *after} if before.get((kind, name)) != after.get((kind, name))}


def test_a_revision_writes_pods_or_traffic(whole: tuple[list[Revision], list[Objects]]) -> None:
    revisions, states = whole
    for revision, (before, after) in zip(revisions, pairwise(states), strict=True):
        kinds = differing(before, after)
        assert kinds, revision.name
        # A track that comes or goes is a backend that comes or goes, of weight 0: traffic is the same.
        if revision.changes is Changes.PODS:
            assert weights(before) == weights(after), revision.name
            assert shadows(before) == shadows(after), revision.name
        else:
            assert kinds <= TRAFFIC, (revision.name, kinds)


def test_a_weight_touches_no_pod_template(whole: tuple[list[Revision], list[Objects]]) -> None:
    revisions, states = whole
    for revision, (before, after) in zip(revisions, pairwise(states), strict=True):
        for track in ("stable", "canary"):
            templates = [
                each[("Deployment", f"battle-{track}")]["spec"]["template"] if ("Deployment", f"battle-{track}") in each
                else None
                for each in (before, after)
            ]  # fmt: skip
            starts = revision.name.startswith("canary up") or revision.name == "canary gone"
            rolls = revision.name == "stable takes the new image"
            allowed = (track == "canary" and starts) or (track == "stable" and rolls)
            assert allowed or templates[0] == templates[1], (revision.name, track)


def test_the_end_is_the_beginning_with_another_image(
    whole: tuple[list[Revision], list[Objects]], tmp_path: Path
) -> None:
    wanted = rendered(merged(BEFORE, {"image": {"tag": "v2"}}), tmp_path)
    assert whole[1][-1] == wanted


def test_the_weights_are_those_of_the_plan(whole: tuple[list[Revision], list[Objects]]) -> None:
    for revision, after in zip(whole[0], whole[1][1:], strict=True):
        found = weights(after)
        assert {canary for _, canary in found} == {revision.weight}
        assert all(stable == 100 - canary for stable, canary in found)


def weights(objects: Objects) -> set[tuple[int, int]]:
    """Weight of stable and of the canary, of every rule."""
    (route,) = [each for (kind, _), each in objects.items() if kind == "HTTPRoute"]
    found = set()
    for rule in route["spec"]["rules"]:
        by_name = {each["name"]: each["weight"] for each in rule["backendRefs"]}
        found.add((by_name["battle-stable"], by_name.get("battle-canary", 0)))
    return found


def shadows(objects: Objects) -> float:
    """Share that is copied."""
    return float(json.loads(objects["ConfigMap", "battle-shadow"]["data"]["shadow.json"])["share"])
