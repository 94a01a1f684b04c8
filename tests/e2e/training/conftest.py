"""One release for the module: MLflow on a PostgreSQL and an S3 store in the namespace, shards on a volume."""

from pathlib import Path

import pytest

from k8s.local import choose, volumes
from tests.e2e.cluster import Cluster, Namespace
from tests.e2e.images import Image
from tests.e2e.training import bucket, database, images
from tests.e2e.training.jobs import Release

SMALL = {"requests": {"cpu": "100m", "memory": "256Mi"}}


@pytest.fixture(scope="session")
def training_image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Image:  # noqa: ARG001  loads into it
    """What ``pdx image training`` builds."""
    folder: Path = tmp_path_factory.mktemp("training")
    image = images.training(folder)
    image.archive.unlink()
    return image


@pytest.fixture(scope="module")
def with_database(cluster: Cluster, module_space: Namespace, training_image: Image) -> Release:
    """A release whose runs and registry are in PostgreSQL, and its artifacts in a bucket; it is not installed yet."""
    if choose.running() is choose.Mode.NODE:
        volumes.ensure(cluster.kubectl)  # what earlier runs released can be given out again
    database.start(module_space, images.postgres().reference)
    bucket.start(module_space, images.store().reference)
    given = {
        **training_image.values,
        "mlflow": {"database": {"existingSecret": database.SECRET}, "s3": bucket.VALUES},
        # One node, on which others run beside it.
        "training": {"algorithms": ["xgboost"], "gateSlowdown": 100, "resources": SMALL},
        "shards": {
            "enabled": True,
            "count": 2,
            "rows": 1500,
            "volume": {"accessMode": "ReadWriteOnce"},
            "resources": SMALL,
        },
    }
    return Release(module_space, "battle", given)
