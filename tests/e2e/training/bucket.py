"""An S3 store in the namespace of the tests: versitygw on a folder, with one bucket, and the Secret of its key."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3  # type: ignore[import-untyped]

from tests.e2e.cluster import Namespace
from tests.e2e.training import stateful
from tests.e2e.training.forward import forwarded

NAME: Final = "store"
SECRET: Final = "bucket"
BUCKET: Final = "models"
REGION: Final = "eu-central-1"
_PORT: Final = 7070
_USER: Final = 65532
_STARTED_S: Final = 60

VALUES: Final[dict[str, Any]] = {
    "bucket": BUCKET,
    "endpoint": f"http://{NAME}:{_PORT}",
    "region": REGION,
    "existingSecret": SECRET,
}
"""Of the chart's ``mlflow.s3``."""


def start(space: Namespace, image: str) -> None:
    """Start it, wait until it answers, and make the bucket in it."""
    key = {"AWS_ACCESS_KEY_ID": secrets.token_hex(8), "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24)}
    container: dict[str, Any] = {
        "image": image,
        # What belongs to an object stands in files beside, for not every node's disk has extended attributes.
        "args": [
            *(f"--port=:{_PORT}", f"--region={REGION}", "--health=/health", "--quiet"),
            *("posix", "--sidecar=/data/beside", "/data/buckets"),
        ],
        "env": [
            {"name": f"ROOT_{name}", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": f"AWS_{name}"}}}
            for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": _PORT}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data/buckets", "subPath": "buckets"},
            {"name": "data", "mountPath": "/data/beside", "subPath": "beside"},
        ],
    }
    stateful.start(
        *(space, NAME, _PORT, container),
        secret=(SECRET, key),
        volumes=[{"name": "data", "emptyDir": {}}],
        security={"runAsUser": _USER, "fsGroup": _USER},
        within_s=_STARTED_S,
    )
    with client(space) as store:
        store.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})


@contextmanager
def client(space: Namespace) -> Iterator[Any]:
    """A client of S3 with the key, past MLflow."""
    held = space.get("secret", SECRET)["data"]
    key = {name.lower(): base64.b64decode(value).decode() for name, value in held.items()}
    with forwarded(space, NAME, _PORT) as url:
        store = boto3.client("s3", endpoint_url=url, region_name=REGION, **key)
        yield store
        store.close()


def objects(space: Namespace, prefix: str) -> dict[str, int]:
    """Keys of the bucket's objects under a prefix, without it, and their bytes."""
    with client(space) as store:
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {each["Key"].removeprefix(prefix): each["Size"] for page in pages for each in page.get("Contents", [])}


def read(space: Namespace, key: str) -> bytes:
    """One object."""
    with client(space) as store:
        found: bytes = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found
