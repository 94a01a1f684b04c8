"""What must not be installed is refused, and the refusal says why."""

from typing import Any

import pytest
import yaml

from tests.helm.charts import TRAINING, Chart, Values, with_image
from tests.helm.test_refusals import groups, leaves, place, put

DEFAULTS: Values = yaml.safe_load((TRAINING / "values.yaml").read_text())


def test_a_typo_is_refused_at_every_depth(training: Chart) -> None:
    wrong: Values = with_image()
    places = list(groups(DEFAULTS))
    assert len(places) > 20
    for path in places:
        put(wrong, (*path, "tpyo"), 1)
    said = training.refusal(wrong)
    missed = [path for path in places if f"at {place(path)}: additional properties 'tpyo' not allowed" not in said]
    assert missed == []


def test_a_wrong_type_is_refused_at_every_leaf(training: Chart) -> None:
    wrong: Values = {}
    every = dict(leaves(DEFAULTS))
    assert len(every) > 80
    for path, default in every.items():
        put(wrong, path, {"wrong": "type"} if not isinstance(default, dict) else ["wrong type"])
    said = training.refusal(wrong)
    assert [path for path in every if f"at {place(path)}" not in said] == []


@pytest.mark.parametrize("path", [("image", "tag"), ("mlflow", "volume", "size"), ("training",), ("shards", "seed")])
def test_a_value_that_is_taken_away_is_refused(training: Chart, path: tuple[str, ...]) -> None:
    wrong: Values = with_image()
    put(wrong, path, None)
    assert f"missing property '{path[-1]}'" in training.refusal(wrong)


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("image", "repository"), "localhost/training:v1", "/image/repository"),
        (("mlflow", "workers"), 0, "/mlflow/workers"),
        (("mlflow", "allowedHosts"), ["https://mlflow.example"], "/mlflow/allowedHosts/0"),
        (("mlflow", "s3", "bucket"), "Models", "/mlflow/s3/bucket"),
        (("mlflow", "s3", "endpoint"), "minio:9000", "/mlflow/s3/endpoint"),
        (("mlflow", "s3", "endpoint"), "http://key:secret@minio:9000", "/mlflow/s3/endpoint"),
        (("mlflow", "external", "uri"), "https://user:hidden@mlflow.example", "/mlflow/external/uri"),
        (("mlflow", "volume", "size"), "", "/mlflow/volume/size"),
        (("mlflow", "volume", "accessMode"), "ReadOnlyMany", "/mlflow/volume/accessMode"),
        (("mlflow", "resources", "limits", "memory"), "1 GiB", "/mlflow/resources/limits/memory"),
        (("training", "schedule"), "nightly", "/training/schedule"),
        (("training", "schedule"), "* * * *", "/training/schedule"),
        (("training", "schedule"), "0 3 * * 7", "/training/schedule"),
        (("training", "schedule"), "60 3 * * 0", "/training/schedule"),
        (("training", "schedule"), "0 3 * * $", "/training/schedule"),
        (("training", "schedule"), "TZ=UTC 3 * * 0", "/training/schedule"),
        (("training", "schedule"), "*/0 3 * * 0", "/training/schedule"),
        (("training", "timeZone"), None, "missing property 'timeZone'"),
        (("training", "source", "uri"), "$(MLFLOW_TRACKING_PASSWORD)", "/training/source/uri"),
        (("training", "source", "table"), "$(POD_IP)", "/training/source/table"),
        (("training", "scratchSize"), "0", "/training/scratchSize"),
        (("mlflow", "volume", "size"), "0.0Gi", "/mlflow/volume/size"),
        (("mlflow", "resources", "limits", "memory"), "512m", "/mlflow/resources/limits/memory"),
        (("networkPolicy", "dns", "ports"), [], "/networkPolicy/dns/ports"),
        (("training", "rows"), 999, "/training/rows"),
        (("training", "folds"), 1, "/training/folds"),
        (("training", "algorithms"), ["oracle"], "/training/algorithms/0"),
        (("training", "algorithms"), ["xgboost", "xgboost"], "/training/algorithms"),
        (("training", "gateSlowdown"), 0.5, "/training/gateSlowdown"),
        (("training", "failedJobsHistoryLimit"), 0, "/training/failedJobsHistoryLimit"),
        (("shards", "count"), 0, "/shards/count"),
        (("podSecurity", "fsGroup"), 0, "/podSecurity/fsGroup"),
        (("networkPolicy", "trainingPorts"), ["5432"], "/networkPolicy/trainingPorts/0"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(training: Chart, path: tuple[str, ...], value: Any, word: str) -> None:
    wrong = with_image()
    put(wrong, path, value)
    assert word in training.refusal(wrong)


@pytest.mark.parametrize("schedule", ["0 3 * * 0", "*/10 1-5 1,15 * MON-FRI", "5/15,59 23 31 Dec 6", "@daily"])
def test_schedules_that_cron_has_are_taken(training: Chart, schedule: str) -> None:
    job = training.one("CronJob", with_image(training={"schedule": schedule}))
    assert job["spec"]["schedule"] == schedule


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"image": {"tag": "v1"}}, "image.repository is empty: name the image that pdx image training printed."),
        ({"image": {"repository": "localhost/x", "tag": ""}}, "has neither a tag nor a digest: set image.tag"),
        (
            {"mlflow": {"external": {"existingSecret": "login"}}},
            "mlflow.external.existingSecret is for another server, and mlflow.enabled runs one here",
        ),
        (
            {"mlflow": {"s3": {"existingSecret": "bucket"}}},
            "mlflow.s3.existingSecret has no effect without mlflow.s3.bucket",
        ),
        ({"mlflow": {"s3": {"endpoint": "http://s3"}}}, "mlflow.s3.endpoint has no effect without mlflow.s3.bucket"),
        (
            {
                "mlflow": {
                    "database": {"existingSecret": "uri"},
                    "s3": {"bucket": "models"},
                    "volume": {"existingClaim": "models"},
                }
            },
            "mlflow.volume.existingClaim has no effect, since mlflow.database and mlflow.s3 keep everything",
        ),
        (
            {"mlflow": {"workers": 3}},
            "mlflow.resources.limits.memory is 1Gi, and mlflow.workers is 3: a worker takes up to 400 MiB, so give "
            "1200Mi or more.",
        ),
        (
            {"mlflow": {"resources": {"limits": {"memory": "419M"}}}},
            "mlflow.resources.limits.memory is 419M, and mlflow.workers is 1:",
        ),
        ({"training": {"timeZone": "local"}}, "training.timeZone is Local, which is each node's own"),
        ({"mlflow": {"enabled": False}}, "mlflow.enabled is off, and mlflow.external.uri names no other server."),
        (
            {"mlflow": {"external": {"uri": "https://mlflow.example"}}},
            "mlflow.external.uri names another server, and mlflow.enabled would run one here as well",
        ),
        (
            {"training": {"source": {"uri": "duels.parquet", "shards": True}}},
            "A training has one source of duels, and training.source.uri and training.source.shards are given.",
        ),
        (
            {"training": {"source": {"uri": "postgresql+psycopg://duels:hidden@database/duels"}}},
            "training.source.uri holds a password, which everybody could read",
        ),
        (
            {"training": {"source": {"uri": "postgresql+psycopg://database/duels?user=duels&Password=hidden"}}},
            "training.source.uri holds a password, which everybody could read",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(training: Chart, values: Values, sentence: str) -> None:
    said = training.refusal(with_image(**values))
    assert sentence in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("mlflow", "database", "existingSecret"), "uri"),
        (("mlflow", "s3", "bucket"), "models"),
        (("mlflow", "s3", "existingSecret"), "bucket"),
        (("mlflow", "volume", "existingClaim"), "models"),
        (("mlflow", "allowedHosts"), ["mlflow.example"]),
        (("serviceAccount", "annotations"), {"role": "models"}),
        (("networkPolicy", "mlflowPorts"), [5432]),
        (("networkPolicy", "clients", "cidrs"), ["10.1.0.0/16"]),
    ],
)
def test_values_of_a_server_that_is_not_run_are_refused(training: Chart, path: tuple[str, ...], value: Any) -> None:
    external = with_image(mlflow={"enabled": False, "external": {"uri": "https://mlflow.example"}})
    assert training.manifests(external)
    put(external, path, value)
    name = ".".join(path).removesuffix(".cidrs")
    assert f"{name} has no effect with mlflow.enabled off" in training.refusal(external)


@pytest.mark.parametrize(
    ("workers", "memory"), [(1, "400Mi"), (1, "419430.4k"), (2, "0.84G"), (3, "1200Mi"), (64, "1Ti")]
)
def test_memory_that_holds_the_workers_is_taken(training: Chart, workers: int, memory: str) -> None:
    given = {"workers": workers, "resources": {"limits": {"memory": memory}}}
    assert training.manifests(with_image(mlflow=given))


@pytest.mark.parametrize("name", ["1battle", "battle.prod"])
def test_a_release_name_that_no_service_can_have_is_refused(training: Chart, name: str) -> None:
    sentence = f"The release name {name} cannot name a Service: it must begin with a letter and hold no dot."
    assert sentence in training.refusal(with_image(), release=name)
