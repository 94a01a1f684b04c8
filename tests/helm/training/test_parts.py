"""The server, and what all pods share: names, security, policies, notes."""

import contextlib
import fnmatch
import itertools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helm import charts
from tests.helm.charts import TESTED, Chart, Manifest, Values, with_image
from tests.helm.test_names import LABEL, LONGEST, labels, names

SETS = TESTED[1].sets
EVERY = [name for name, _ in TESTED[1].values()]


def of(kind: str, name: str, manifests: list[Manifest]) -> Manifest:
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """Each template of a pod, with the labels it has."""
    found = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if manifest["kind"] == "Pod":
            found.append(manifest)
        elif "template" in spec:
            found.append(spec["template"])
    return found


def server(chart: Chart, *values: Values | Path) -> dict[str, Any]:
    spec = chart.one("Deployment", *values)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return {**container, "first": spec["initContainers"], "volumes": spec["volumes"]}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


@pytest.mark.parametrize("values", EVERY)
def test_every_pod_is_what_pod_security_restricted_asks(training: Chart, values: str) -> None:
    every = pods(training.manifests(SETS / f"{values}.yaml"))
    assert every
    for pod in every:
        charts.hardened(pod["spec"])
        assert pod["spec"]["securityContext"]["fsGroup"] > 0
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108  (in the pod)


def test_every_pod_runs_where_it_is_told_to(training: Chart) -> None:
    given = {"priorityClassName": "123", "training": {"source": {"existingSecret": ""}}}
    every = pods(training.manifests(SETS / "database.yaml", SETS / "shards.yaml", given))
    assert len(every) == 5
    for pod in every:
        assert pod["spec"]["priorityClassName"] == "123"
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert pod["spec"]["tolerations"] == [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}]
        assert pod["spec"]["securityContext"]["runAsUser"] == pod["spec"]["securityContext"]["fsGroup"] == 1000
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("values", EVERY)
def test_no_account_has_a_token_or_a_right(training: Chart, values: str) -> None:
    manifests = training.manifests(SETS / f"{values}.yaml")
    accounts = [each for each in manifests if each["kind"] == "ServiceAccount"]
    assert all(each["automountServiceAccountToken"] is False for each in accounts)
    assert {pod["spec"]["serviceAccountName"] for pod in pods(manifests)} == {
        each["metadata"]["name"] for each in accounts
    }
    assert not {each["kind"] for each in manifests} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def test_names_are_valid_for_the_longest_release_name(training: Chart) -> None:
    manifests = training.manifests(SETS / "shards.yaml", release=LONGEST)
    for kind, name in names(manifests):
        assert LABEL.fullmatch(name), (kind, name)
        # A CronJob's name gets a time; a pod of an Indexed Job has its Job's name, a dash and its number as host name.
        assert len(name) <= {"CronJob": 52, "Job": 57}.get(kind, 63) or name.endswith("-train-1")
    for value in itertools.chain.from_iterable(each.values() for each in labels(manifests, "labels")):
        assert len(value) <= 63
    other = names(training.manifests(SETS / "shards.yaml", release=f"{LONGEST[:-1]}b"))
    assert not names(manifests) & other


@pytest.mark.parametrize("other", ["battle-mlflow", "battle-train", "battle-shards", "battle-test", "duel"])
def test_two_releases_in_one_namespace_share_nothing(training: Chart, other: str) -> None:
    first, second = (training.manifests(SETS / "shards.yaml", release=release) for release in ("battle", other))
    assert names(first).isdisjoint(names(second))
    for manifest, pod in itertools.product(second, pods(first)):
        plain = [manifest["spec"]["selector"]] if manifest["kind"] == "Service" else []
        for wanted in [*labels(manifest, "matchLabels"), *plain]:
            assert not wanted.items() <= pod["metadata"]["labels"].items(), manifest["kind"]


def test_a_selector_finds_one_component(training: Chart) -> None:
    manifests = training.manifests(SETS / "shards.yaml")
    every = pods(manifests)
    assert len(every) == 5
    service = of("Service", "battle-mlflow", manifests)["spec"]["selector"]
    matching = [pod for pod in every if service.items() <= pod["metadata"]["labels"].items()]
    assert [pod["spec"]["containers"][0]["name"] for pod in matching] == ["mlflow"]


@pytest.mark.parametrize("values", EVERY)
def test_every_object_has_the_recommended_labels(training: Chart, values: str) -> None:
    wanted = {"name", "instance", "version", "component", "part-of", "managed-by"}
    for manifest in training.manifests(SETS / f"{values}.yaml"):
        assert {f"app.kubernetes.io/{word}" for word in wanted} <= set(manifest["metadata"]["labels"])
        assert manifest["metadata"]["namespace"] == "models"
    for pod in pods(training.manifests(SETS / "minimal.yaml")):
        assert "helm.sh/chart" not in pod["metadata"]["labels"] or pod.get("kind") == "Pod"


def test_one_server_at_a_time_makes_its_tables_first(training: Chart) -> None:
    spec = training.one("Deployment", with_image())["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    found = server(training, with_image())
    (tables,) = found["first"]
    assert environment(tables) == environment(found)
    assert found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"] >= 180
    assert {found[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")} == {"/health"}
    assert spec["progressDeadlineSeconds"] > 180


def secret(container: dict[str, Any]) -> set[str]:
    """Variables of a container that come from a Secret."""
    return {each["name"] for each in container["env"] if "secretKeyRef" in each.get("valueFrom", {})}


@pytest.mark.parametrize("values", EVERY)
def test_no_argument_holds_what_is_in_a_secret(training: Chart, values: str) -> None:
    every = [
        container
        for pod in pods(training.manifests(SETS / f"{values}.yaml"))
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    ]
    assert bool(set().union(*map(secret, every))) is (values in {"database", "external", "numbers"})
    for container in every:
        words = [*container.get("command", []), *container.get("args", [])]
        assert [word for word in words if any(f"$({name})" in word for name in secret(container))] == []


def test_tables_are_made_where_the_server_looks(training: Chart, tmp_path: Path) -> None:
    (tables,) = server(training, with_image())["first"]
    program, *arguments = tables["command"]
    assert (program, arguments) == ("python", ["-c"])
    path = tmp_path / "mlflow.db"
    environment = {"PATH": os.environ["PATH"], "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{path}"}
    words = [sys.executable, *arguments, *tables["args"]]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_mlflow_takes_its_options(training: Chart) -> None:
    from mlflow.cli import server as command

    taken = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for values in ("minimal", "database", "numbers"):
        arguments = server(training, SETS / f"{values}.yaml")["args"]
        assert {argument.partition("=")[0] for argument in arguments} <= taken


def test_by_default_a_volume_keeps_everything(training: Chart) -> None:
    found = server(training, with_image())
    assert environment(found)["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////mlflow/mlflow.db"
    assert "--artifacts-destination=/mlflow/artifacts" in found["args"]
    assert {"name": "mlflow", "mountPath": "/mlflow"} in found["volumeMounts"]
    assert training.one("PersistentVolumeClaim", with_image())["spec"]["accessModes"] == ["ReadWriteOnce"]


@pytest.mark.parametrize("part", ["database", "s3"])
def test_one_of_database_and_bucket_still_needs_the_volume(training: Chart, part: str) -> None:
    given = {"database": {"existingSecret": "uri"}, "s3": {"bucket": "models"}}
    assert training.one("PersistentVolumeClaim", with_image(mlflow={part: given[part]}))


def test_database_and_bucket_take_the_volume_s_place(training: Chart) -> None:
    found = server(training, SETS / "database.yaml")
    said = environment(found)
    assert said["MLFLOW_BACKEND_STORE_URI"] == {"secretKeyRef": {"name": "mlflow-database", "key": "uri"}}
    assert said["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "mlflow-bucket", "key": "AWS_SECRET_ACCESS_KEY"}}
    assert said["MLFLOW_S3_ENDPOINT_URL"] == "http://minio.storage:9000"
    assert "--artifacts-destination=s3://models/mlflow" in found["args"]
    assert [next(iter(each.keys() - {"name"})) for each in found["volumes"]] == ["emptyDir"]
    kinds = {each["kind"] for each in training.manifests(SETS / "database.yaml")}
    assert not kinds & {"PersistentVolumeClaim", "Secret"}


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("battle-mlflow:5000", True),
        ("battle-mlflow.models.svc", True),
        ("battle-mlflow.models.svc:5000", True),
        ("127.0.0.1:38211", True),
        ("a.mlflow.example:8080", True),
        ("mlflow.example", True),
        ("mlflow.example:8080", False),
        ("rebound.example", False),
        ("10.0.0.1", False),
    ],
)
def test_a_host_header_is_one_of_the_server_s_names(training: Chart, host: str, known: bool) -> None:
    allowed = environment(server(training, SETS / "database.yaml"))["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert any(fnmatch.fnmatch(host, each) for each in allowed) is known


@pytest.mark.parametrize("values", EVERY)
def test_jobs_and_test_ask_the_service_or_the_other_server(training: Chart, values: str) -> None:
    manifests = training.manifests(SETS / f"{values}.yaml")
    asking = [
        environment(pod["spec"]["containers"][0])
        for pod in pods(manifests)
        if pod["spec"]["containers"][0]["name"] in {"training", "ask"}
    ]
    assert asking
    uri = "https://mlflow.example/team" if values == "external" else "http://battle-mlflow.models.svc:5000"
    assert {each["MLFLOW_TRACKING_URI"] for each in asking} == {uri}
    assert all(each["MLFLOW_DISABLE_TELEMETRY"] == "true" for each in asking)
    assert ("Deployment" in {each["kind"] for each in manifests}) is (values != "external")


def test_another_server_s_password_comes_from_its_secret(training: Chart) -> None:
    (pod,) = pods(training.manifests(SETS / "external.yaml"))
    said = environment(pod["spec"]["containers"][0])
    for name in ("username", "password"):
        secret = {"secretKeyRef": {"name": "mlflow-login", "key": name}}
        assert said[f"MLFLOW_TRACKING_{name.upper()}"] == secret


def test_the_release_s_pods_alone_reach_the_server(training: Chart) -> None:
    manifests = training.manifests(SETS / "shards.yaml")
    policy = of("NetworkPolicy", "battle-mlflow", manifests)["spec"]
    (rule,) = policy["ingress"]
    assert [each["port"] for each in rule["ports"]] == [5000]
    peers = [each["podSelector"]["matchLabels"] for each in rule["from"]]
    reaching = {
        pod["spec"]["containers"][0]["name"]
        for pod, peer in itertools.product(pods(manifests), peers)
        if peer.items() <= pod["metadata"]["labels"].items()
    }
    assert reaching == {"training", "ask"}
    assert policy["egress"] == []
    assert of("NetworkPolicy", "battle-shards", manifests)["spec"]["egress"] == []


DNS = [53, 53, 5353, 5353]


def ports(policy: Manifest) -> list[int]:
    return [each["port"] for rule in policy["spec"]["egress"] for each in rule["ports"]]


def test_ports_that_are_needed_are_open(training: Chart) -> None:
    manifests = training.manifests(SETS / "database.yaml")
    assert ports(of("NetworkPolicy", "battle-mlflow", manifests)) == [*DNS, 6432, 9000]
    assert ports(of("NetworkPolicy", "battle-training", manifests)) == [*DNS, 5000, 5432]
    peers = of("NetworkPolicy", "battle-mlflow", manifests)["spec"]["ingress"][0]["from"]
    assert peers[-2:] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ci"}}},
        {"ipBlock": {"cidr": "10.1.0.0/16"}},
    ]
    (policy,) = (each for each in training.manifests(SETS / "external.yaml") if each["kind"] == "NetworkPolicy")
    assert ports(policy) == [*DNS, 443]
    plain = with_image(mlflow={"s3": {"bucket": "models"}})
    assert ports(of("NetworkPolicy", "battle-mlflow", training.manifests(plain))) == [*DNS, 443]


def test_other_ports_are_values(training: Chart) -> None:
    given = {"networkPolicy": {"dns": {"ports": [1053]}, "mlflowPorts": [6433, 9000], "trainingPorts": [15432]}}
    manifests = training.manifests(SETS / "database.yaml", given)
    assert ports(of("NetworkPolicy", "battle-mlflow", manifests)) == [1053, 1053, 6432, 9000, 6433]
    assert ports(of("NetworkPolicy", "battle-training", manifests)) == [1053, 1053, 5000, 15432]


def test_notes_name_what_is_there(training: Chart) -> None:
    said = training.notes(with_image())
    there = names(training.manifests(with_image()))
    assert "kubectl port-forward service/battle-mlflow 5000 --namespace models\n" in said
    assert ("Service", "battle-mlflow") in there
    assert "--from=cronjob/battle-train --namespace models\n" in said
    assert ("CronJob", "battle-train") in there
    assert "helm test battle --namespace models\n" in said
    for part in ("training.suspend", "networkPolicy.clients", "mlflow.database", "mlflow.s3", "shards"):
        assert f"\n- {part}: " in said


def test_notes_say_nothing_of_what_is_on_or_not_there(training: Chart) -> None:
    said = training.notes(SETS / "database.yaml")
    for part in ("training.suspend", "networkPolicy", "mlflow"):
        assert f"\n- {part}" not in said
    closed = training.notes(SETS / "database.yaml", {"networkPolicy": {"trainingPorts": []}})
    assert "- networkPolicy.trainingPorts: training may call no database" in closed
    said = training.notes(SETS / "external.yaml")
    assert "port-forward" not in said
    assert "helm test" not in said
    assert "MLflow is https://mlflow.example/team, which is not this release's." in said


def test_notes_say_what_trains_again(training: Chart) -> None:
    said = "This revision trains at once (training.onInstall), and so does each upgrade and each helm rollback."
    assert said in training.notes(SETS / "shards.yaml")
    assert said not in training.notes(SETS / "minimal.yaml")


def test_helm_lint_has_nothing_to_say(training: Chart) -> None:
    for _, values in charts.TESTED[1].values():
        done = training.run("lint", "--strict", training.folder, "--values", values)
        assert done.returncode == 0, done.stdout
        assert "[WARNING]" not in done.stdout
