"""What the pods are, and what starts them anew."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.admin import Admin
from bentos.settings import Settings, variables
from tests.helm import charts
from tests.helm.charts import CHART, SETS, Chart, Manifest, Values, with_image

DIGEST = f"sha256:{'a' * 64}"


def pod(chart: Chart, *values: Values | Path) -> Manifest:
    found: Manifest = chart.one("Deployment", *(values or (with_image(),)))["spec"]["template"]
    return found


def server(chart: Chart, *values: Values | Path) -> dict[str, Any]:
    (container,) = pod(chart, *values)["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def environment(chart: Chart, *values: Values | Path) -> dict[str, str]:
    return {each["name"]: each.get("value") for each in server(chart, *values)["env"]}


@pytest.mark.parametrize("values", ["minimal", "keys"])
@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_every_pod_is_what_pod_security_restricted_asks(chart: Chart, kind: str, values: str) -> None:
    manifest = chart.one(kind, SETS / f"{values}.yaml")
    spec = manifest["spec"]["template"]["spec"] if kind == "Deployment" else manifest["spec"]
    charts.hardened(spec)
    assert "initContainers" not in spec


def test_the_service_account_has_no_token(chart: Chart) -> None:
    account = chart.one("ServiceAccount", with_image())
    assert account["automountServiceAccountToken"] is False
    assert pod(chart)["spec"]["serviceAccountName"] == account["metadata"]["name"]


def test_the_autoscaler_alone_says_how_many_pods(chart: Chart) -> None:
    manifests = chart.manifests(with_image(autoscaling={"min": 4, "max": 4}))
    deployment, scaler = (
        next(each for each in manifests if each["kind"] == kind) for kind in ("Deployment", "HorizontalPodAutoscaler")
    )
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (4, 4)
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({"tag": "v1"}, "localhost/battle:v1"),
        ({"digest": DIGEST}, f"localhost/battle@{DIGEST}"),
        ({"tag": "v1", "digest": DIGEST}, f"localhost/battle@{DIGEST}"),
    ],
)
def test_a_digest_wins_over_a_tag(chart: Chart, image: dict[str, str], reference: str) -> None:
    values = {"image": {"repository": "localhost/battle", **image}}
    assert server(chart, values)["image"] == reference
    (tester,) = chart.one("Pod", values)["spec"]["containers"]
    assert tester["image"] == reference


def test_probes_ask_what_the_admin_door_answers_and_differ(chart: Chart) -> None:
    container = server(chart)
    probes = {name: container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    routes = set(re.findall(r'"(/\w+)": self\._', Path(Admin.__init__.__code__.co_filename).read_text()))
    assert {probe["httpGet"]["path"] for probe in probes.values()} == {"/readyz", "/livez"} <= routes
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {"admin"}
    budgets = {name: probe["periodSeconds"] * probe["failureThreshold"] for name, probe in probes.items()}
    assert budgets["readiness"] < budgets["liveness"] < budgets["startup"]


def test_ports_are_those_that_the_server_listens_on(chart: Chart) -> None:
    settings = Settings.model_construct()
    wanted = {"http": settings.http.port, "grpc": settings.grpc.port, "admin": settings.admin.port}
    assert {each["name"]: each["containerPort"] for each in server(chart)["ports"]} == wanted
    services = [each for each in chart.manifests(with_image()) if each["kind"] == "Service"]
    ports = {each["name"]: each for service in services for each in service["spec"]["ports"]}
    assert {name: each["port"] for name, each in ports.items()} == wanted
    assert ports["grpc"]["appProtocol"] == "kubernetes.io/h2c"
    assert {"http", "grpc"} == {each["name"] for service in services[1:] for each in service["spec"]["ports"]}


@pytest.mark.parametrize("values", ["minimal", "keys"])
def test_every_variable_is_one_that_the_server_reads(chart: Chart, values: str) -> None:
    ours = {name for name in environment(chart, SETS / f"{values}.yaml") if name.startswith("PDX_")}
    assert ours
    assert ours <= set(variables())


def test_settings_reach_the_environment_as_they_were_meant(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PDX_HTTP_BODY_BYTES": 2**20, "PDX_STOP_DRAIN_SECONDS": 7.5, "PDX_LOG_LEVEL": "debug"}
    for name, value in environment(chart, with_image(settings=given)).items():
        monkeypatch.setenv(name, value)
    read = Settings.read()
    assert (read.http.body_bytes, read.stop.drain_seconds, read.log.level) == (2**20, 7.5, "debug")


def test_settings_that_the_chart_lists_are_the_servers_defaults() -> None:
    settings = Settings.model_construct()
    listed = yaml.safe_load((CHART / "values.yaml").read_text())["settings"]
    assert listed == {
        "PDX_STOP_DRAIN_SECONDS": settings.stop.drain_seconds,
        "PDX_STOP_FINISH_SECONDS": settings.stop.finish_seconds,
    }


@pytest.mark.parametrize(
    ("drain", "finish", "given", "seconds"), [(5, 20, 0, 30), (7.5, 20, 0, 33), (0, 0, 0, 5), (5, 20, 30, 30)]
)
def test_the_grace_period_holds_the_whole_stop(
    chart: Chart, drain: float, finish: float, given: int, seconds: int
) -> None:
    values = with_image(
        settings={"PDX_STOP_DRAIN_SECONDS": drain, "PDX_STOP_FINISH_SECONDS": finish},
        terminationGracePeriodSeconds=given,
    )
    assert pod(chart, values)["spec"]["terminationGracePeriodSeconds"] == seconds


@pytest.mark.parametrize(
    "values",
    [
        {"autoscaling": {"min": 1, "max": 9}},
        {"slo": {"latency": {"threshold": 1}, "canary": {"errors": 1}}},
        {"route": {"enabled": True, "parentRefs": [{"name": "gateway"}]}},
        {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
        {"networkPolicy": {"gateway": {"cidrs": ["10.0.0.0/8"]}}},
        {"rollout": {"maxSurge": 2}},
        {"test": {"enabled": False}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_no_pod_reads_restarts_none(chart: Chart, values: Values) -> None:
    assert pod(chart, with_image(**values)) == pod(chart)


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"repository": "localhost/battle", "tag": "v2"}},
        {"settings": {"PDX_LIMIT_ROWS": 1}},
        {"auth": {"existingSecret": "callers"}},
        {"otlp": {"endpoint": "http://collector:4318"}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_a_pod_reads_at_its_start_is_in_its_template(chart: Chart, values: Values) -> None:
    assert pod(chart, with_image(**values)) != pod(chart)


def test_the_charts_version_restarts_no_pod(chart: Chart) -> None:
    assert "helm.sh/chart" not in pod(chart)["metadata"]["labels"]


def test_keys_are_files_of_secrets_that_exist(chart: Chart) -> None:
    spec = pod(chart, SETS / "keys.yaml")["spec"]
    variable = environment(chart, SETS / "keys.yaml")
    mounts = {each["name"]: each for each in spec["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each["secret"] for each in spec["volumes"] if "secret" in each}
    for group, name, key in (("auth", "callers", "keys"), ("ids", "signing", "ids")):
        (item,) = volumes[group]["items"]
        assert (volumes[group]["secretName"], item["key"]) == (name, key)
        assert volumes[group]["defaultMode"] == 0o444
        assert variable[f"PDX_{group.upper()}_KEYS_FILE"] == f"{mounts[group]['mountPath']}/{item['path']}"
        assert "subPath" not in mounts[group]
    assert "Secret" not in {each["kind"] for each in chart.manifests(SETS / "keys.yaml")}
