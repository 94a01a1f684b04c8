"""The canary track: what each revision of a rollout changes, and what it leaves alone."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from bentos.settings import Settings
from bentos.shadow import Plan
from tests.helm.charts import CHART, IMAGE, SETS, Chart, Manifest, Values

NEW: Final = {"repository": "localhost/battle", "tag": "v2"}
PARENT: Final = {"name": "gateway", "sectionName": "http"}
ROUTE: Final[Values] = {"enabled": True, "parentRefs": [PARENT]}
SPLIT: Final[Values] = {**ROUTE, "grpc": {"enabled": True, "parentRefs": [{**PARENT, "sectionName": "grpc"}]}}
PARTS: Final[Values] = {
    **IMAGE,
    "autoscaling": {"min": 2, "max": 8},
    "ids": {"existingSecret": "signing"},
    "route": ROUTE,
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
}
PODS, TRAFFIC, COPIES = "who runs", "who gets traffic", "who gets copies"
ROUTES: Final = {"HTTPRoute", "GRPCRoute"}


def canary(weight: int, pods: int = 1, **values: Any) -> Values:
    """Values of a rollout's revision."""
    scaling = {"min": pods, "max": 8}
    ours = {"enabled": True, "image": NEW, "weight": weight, "autoscaling": scaling, "stableMin": 4}
    return {**PARTS, "canary": {**ours, **values}}


def copied(values: Values) -> Values:
    return {**values, "shadow": {"share": 0.1}}


def rolled(values: Values) -> Values:
    return {**values, "image": NEW}


PLAN: Final[list[tuple[str, Values]]] = [
    ("", PARTS),
    (PODS, canary(0)),
    (COPIES, copied(canary(0))),
    (TRAFFIC, copied(canary(1))),
    (TRAFFIC, copied(canary(5))),
    (PODS, copied(canary(5, 2))),
    (TRAFFIC, copied(canary(25, 2))),
    (PODS, copied(canary(25, 3))),
    (TRAFFIC, copied(canary(50, 3))),
    (PODS, copied(canary(50, 4))),
    (TRAFFIC, copied(canary(100, 4))),
    (COPIES, canary(100, 4)),
    (PODS, rolled(canary(100, 4))),
    (TRAFFIC, rolled(canary(0, 4))),
    (PODS, rolled(PARTS)),
]
"""A rollout from its first revision to its last, each with what it changes against the one before."""

Objects = dict[tuple[str, str], Manifest]


def rendered(chart: Chart, values: Values | Path) -> Objects:
    return {(each["kind"], each["metadata"]["name"]): each for each in chart.manifests(values)}


class Revisions:
    """Renders of the plan, each made once."""

    def __init__(self, chart: Chart, route: Values) -> None:
        self._made = [rendered(chart, {**values, "route": route}) for _, values in PLAN]

    def steps(self) -> Iterator[tuple[str, Objects, Objects]]:
        """What each revision changes, with what stood before and what stands then."""
        for (what, _), (before, after) in zip(PLAN[1:], pairwise(self._made), strict=True):
            yield what, before, after


@pytest.fixture(scope="module", params=[ROUTE, SPLIT], ids=["one route", "grpc apart"])
def revisions(program: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Revisions:
    return Revisions(Chart(program, tmp_path_factory.mktemp("values")), request.param)


def users(objects: Objects) -> dict[tuple[str, int], dict[str, int]]:
    """Where users' requests go: the percent of each backend that gets any, by the kind of the route and the port."""
    found = {}
    for (kind, _), route in objects.items():
        for rule in route["spec"]["rules"] if kind in ROUTES else []:
            if not any("headers" in match for match in rule["matches"]):
                (port,) = {each["port"] for each in rule["backendRefs"]}
                weights = {each["name"]: each["weight"] for each in rule["backendRefs"] if each["weight"]}
                assert sum(weights.values()) == 100
                found[kind, port] = weights
    return found


def runs(objects: Objects) -> dict[tuple[str, str], Any]:
    """Who runs: pods, and how many of them."""
    kinds = {
        "Deployment",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Service",
        "NetworkPolicy",
        "ServiceMonitor",
    }
    return {key: each["spec"] for key, each in objects.items() if key[0] in kinds}


def template(objects: Objects, track: str) -> Manifest:
    found: Manifest = objects["Deployment", f"battle-{track}"]["spec"]["template"]
    return found


def changed(before: Objects, after: Objects) -> set[tuple[str, str]]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def rules(objects: Objects) -> dict[str, list[Any]]:
    """Rules by their group, the recorded weight left out."""
    groups = objects["PrometheusRule", "battle"]["spec"]["groups"]
    return {
        group["name"]: [rule for rule in group["rules"] if rule.get("record") != "release:canary:weight"]
        for group in groups
    }


def test_a_revision_changes_who_runs_or_who_gets_traffic_and_never_both(revisions: Revisions) -> None:
    for what, before, after in revisions.steps():
        assert (runs(before) != runs(after)) == (what == PODS), what
        assert (users(before) != users(after)) == (what == TRAFFIC), what


def test_a_weight_moves_the_routes_alone(revisions: Revisions) -> None:
    for what, before, after in revisions.steps():
        if what == TRAFFIC:
            kinds = {kind for kind, _ in changed(before, after)}
            assert kinds - ROUTES == {"PrometheusRule"}
            assert kinds & ROUTES == {kind for kind, _ in after} & ROUTES
            assert rules(before) == rules(after)
        if what == COPIES:
            assert changed(before, after) == {("ConfigMap", "battle-shadow")}


def test_rest_and_grpc_get_the_same_share(revisions: Revisions) -> None:
    for _, _, after in revisions.steps():
        first, second = users(after).values()
        assert first == second


def test_a_step_and_one_back_lead_to_a_track_that_runs_already(revisions: Revisions) -> None:
    for _, before, after in revisions.steps():
        for here, there in ((before, after), (after, before)):
            led = {name for weights in users(here).values() for name in weights}
            assert all(("Service", name) in there and ("Deployment", name) in there for name in led)


def test_a_rollout_restarts_stable_once_and_keeps_its_pods(revisions: Revisions) -> None:
    steps = list(revisions.steps())
    restarts = [after for _, before, after in steps if template(before, "stable") != template(after, "stable")]
    assert len(restarts) == 1
    assert users(restarts[0])["HTTPRoute", 3000] == {"battle-canary": 100}
    during = [after for _, _, after in steps if ("Deployment", "battle-canary") in after]
    bounds = {each["HorizontalPodAutoscaler", "battle-stable"]["spec"]["minReplicas"] for each in during}
    assert bounds == {4}
    assert len({json.dumps(template(each, "canary"), sort_keys=True) for each in during}) == 1


def test_the_rules_are_the_same_with_a_canary(revisions: Revisions) -> None:
    steps = list(revisions.steps())
    assert all(rules(before) == rules(after) for _, before, after in steps)
    objectives = [
        rule for group in rules(steps[0][2]).values() for rule in group if "slo:sli" in rule.get("record", "")
    ]
    assert objectives
    assert not any("track" in rule["expr"] for rule in objectives)


@pytest.mark.parametrize("weight", [0, 7, 100])
def test_the_weight_is_a_series(chart: Chart, weight: int) -> None:
    groups = chart.one("PrometheusRule", canary(weight))["spec"]["groups"]
    found = [rule for group in groups for rule in group["rules"] if rule.get("record") == "release:canary:weight"]
    assert [rule["expr"] for rule in found] == [f"vector({weight})"]


def test_both_tracks_are_of_one_template(chart: Chart) -> None:
    objects = rendered(chart, SETS / "canary.yaml")
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert {name for found, name in objects if found == kind} >= {"battle-stable", "battle-canary"}
    text = json.dumps(template(objects, "stable")["spec"], sort_keys=True)
    ours, theirs = (template(objects, track)["spec"]["containers"][0]["image"] for track in ("stable", "canary"))
    swapped = text.replace(ours, theirs).replace('"stable"', '"canary"')
    assert json.loads(swapped) == template(objects, "canary")["spec"]
    scaling = objects["HorizontalPodAutoscaler", "battle-canary"]["spec"]
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (2, 12)
    assert scaling["metrics"] == objects["HorizontalPodAutoscaler", "battle-stable"]["spec"]["metrics"]


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ({"tag": "v2"}, "localhost/battle:v2"),
        ({"repository": "localhost/other", "tag": "v2"}, "localhost/other:v2"),
        ({"tag": "v2", "digest": f"sha256:{'a' * 64}"}, f"localhost/battle@sha256:{'a' * 64}"),
    ],
)
def test_the_canarys_image_is_its_own_and_its_repository_stables(
    chart: Chart, given: dict[str, str], reference: str
) -> None:
    digest = {"image": {**IMAGE["image"], "digest": f"sha256:{'b' * 64}"}}
    deployments = [
        each for each in chart.manifests({**canary(0, image=given), **digest}) if each["kind"] == "Deployment"
    ]
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in deployments]
    assert images == [f"localhost/battle@sha256:{'b' * 64}", reference]


@pytest.mark.parametrize(("pinned", "least"), [(0, 2), (1, 2), (5, 5)])
def test_stable_keeps_its_pods_while_a_canary_runs(chart: Chart, pinned: int, least: int) -> None:
    scalers = [
        each for each in chart.manifests(canary(0, stableMin=pinned)) if each["kind"] == "HorizontalPodAutoscaler"
    ]
    assert [each["spec"]["minReplicas"] for each in scalers] == [least, 1]
    assert chart.one("HorizontalPodAutoscaler", {**PARTS, "canary": {"stableMin": pinned}})["spec"]["minReplicas"] == 2


@pytest.mark.parametrize("route", [ROUTE, SPLIT], ids=["one route", "grpc apart"])
@pytest.mark.parametrize("enabled", [False, True])
def test_testers_are_led_by_the_header_and_nobody_else_keeps_it(chart: Chart, route: Values, enabled: bool) -> None:
    header = {"value": "me"}
    values = canary(5, header=header) if enabled else {**PARTS, "canary": {"header": header}}
    found = [each for each in chart.manifests({**values, "route": route}) if each["kind"] in ROUTES]
    every = [rule for each in found for rule in each["spec"]["rules"]]
    testers = [rule for rule in every if any("headers" in match for match in rule["matches"])]
    assert len(testers) * 2 == len(every) == 4
    for rule in testers:
        wanted = [{"type": "Exact", "name": "x-canary", "value": "me"}]
        assert all(match["headers"] == wanted for match in rule["matches"])
        assert [each["name"] for each in rule["backendRefs"]] == ["battle-canary" if enabled else "battle-stable"]
        assert "filters" not in rule
    strips = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-canary"]}}]
    others = [rule for rule in every if rule not in testers]
    assert all(rule["filters"] == strips for rule in others)
    # Each tester's rule asks for the path of one of the others', so that the header alone tells them apart.
    for ours, theirs in zip(testers, others, strict=True):
        paths = [{key: value for key, value in match.items() if key != "headers"} for match in ours["matches"]]
        assert paths == theirs["matches"]
        assert {each["port"] for each in ours["backendRefs"]} == {each["port"] for each in theirs["backendRefs"]}


def test_without_a_value_nobody_chooses(chart: Chart) -> None:
    route = chart.one("HTTPRoute", canary(5))
    assert all(rule.keys() == {"matches", "backendRefs"} for rule in route["spec"]["rules"])
    assert "headers" not in json.dumps(route)


@pytest.mark.parametrize("track", ["stable", "canary"])
def test_the_server_reads_what_the_chart_says_of_its_track(
    chart: Chart, track: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = rendered(chart, SETS / "canary.yaml")
    spec = template(objects, track)["spec"]
    (container,) = spec["containers"]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    settings = Settings.read()
    assert settings.track == track
    assert settings.cohort.header == "tester"
    assert settings.shadow.target == "http://battle-canary:3000"
    assert settings.shadow.file is not None
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "shadow")
    assert mount == {"name": "shadow", "mountPath": str(settings.shadow.file.parent), "readOnly": True}
    (volume,) = (each["configMap"] for each in spec["volumes"] if each["name"] == "shadow")
    data = objects["ConfigMap", volume["name"]]["data"]
    assert list(data) == [settings.shadow.file.name]
    assert Plan.model_validate_json(data["shadow.json"]) == Plan(share=0.05, concurrency=2, timeout_seconds=0.5)


@pytest.mark.parametrize("share", [0, 1, 0.25])
@pytest.mark.parametrize(
    "most", [{"concurrency": 64, "timeoutSeconds": 60}, {"concurrency": 1, "timeoutSeconds": 0.01}]
)
def test_the_server_takes_every_plan_that_the_chart_takes(chart: Chart, share: float, most: Values) -> None:
    data = rendered(chart, {**canary(0), "shadow": {"share": share, **most}})["ConfigMap", "battle-shadow"]["data"]
    plan = Plan.model_validate_json(data["shadow.json"])
    assert (plan.share, plan.concurrency, plan.timeout_seconds) == (share, *most.values())


def test_a_release_without_a_canary_copies_nothing(chart: Chart) -> None:
    data = chart.one("ConfigMap", IMAGE)["data"]
    assert json.loads(data["shadow.json"])["share"] == 0


@pytest.mark.parametrize("collector", ["", "http://collector:4318"])
def test_stable_may_send_copies_to_the_canary_and_nobody_else(chart: Chart, collector: str) -> None:
    def policy(values: Values) -> Manifest:
        found: Manifest = chart.one("NetworkPolicy", {**values, "otlp": {"endpoint": collector}})["spec"]
        return found

    def led(peers: list[Manifest]) -> list[str]:
        return [peer["podSelector"]["matchLabels"]["track"] for peer in peers]

    before, after = policy(PARTS), policy(canary(0))
    (taken,) = (rule for rule in after["ingress"] if rule not in before["ingress"])
    sent = after["egress"][-1]
    assert taken["ports"] == sent["ports"] == [{"port": 3000, "protocol": "TCP"}]
    assert (led(taken["from"]), led(sent["to"])) == (["stable"], ["canary"])
    names, *others = after["egress"][:-1]
    assert {each["port"] for each in names["ports"]} == {53, 5353}
    assert [each["ports"] for each in others] == ([[{"port": 4318, "protocol": "TCP"}]] if collector else [])
    assert before["egress"] == ([names, *others] if collector else [])


def test_notes_say_what_a_canary_gets_and_how_to_take_it_back(program: str, tmp_path: Path) -> None:
    # helm install tells a dry run of no API, so the notes are rendered as a manifest of a copy.
    folder = shutil.copytree(CHART, tmp_path / "serving")
    shutil.copy(folder / "templates/NOTES.txt", folder / "said.txt")
    (folder / "templates/said.yaml").write_text('said: {{ tpl (.Files.Get "said.txt") . | toJson }}')

    def said(values: Values) -> str:
        manifests = Chart(program, tmp_path, folder).manifests(values)
        return next(str(each["said"]) for each in manifests if "said" in each)

    assert "canary" not in said(PARTS)
    notes = said({**canary(7, 3), "ingress": {"enabled": True}})
    assert (
        "A canary runs beside it: localhost/battle:v2 on 3 to 8 pods, which get 7 percent of the requests.\n" in notes
    )
    for command in (
        "kubectl rollout status deployment/battle-canary --namespace models",
        "kubectl canary abort battle --namespace models",
        "helm history battle --namespace models",
    ):
        assert f"\n    {command}\n" in notes
    assert "- shadow: " in notes
    assert "- ingress: it leads to stable alone" in notes
    testers = said({**canary(7, header={"value": "me"}), "shadow": {"share": 0.5}})
    assert "Requests with the header x-canary: me go there whatever the weight." in testers
    assert "- shadow: " not in testers
