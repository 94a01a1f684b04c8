"""The parts around the pods: routes, Ingress, policy, monitoring, notes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests import slo
from tests.helm.charts import CHART, SETS, Chart, Manifest, Values, with_image

DEFAULTS: Values = yaml.safe_load((CHART / "values.yaml").read_text())
OPTIONAL = {"HTTPRoute", "GRPCRoute", "Ingress", "ServiceMonitor", "PrometheusRule"}
NAME = "kubernetes.io/metadata.name"
PARENT = {"name": "gateway", "sectionName": "http"}

OURS = {"podLabels": {"app": "prometheus"}}
POD = {"podSelector": {"matchLabels": {"app": "prometheus"}}}


def backends(route: Manifest) -> list[dict[str, Any]]:
    return [backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]]


def ingress(chart: Chart, *values: Values | Path) -> dict[tuple[int, ...], list[dict[str, Any]] | None]:
    """Who may call which ports, None for everyone; rules of the same ports are joined."""
    found: dict[tuple[int, ...], list[dict[str, Any]] | None] = {}
    for rule in chart.one("NetworkPolicy", *values)["spec"]["ingress"]:
        ports = tuple(each["port"] for each in rule["ports"])
        before = found.get(ports, [])
        found[ports] = None if before is None or "from" not in rule else [*before, *rule["from"]]
    return found


def egress(chart: Chart, values: Values) -> list[tuple[int, str]]:
    """Ports and protocols that pods may call anywhere."""
    policy = chart.one("NetworkPolicy", values)["spec"]
    assert "Egress" in policy["policyTypes"]
    assert all(rule.keys() == {"ports"} for rule in policy["egress"])
    return [(each["port"], each["protocol"]) for rule in policy["egress"] for each in rule["ports"]]


def space(**labels: str) -> Manifest:
    """A peer: all pods of the namespaces that have these labels."""
    return {"namespaceSelector": {"matchLabels": labels}}


def test_a_bare_cluster_gets_no_part_that_it_lacks(chart: Chart) -> None:
    assert not OPTIONAL & {each["kind"] for each in chart.manifests(with_image(), apis=())}


def test_one_route_carries_rest_and_grpc(chart: Chart) -> None:
    route = chart.one("HTTPRoute", SETS / "gateway.yaml")
    grpc, rest = route["spec"]["rules"]
    assert {match["path"]["value"] for match in grpc["matches"]} == {
        "/inference.GRPCInferenceService",
        "/grpc.health.v1.Health",
        "/grpc.reflection.v1.ServerReflection",
        "/grpc.reflection.v1alpha.ServerReflection",
    }
    assert [match["path"]["value"] for match in rest["matches"]] == ["/"]
    assert [backend["port"] for backend in backends(route)] == [3001, 3000]


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_references_are_written_out(chart: Chart, kind: str) -> None:
    manifests = chart.manifests(SETS / "keys.yaml")
    services = {each["metadata"]["name"] for each in manifests if each["kind"] == "Service"}
    route = next(each for each in manifests if each["kind"] == kind)
    for backend in backends(route):
        assert (backend["group"], backend["kind"], backend["weight"]) == ("", "Service", 100)
        assert backend["name"] in services
        assert backend["port"] != 3002
    for parent in route["spec"]["parentRefs"]:
        assert (parent["group"], parent["kind"]) == ("gateway.networking.k8s.io", "Gateway")


def test_grpc_leaves_the_http_route_for_its_own(chart: Chart) -> None:
    assert [each["port"] for each in backends(chart.one("HTTPRoute", SETS / "keys.yaml"))] == [3000]
    assert [each["port"] for each in backends(chart.one("GRPCRoute", SETS / "keys.yaml"))] == [3001]


def test_an_ingress_leads_to_rest_for_every_host(chart: Chart) -> None:
    rules = chart.one("Ingress", SETS / "ingress.yaml")["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["battle.example", "duel.example"]
    assert {rule["http"]["paths"][0]["backend"]["service"]["port"]["name"] for rule in rules} == {"http"}
    (any_host,) = chart.one("Ingress", with_image(ingress={"enabled": True}))["spec"]["rules"]
    assert "host" not in any_host


def test_only_monitoring_reaches_the_admin_port(chart: Chart) -> None:
    peers = ingress(chart, with_image())
    assert peers == {(3000, 3001): None, (3002,): [space(**{NAME: "monitoring"})]}
    assert (3002,) not in ingress(chart, with_image(networkPolicy={"monitoring": {"namespaces": []}}))


@pytest.mark.parametrize(
    ("given", "peers"),
    [
        ({"namespaces": ["watch"]}, [space(**{NAME: "watch"})]),
        ({"namespaces": ["watch", "look"]}, [space(**{NAME: "watch"}), space(**{NAME: "look"})]),
        ({"namespaces": [], "namespaceLabels": {"team": "sre"}}, [space(team="sre")]),
        (
            {"namespaces": ["watch"], "namespaceLabels": {"team": "sre"}, **OURS},
            [{**space(**{NAME: "watch"}), **POD}, {**space(team="sre"), **POD}],
        ),
        ({"namespaces": [], **OURS}, [POD]),
        ({"namespaces": [], "cidrs": ["10.0.0.0/8"]}, [{"ipBlock": {"cidr": "10.0.0.0/8"}}]),
    ],
)
@pytest.mark.parametrize(("side", "ports"), [("monitoring", (3002,)), ("gateway", (3000, 3001))])
def test_who_may_call_is_what_is_given_and_no_default_beside_it(
    chart: Chart, side: str, ports: tuple[int, ...], given: Values, peers: list[Manifest]
) -> None:
    values = with_image(networkPolicy={side: given}, test={"enabled": False})
    assert ingress(chart, values)[ports] == peers


def test_a_named_gateway_and_the_test_are_all_that_may_call(chart: Chart) -> None:
    peers = ingress(chart, SETS / "gateway.yaml")[3000, 3001]
    assert peers is not None
    selected, block, tester = peers
    assert set(selected) == {"namespaceSelector", "podSelector"}
    assert block == {"ipBlock": {"cidr": "10.1.0.0/16"}}
    pod = chart.one("Pod", SETS / "gateway.yaml")
    assert tester["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    without = ingress(chart, SETS / "gateway.yaml", {"test": {"enabled": False}})[3000, 3001]
    assert without == [selected, block]


@pytest.mark.parametrize(
    ("endpoint", "ports"),
    [
        ("http://collector.obs:4318", [4318]),
        ("http://collector", [80]),
        ("https://collector.example/otlp", [443]),
        ("http://[fd00::1]:4318", [4318]),
    ],
)
def test_the_server_may_call_the_collector_and_nobody_else(chart: Chart, endpoint: str, ports: list[int]) -> None:
    dns = [(53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")]
    assert egress(chart, with_image(otlp={"endpoint": endpoint})) == [*dns, *((port, "TCP") for port in ports)]


def test_a_server_without_a_collector_may_call_nobody(chart: Chart) -> None:
    assert egress(chart, with_image(networkPolicy={"otlp": {"ports": [4318]}})) == []


def test_ports_behind_a_service_are_open_beside_the_url_s(chart: Chart) -> None:
    policy = {"dns": {"ports": [1053]}, "otlp": {"ports": [14318, 24318]}}
    found = egress(chart, with_image(otlp={"endpoint": "http://collector"}, networkPolicy=policy))
    assert found == [(1053, "UDP"), (1053, "TCP"), (80, "TCP"), (14318, "TCP"), (24318, "TCP")]


def test_the_monitor_finds_the_admin_port_of_both_tracks(chart: Chart) -> None:
    manifests = chart.manifests(SETS / "gateway.yaml")
    monitor = next(each for each in manifests if each["kind"] == "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = [
        each for each in manifests if each["kind"] == "Service" and wanted <= each["metadata"]["labels"].items()
    ]
    scraped = [each for each in services if endpoint["port"] in {port["name"] for port in each["spec"]["ports"]}]
    (admin,) = scraped
    assert "track" not in admin["spec"]["selector"]
    assert admin["spec"]["publishNotReadyAddresses"] is True
    assert monitor["spec"]["podTargetLabels"] == ["track"]
    for kind in ("ServiceMonitor", "PrometheusRule"):
        found = next(each for each in manifests if each["kind"] == kind)
        assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_every_objective_is_a_series(chart: Chart) -> None:
    changed = {"latency": {"threshold": 0.0005}}
    groups = chart.one("PrometheusRule", with_image(prometheusRule={"enabled": True}, slo=changed))["spec"]["groups"]
    (group,) = (each for each in groups if each["name"] == "battle.objectives")
    recorded = {rule["record"]: rule["expr"] for rule in group["rules"]}
    wanted = {f"slo:{name}:{key}": value for name, part in DEFAULTS["slo"].items() for key, value in part.items()}
    wanted["slo:latency:threshold"] = 0.0005
    assert {name: float(expr.removeprefix("vector(").removesuffix(")")) for name, expr in recorded.items()} == wanted
    assert {frozenset(rule["labels"].items()) for rule in group["rules"]} == {
        frozenset({"namespace": "models", "release": "battle"}.items())
    }


def test_the_load_gate_reads_the_charts_objectives() -> None:
    assert slo.CHART == CHART / "values.yaml"
    read = slo.load(slo.CHART)
    ours = DEFAULTS["slo"]
    assert (read.availability, read.threshold, read.latency) == (
        ours["availability"]["objective"],
        ours["latency"]["threshold"],
        ours["latency"]["objective"],
    )


def test_notes_say_what_is_off_and_name_what_is_there(chart: Chart) -> None:
    said = chart.notes(with_image())
    for part in (
        "route and ingress",
        "serviceMonitor",
        "prometheusRule",
        "networkPolicy.gateway",
        "auth",
        "ids",
        "otlp",
    ):
        assert f"\n- {part}: " in said
    assert "\n    helm test battle --namespace models\n" in said
    services = {each["metadata"]["name"] for each in chart.manifests(with_image()) if each["kind"] == "Service"}
    assert "service/battle-stable " in said
    assert "battle-stable" in services
    assert "rollback" not in said


@pytest.mark.parametrize(("least", "said"), [(1, True), (2, False)])
def test_notes_say_what_a_drain_does_to_a_single_pod(chart: Chart, least: int, said: bool) -> None:
    sentence = (
        "- autoscaling.min: it is 1, and whoever drains the node of a lone pod ends it before the next one is ready."
    )
    assert (sentence in chart.notes(with_image(autoscaling={"min": least}))) is said


def test_notes_say_nothing_of_what_is_on(chart: Chart) -> None:
    keys = {"existingSecret": "keys"}
    said = chart.notes(
        with_image(
            auth=keys,
            ids=keys,
            otlp={"endpoint": "http://collector:4318"},
            ingress={"enabled": True},
            networkPolicy={"gateway": {"cidrs": ["10.0.0.0/8"]}},
        ),
    )
    for part in ("route and ingress", "networkPolicy", "auth", "ids", "otlp"):
        assert f"- {part}" not in said
    assert "- route: the Ingress carries REST alone" in said
    assert "- helm test: callers need an API key, and test.existingSecret names none." in said
    assert "\n    helm test " not in said


def test_a_test_without_a_key_is_not_rendered_where_one_is_asked_for(chart: Chart) -> None:
    kinds = [each["kind"] for each in chart.manifests(with_image(auth={"existingSecret": "callers"}))]
    assert "Deployment" in kinds
    assert "Pod" not in kinds
