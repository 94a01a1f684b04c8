"""Names, labels and selectors."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helm import charts
from tests.helm.charts import SETS, Chart, Manifest, with_image

LONGEST = "a" * 53
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SELECTS = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "track"}
EVERY = [SETS / "gateway.yaml", SETS / "keys.yaml", SETS / "canary.yaml"]


def labels(value: Any, key: str) -> Iterator[dict[str, str]]:
    """Every map under a key, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get(key), dict):
            yield value[key]
        for inner in value.values():
            yield from labels(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from labels(inner, key)


def names(manifests: list[Manifest]) -> set[tuple[str, str]]:
    found = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(found) == len(set(found))
    return set(found)


def test_names_and_labels_are_valid_for_the_longest_release_name(chart: Chart) -> None:
    manifests = chart.manifests(*EVERY, release=LONGEST)
    for kind, name in names(manifests):
        assert LABEL.fullmatch(name), (kind, name)
        assert name.startswith(LONGEST)
    # The labels of series may be of any length.
    objects = [each for each in manifests if each["kind"] != "PrometheusRule"]
    for value in itertools.chain.from_iterable(each.values() for each in labels(objects, "labels")):
        assert len(value) <= 63


@pytest.mark.parametrize(
    "other", ["battle-stable", "battle-canary", "battle-admin", "battle-shadow", "battle-test", "duel"]
)
def test_two_releases_in_one_namespace_share_nothing(chart: Chart, other: str) -> None:
    first, second = (chart.manifests(*EVERY, release=release) for release in ("battle", other))
    assert names(first).isdisjoint(names(second))
    pods = next(each for each in first if each["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]
    for manifest in second:
        selector = manifest["spec"].get("selector") if "spec" in manifest else None
        if selector:
            wanted = selector.get("matchLabels", selector)
            assert not wanted.items() <= pods.items(), manifest["kind"]


def test_selectors_hold_name_instance_and_track_only(chart: Chart) -> None:
    selectors = 0
    for manifest in chart.manifests(*EVERY):
        spec = manifest.get("spec", {})
        found = [*labels(spec, "matchLabels")] if manifest["kind"] != "NetworkPolicy" else []
        found += [spec["selector"]] if manifest["kind"] == "Service" else []
        for each in found:
            assert set(each) <= SELECTS
            assert {"app.kubernetes.io/name", "app.kubernetes.io/instance"} <= set(each)
        selectors += len(found)
    assert selectors >= 6


def test_services_select_the_servers_pods_and_not_the_tests(chart: Chart) -> None:
    manifests = chart.manifests(with_image())
    server = next(each for each in manifests if each["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]
    tester = next(each for each in manifests if each["kind"] == "Pod")["metadata"]["labels"]
    selecting = [each for each in manifests if each["kind"] in {"Service", "NetworkPolicy"}]
    assert len(selecting) == 3
    for manifest in selecting:
        spec = manifest["spec"]
        wanted = spec["podSelector"]["matchLabels"] if "podSelector" in spec else spec["selector"]
        assert wanted.items() <= server.items()
        assert not wanted.items() <= tester.items()


def test_every_object_has_the_recommended_labels(chart: Chart) -> None:
    wanted = {"name", "instance", "component", "part-of", "managed-by"}
    for manifest in chart.manifests(*EVERY):
        assert {f"app.kubernetes.io/{word}" for word in wanted} <= set(manifest["metadata"]["labels"])
        assert manifest["metadata"]["namespace"] == "models"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ({"tag": "v1"}, "v1"),
        ({"tag": f"_{'x' * 61}-.{'y' * 60}"}, "x" * 61),
        ({"tag": "v1", "digest": f"sha256:{'0123456789ab' + 'f' * 52}"}, "sha256-0123456789ab"),
    ],
)
def test_the_version_label_is_that_of_the_image(chart: Chart, image: dict[str, str], version: str) -> None:
    pods = chart.one("Deployment", {"image": {"repository": "localhost/battle", **image}})["spec"]["template"]
    assert pods["metadata"]["labels"]["app.kubernetes.io/version"] == version


def test_helm_lint_has_nothing_to_say(chart: Chart) -> None:
    for _, values in charts.sets():
        done = chart.run("lint", "--strict", charts.CHART, "--values", values)
        assert done.returncode == 0, done.stdout
        assert "[WARNING]" not in done.stdout


def test_the_package_has_no_file_of_a_tool(chart: Chart, tmp_path: Path) -> None:
    import tarfile

    done = chart.run("package", charts.CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("serving-*.tgz")
    with tarfile.open(package) as opened:
        held = {name.removeprefix("serving/").partition("/")[0] for name in opened.getnames()}
    assert held == {
        "Chart.yaml",
        "values.yaml",
        "values.schema.json",
        "dashboards",
        "files",
        "templates",
        ".helmignore",
    }
