"""A name such as 123, 1e3 or on reaches Kubernetes as the string that it is."""

from pathlib import Path

import pytest

from tests.helm import charts, scalars
from tests.helm.charts import Chart, Compared

SETS = [
    pytest.param(tested, values, id=f"{tested.folder.name}-{name}")
    for tested in charts.TESTED
    for name, values in tested.values()
]


@pytest.mark.parametrize(("tested", "values"), SETS)
def test_a_committed_render_holds_strings_where_names_are(tested: Compared, values: Path) -> None:
    manifests = scalars.load((tested.golden / values.name).read_text())
    assert manifests
    assert [found for each in manifests for found in scalars.wrong(each, (each["kind"],))] == []


@pytest.mark.parametrize(("tested", "values"), SETS)
@pytest.mark.parametrize("place", [("on", "123"), ("null", "1e3"), ("y", "2026-11-24")], ids="-".join)
def test_release_and_namespace_may_look_like_something_else(
    program: str, tmp_path: Path, tested: Compared, values: Path, place: tuple[str, str]
) -> None:
    release, namespace = place
    chart = Chart(program, tmp_path, tested.folder)
    manifests = scalars.load(chart.text(values, release=release, namespace=namespace))
    assert {each["metadata"]["namespace"] for each in manifests} == {namespace}
    assert [found for each in manifests for found in scalars.wrong(each, (each["kind"],))] == []


@pytest.mark.parametrize("tested", charts.TESTED, ids=lambda tested: tested.folder.name)
def test_one_set_of_values_is_made_of_such_names(tested: Compared) -> None:
    assert charts.NUMBERS in {name for name, _ in tested.values()}
    first, *_ = scalars.load((tested.golden / f"{charts.NUMBERS}.yaml").read_text())
    assert first["metadata"]["namespace"] == "123"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("metadata: {name: 'on', labels: {a: '1'}}", []),
        ("metadata: {name: on}", ["metadata.name is True"]),
        ("metadata: {name: 1e3}", ["metadata.name is ('1e3',)"]),
        ("metadata: {namespace: 123}", ["metadata.namespace is 123"]),
        ("metadata: {labels: {port: 1}}", ["metadata.labels.port is 1"]),
        ("metadata: {annotations: {1: a}}", ["metadata.annotations has the key 1"]),
        ("metadata: {annotations: }", ["metadata.annotations is None"]),
        ("args: [a, '--table=a:']", []),
        ("args:\n  - --table=a:", ["args.--table=a is None"]),
        ("env: [{name: A, value: 0o17}]", ["env.value is ('0o17',)"]),
        ("secretKeyRef: {name: y, key: '1'}", ["secretKeyRef.name is ('y',)"]),
        ("spec: {replicas: 1, ports: [{port: 80}, {port: http}]}", []),
    ],
)
def test_the_walk_finds_what_it_is_for(text: str, places: list[str]) -> None:
    (manifest,) = scalars.load(text)
    assert list(scalars.wrong(manifest)) == places
