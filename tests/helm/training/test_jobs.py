"""The jobs: what they are told, when they run again, and what of them can be read afterwards."""

import inspect
import re
from typing import Any

import pytest
import typer
import yaml

from tests.helm.charts import TESTED, TRAINING, Chart, Manifest, Values, with_image
from tools import values_rules
from training import candidates
from training.cli import app, common

SETS = TESTED[1].sets
DEFAULTS: Values = yaml.safe_load((TRAINING / "values.yaml").read_text())
SHARDS = {"enabled": True, "count": 4, "rows": 1000, "seed": 7}


def container(manifest: Manifest) -> dict[str, Any]:
    spec = manifest["spec"].get("jobTemplate", manifest)["spec"]["template"]["spec"]
    (found,) = spec["containers"]
    return {**found, "volumes": {each["name"]: each for each in spec["volumes"]}}


def environment(found: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in found["env"]}


def command(*path: str) -> Any:
    """A command of pdx, as it is declared."""
    found: Any = typer.main.get_command(app)
    for word in path:
        found = found.commands[word]
    return found


def options(*path: str) -> set[str]:
    """Options that a command takes."""
    return {option for parameter in command(*path).params for option in parameter.opts}


def words(arguments: list[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}


@pytest.mark.parametrize("values", ["minimal", "database", "shards", "external", "numbers"])
def test_training_is_told_what_the_command_takes(training: Chart, values: str) -> None:
    arguments = container(training.one("CronJob", SETS / f"{values}.yaml"))["args"]
    assert arguments[:2] == ["train", "--gate"]
    assert words(arguments) <= options("train")


def test_every_choice_of_training_reaches_the_command(training: Chart) -> None:
    arguments = container(training.one("CronJob", SETS / "database.yaml"))["args"]
    assert arguments == [
        *("train", "--gate", "--table=battle_duels", "--bad=set-aside"),
        *("--rows=500000", "--trials=20", "--folds=5", "--learning-curve", "--seed=20240229"),
    ]
    given = with_image(training={"algorithms": ["xgboost", "random_forest"]})
    arguments = container(training.one("CronJob", given))["args"]
    assert arguments[-3:] == ["--algorithm=xgboost", "--algorithm=random_forest", "--seed=20240229"]


def test_values_say_what_the_trainer_says() -> None:
    assert tuple(candidates.CANDIDATES) == values_rules.CANDIDATES
    assert DEFAULTS["training"]["seed"] == candidates.SEED


def test_a_source_with_a_password_comes_from_its_secret(training: Chart) -> None:
    found = container(training.one("CronJob", SETS / "database.yaml"))
    assert environment(found)["PDX_SOURCE"] == {"secretKeyRef": {"name": "duels", "key": "uri"}}
    (source,) = (each for each in command("train").params if each.name == "source")
    assert source.envvar == "PDX_SOURCE"
    assert "PDX_SOURCE" not in environment(container(training.one("CronJob", with_image())))


def test_a_no_of_the_gate_ends_the_job_and_an_eviction_counts_for_nothing(training: Chart) -> None:
    job = training.one("CronJob", with_image())["spec"]["jobTemplate"]["spec"]
    ignored, failed = job["podFailurePolicy"]["rules"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert failed["action"] == "FailJob"
    assert failed["onExitCodes"] == {"containerName": "training", "operator": "In", "values": [common.JUDGED_NO]}
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    # Nothing removes a failed Job but the limit of the CronJob.
    assert "ttlSecondsAfterFinished" not in job
    assert container(training.one("CronJob", with_image()))["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_schedule_sleeps_and_never_runs_twice_at_once(training: Chart) -> None:
    spec = training.one("CronJob", with_image())["spec"]
    assert (spec["suspend"], spec["concurrencyPolicy"]) == (True, "Forbid")
    assert training.one("CronJob", SETS / "database.yaml")["spec"]["suspend"] is False


def test_a_job_of_each_revision_has_to_be_asked_for(training: Chart) -> None:
    assert "Job" not in {each["kind"] for each in training.manifests(with_image())}
    job = training.one("Job", with_image(training={"onInstall": True}))
    assert job["metadata"]["name"] == "battle-train-1"
    cron = training.one("CronJob", with_image())
    assert job["spec"] == cron["spec"]["jobTemplate"]["spec"]


def test_a_shard_s_pod_plays_its_own_number(training: Chart) -> None:
    job = training.one("Job", with_image(shards=SHARDS))
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 4)
    found = container(job)
    assert found["args"] == [
        *("dataset", "generate", "--seed=7", "--shards=4", "--rows=1000"),
        *("--shard=$(JOB_COMPLETION_INDEX)", "--workers=1"),
    ]
    assert words(found["args"]) <= options("dataset", "generate")


def test_training_reads_the_shards_where_they_were_played(training: Chart) -> None:
    manifests = training.manifests(with_image(shards=SHARDS, training={"source": {"shards": True}}))
    playing, reading = (
        container(next(each for each in manifests if each["kind"] == kind)) for kind in ("Job", "CronJob")
    )
    assert "--source=generator:seed=7,shards=4,rows=1000" in reading["args"]
    for found in (playing, reading):
        assert environment(found)["PDX_HOME"] == "/pdx"
        assert {"name": "shards", "mountPath": "/pdx/shards"} in found["volumeMounts"]
        assert found["volumes"]["shards"]["persistentVolumeClaim"] == {"claimName": "battle-shards"}
    # As training.dataset.sources looks for them.
    from training.dataset import sources

    assert 'home_folder() / "shards"' in inspect.getsource(sources)


def test_shards_stay_and_are_read_after_they_are_no_longer_played(training: Chart) -> None:
    manifests = training.manifests(with_image(training={"source": {"shards": True}}))
    assert "Job" not in {each["kind"] for each in manifests}
    claims = {each["metadata"]["name"]: each for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    assert claims.keys() == {"battle-mlflow", "battle-shards"}
    for claim in claims.values():
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    taken = with_image(shards={**SHARDS, "volume": {"existingClaim": "duels"}})
    job = training.one("Job", taken)
    assert container(job)["volumes"]["shards"]["persistentVolumeClaim"] == {"claimName": "duels"}
    assert "battle-shards" not in {each["metadata"]["name"] for each in claims_of(training, taken)}


def claims_of(chart: Chart, values: Values) -> list[Manifest]:
    return [each for each in chart.manifests(values) if each["kind"] == "PersistentVolumeClaim"]


def test_another_job_of_shards_has_another_name(training: Chart) -> None:
    def name(values: Values) -> str:
        found: str = training.one("Job", values)["metadata"]["name"]
        return found

    first = name(with_image(shards=SHARDS))
    assert re.fullmatch(r"battle-shards-[0-9a-f]{8}", first)
    assert name(with_image(shards=SHARDS, mlflow={"workers": 2}, training={"rows": 5000})) == first
    assert name(with_image(shards={**SHARDS, "seed": 8})) != first
    assert name({"image": {"repository": "localhost/battle", "tag": "v2"}, "shards": SHARDS}) != first
