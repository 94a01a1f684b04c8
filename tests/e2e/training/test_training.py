"""helm/training on a real cluster: duels, training and gate in pods, on a real PostgreSQL and a real S3 store."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from k8s.local.paths import ROOT
from tests import commands
from tests.commands import Pdx
from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Image
from tests.e2e.training import bucket, database
from tests.e2e.training.jobs import Release
from tests.monitoring.runbooks.printed import retraining

SHARDS = {"training": {"source": {"shards": True}}}
ENOUGH = {"training": {"rows": 60_000}}
"""Duels for a model that the gate's floors let pass."""
RUNBOOK = ROOT / "monitoring/runbooks/ModelInputDrift.md"
RETRAINED = "battle-train-now"
"""The Job that its commands make of the release."""
pytestmark = pytest.mark.usefixtures("space")


@pytest.fixture(scope="module")
def pdx(tmp_path_factory: pytest.TempPathFactory) -> Pdx:
    """The command on this machine, as CI has it."""
    return commands.process(tmp_path_factory.mktemp("home"))


def test_install_brings_a_server_and_makes_its_tables(with_database: Release, measured: Measured) -> None:
    done = with_database.install()
    measured(f"helm install --wait took {done.seconds:.1f} s")
    assert database.ask(with_database.space, "SELECT count(*) FROM alembic_version") == "1"
    tested = with_database.space.helm("test", with_database.name, "--logs")
    assert f"http://battle-mlflow.{with_database.space.name}.svc:5000 is healthy: OK" in tested.stdout
    assert "The registry has no model yet" in tested.stdout


@pytest.mark.node
def test_shards_of_pods_are_those_of_one_machine(with_database: Release, pdx: Pdx, tmp_path: Path) -> None:
    job = with_database.shards()
    assert with_database.ended(job)["type"] == "Complete"
    assert len({pod["spec"]["hostname"] for pod in with_database.pods(job)}) == 2
    pdx("dataset", "generate", "--shards", "2", "--rows", "1500", "--out", str(tmp_path))
    here = pdx("dataset", "check", str(tmp_path)).stdout.splitlines()[-1]
    there = with_database.asked_by_pod(job, "dataset", "check", "/pdx/shards").splitlines()[-1]
    assert " of 3,000 rows can be used; digest " in here
    assert there == here


def test_a_no_of_the_gate_is_a_result_and_not_tried_again(with_database: Release) -> None:
    with_database.upgrade(SHARDS)
    ended = with_database.train("refused")
    assert (ended["type"], ended["reason"]) == ("Failed", "PodFailurePolicy")
    assert "exit code 3 matching FailJob" in ended["message"]
    number, verdict = with_database.newest()
    assert verdict["passed"] is False
    (reason,) = verdict["reasons"]
    assert reason.startswith("error of win probability: 0.0")
    # One pod: a retry would have been another.
    assert with_database.last_words("refused") == [f"No: version {number} fails on error of win probability."]


def test_no_process_shows_a_password(with_database: Release) -> None:
    space = with_database.space
    look = "import pathlib; print(*(each.read_text() for each in pathlib.Path('/proc').glob('[0-9]*/cmdline')))"
    said = space.kubectl("exec", f"deployment/{with_database.name}-mlflow", "--", "python", "-c", look)
    assert "mlflow.server.fastapi_app:app" in said
    for secret in (database.SECRET, bucket.SECRET):
        for value in space.get("secret", secret)["data"].values():
            assert base64.b64decode(value).decode() not in said


def test_shards_that_are_there_are_not_played_again(with_database: Release) -> None:
    before = with_database.shards()
    with_database.upgrade(SHARDS, {"shards": {"backoffLimit": 3}})
    after = with_database.shards()
    assert after != before
    assert with_database.ended(after)["type"] == "Complete"
    said = [with_database.space.logs(pod["metadata"]["name"]) for pod in with_database.pods(after)]
    assert said == ["All 1 shards are in /pdx/shards already.\n"] * 2


def test_a_runbook_retrains_to_a_judged_version_and_promotes_nothing(
    with_database: Release, measured: Measured
) -> None:
    with_database.upgrade(ENOUGH)
    *start, _ = retraining(RUNBOOK).splitlines()
    said = with_database.typed("\n".join(start)).splitlines()
    assert said[-1] == "Yes: version 2 may be promoted (pdx promote 2)."
    assert with_database.ended(RETRAINED)["type"] == "Complete", with_database.last_words(RETRAINED)
    number, verdict = with_database.newest()
    assert (number, verdict["passed"], verdict["reasons"]) == ("2", True, [])
    assert with_database.last_words(RETRAINED) == said[-1:]
    assert with_database.champion() is None
    assert database.ask(with_database.space, "SELECT max(version) FROM model_versions") == "2"
    job = with_database.space.get("job", RETRAINED)["status"]
    measured(f"dataset to verdict from {job['startTime']} to {job['completionTime']}")


def test_artifacts_are_in_the_bucket_and_reach_who_has_no_key_of_it(
    with_database: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # By itself MLflow's client takes the URLs of the store that the server offers, and the store is in the cluster.
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    with with_database.forwarded() as uri:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_run(client.get_model_version("battle", "2").run_id or "").info
        served = Path(client.download_artifacts(found.run_id, "", str(tmp_path)))
    assert found.artifact_uri == f"mlflow-artifacts:/{found.experiment_id}/{found.run_id}/artifacts"
    place = f"mlflow/{found.experiment_id}/{found.run_id}/artifacts/"
    files = {str(each.relative_to(served)): each.stat().st_size for each in served.rglob("*") if each.is_file()}
    assert {"gate.json", "export/model.onnx"} <= files.keys()
    assert bucket.objects(with_database.space, place) == files
    assert bucket.read(with_database.space, f"{place}gate.json") == (served / "gate.json").read_bytes()
    (pod,) = with_database.pods(RETRAINED)
    assert not [each for each in pod["spec"]["containers"][0]["env"] if each["name"].startswith("AWS_")]


def test_a_runbook_clears_the_name_for_the_next_time(with_database: Release) -> None:
    *_, clear = retraining(RUNBOOK).splitlines()
    with_database.typed(clear)
    assert RETRAINED not in {job["metadata"]["name"] for job in with_database.space.items("jobs")}


def test_a_source_that_is_wrong_fails_and_stays_with_its_sentence(with_database: Release) -> None:
    source = {"existingSecret": database.SECRET}
    given = {"training": {"source": source, "backoffLimit": 1}, "networkPolicy": {"trainingPorts": [5432]}}
    with_database.upgrade(given)
    ended = with_database.train("wrong")
    assert (ended["type"], ended["reason"]) == ("Failed", "BackoffLimitExceeded")
    sentence = "postgresql+psycopg://database:5432/postgres has no table named duels."
    assert with_database.last_words("wrong") == [sentence] * 2
    described = with_database.space.kubectl("describe", "pods", "--selector", "batch.kubernetes.io/job-name=wrong")
    assert described.count(sentence) == 2
    assert with_database.newest()[0] == "2"
    # The refused one as well: the schedule's next runs keep as many as the value says.
    assert {"refused", "wrong"} <= {job["metadata"]["name"] for job in with_database.space.items("jobs")}


def test_ci_promotes_and_bundles_from_the_registry(with_database: Release, pdx: Pdx, tmp_path: Path) -> None:
    with with_database.forwarded() as uri:
        where = ("--tracking-uri", uri)
        assert "Version 2 is the champion now." in pdx("promote", "2", *where).stdout
        assert "The gate said no to version 1" in pdx("promote", "1", *where, status=2).stderr
        pdx("bundle", "--out", str(tmp_path / "bundle"), *where)
    assert (tmp_path / "bundle/model.onnx").is_file()
    assert with_database.champion() == "2"


def test_no_other_web_page_can_speak_for_a_browser(with_database: Release) -> None:
    with with_database.forwarded() as uri:
        url = f"{uri}/api/2.0/mlflow/registered-models/search"
        command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url]
        statuses = [
            subprocess.run([*command, "--header", f"Host: {host}"], check=True, capture_output=True, text=True).stdout
            for host in ("rebound.example", "battle-mlflow", f"battle-mlflow.{with_database.space.name}.svc:5000")
        ]
    assert statuses == ["403", "200", "200"]


def test_uninstall_leaves_the_volume_alone(with_database: Release) -> None:
    space = with_database.space
    space.helm("uninstall", with_database.name, "--wait")
    selector = f"app.kubernetes.io/instance={with_database.name}"

    def left() -> list[str]:
        kinds = "all,cronjobs,serviceaccounts,secrets,configmaps,networkpolicies,persistentvolumeclaims"
        return [f"{each['kind']} {each['metadata']['name']}" for each in space.items(kinds, "--selector", selector)]

    until("only the volume is left", lambda: left() == ["PersistentVolumeClaim battle-shards"], 90, poll_s=1)


def test_the_defaults_keep_models_and_artifacts_on_a_volume(
    module_space: Namespace, training_image: Image, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    release = Release(module_space, "lite", training_image.values)
    release.install()
    with release.forwarded() as uri:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.create_registered_model("battle")
        run = client.create_run(client.create_experiment("kept")).info
        client.log_text(run.run_id, "kept", "kept.txt")
    assert run.artifact_uri.startswith("mlflow-artifacts:/")
    module_space.kubectl("rollout", "restart", "deployment/lite-mlflow")
    module_space.kubectl("rollout", "status", "deployment/lite-mlflow", "--timeout=180s", timeout_s=200)
    assert release.registry("registered-models/get?name=battle")["registered_model"]["name"] == "battle"
    with release.forwarded() as uri:
        kept = MlflowClient(tracking_uri=uri, registry_uri=uri).download_artifacts(
            run.run_id, "kept.txt", str(tmp_path)
        )
    assert Path(kept).read_text() == "kept"
    assert "The registry has battle: no version" in module_space.helm("test", "lite", "--logs").stdout
