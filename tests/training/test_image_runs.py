"""Images do what they are for, run as a kubelet runs them: their own user, a read-only root, no capability.

They are built with the layers that earlier builds left, so the first time takes minutes.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.contract import CONTRACT_FILE
from tests import bundles, containers
from tests.tracking import free_port
from tests.training import images
from training.dataset.read import duels
from training.image import Built
from training.package import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Unpacked:
    """An image whose files lie in a folder.

    Attributes:
        made: its record.
        root: folder of its root file system.
        configuration: of the image.
    """

    made: Built
    root: Path
    configuration: Mapping[str, Any]

    def run(self, *words: str, status: int = 0, **options: Any) -> str:
        """Run the entrypoint, or the one in ``options``, to its end; returns what it wrote."""
        said = self.root.parent / "said"
        with said.open("w") as file:
            options = {"variables": {}, **options}
            with containers.running(self.root, self.configuration, *words, output=file, **options) as process:
                ended = process.wait(600)
        text = said.read_text()
        assert ended == status, f"{words} ended with {ended}:\n{text}"
        return text


def unpacked(folder: Path, what: str, bundle: Path | None = None) -> Unpacked:
    if why := containers.missing():
        pytest.skip(why)
    made = images.built(folder, images.base(), what, bundle=bundle)
    return Unpacked(made, folder / "root", containers.unpack(folder / "image.tar", folder / "root"))


def answers(url: str, process: subprocess.Popen[bytes], within_s: float = 120) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).status_code == 200:
                return True
        time.sleep(0.05)
    return False


def test_serving_image_serves_and_ends_as_a_kubelet_wants(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle")
    image = unpacked(tmp_path, "serving", bundle)
    http, grpc, admin = free_port(), free_port(), free_port()
    words = ("--host", "127.0.0.1", "--port", str(http), "--grpc-port", str(grpc), "--admin-port", str(admin))
    with containers.running(image.root, image.configuration, *words, variables={}) as process:
        assert answers(f"http://127.0.0.1:{admin}/readyz", process)
        asked = subprocess.run(
            [
                sys.executable,
                PROJECT / "helm/serving/files/predict.py",
                f"http://127.0.0.1:{http}",
                f"127.0.0.1:{grpc}",
            ],
            env={"PDX_BUNDLE": str(bundle), "PYTHONPATH": str(PROJECT)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.count("as its bundle says") == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with containers.running(image.root, image.configuration, *words, variables={}) as process:
        # Long before the server has set its own handler, and after Python has read its site packages.
        containers.wait_for_python(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, 128 + signal.SIGTERM}
    assert (image.root / "app/bundle" / CONTRACT_FILE).is_file()
    assert image.made.complaint() is None


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpacked(tmp_path_factory.mktemp("training"), "training")


@pytest.fixture
def tracking(training: Unpacked, postgres: str, tmp_path: Path) -> Iterator[str]:
    """URI of the tracking server of the image, on PostgreSQL and with the artifacts in a volume."""
    port = free_port()
    entrypoint = ("/app/venv/bin/python", "-m", "mlflow", "server")
    words = ["--host=127.0.0.1", f"--port={port}", f"--backend-store-uri={postgres}", "--workers=1"]
    words += ["--serve-artifacts", "--artifacts-destination=/mlflow/artifacts"]
    volumes = {"/mlflow": containers.volume(tmp_path / "mlflow", training.configuration)}
    with (
        (tmp_path / "server.log").open("w") as log,
        containers.running(
            training.root, training.configuration, *words,
            variables={}, entrypoint=entrypoint, volumes=volumes, output=log,
        ) as process,
    ):  # fmt: skip
        uri = f"http://127.0.0.1:{port}"
        assert answers(f"{uri}/health", process), (tmp_path / "server.log").read_text()
        yield uri
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.postgres
def test_training_image_goes_from_duels_past_the_gate(training: Unpacked, tracking: str, tmp_path: Path) -> None:
    home = containers.volume(tmp_path / "home", training.configuration)
    given: dict[str, Any] = {
        "variables": {"PDX_HOME": "/volume", "MLFLOW_TRACKING_URI": tracking, "PDX_GATE_SLOWDOWN": "100"},
        "volumes": {"/volume": home},
    }
    training.run("dataset", "generate", "--shards=2", "--shard=1", "--rows=1000", **given)
    assert len(duels(str(home / "shards"))) > 900
    training.run("train", "--source=/volume/shards", "--algorithm=xgboost", "--no-register", **given)
    training.run("train", "--rows=20000", "--algorithm=xgboost", **given)
    assert "may be promoted" in training.run("gate", **given)
    asked = {"name": "battle", "version": "1"}
    answer = httpx.get(f"{tracking}/api/2.0/mlflow/model-versions/get", params=asked, timeout=30)
    version = answer.json()["model_version"]
    assert [tag["key"] for tag in version["tags"] if tag["key"].startswith("gate")]
    assert list((tmp_path / "mlflow/artifacts").rglob("export/model.onnx"))


def test_training_image_stores_artifacts_in_s3_too(training: Unpacked) -> None:
    said = training.run(
        "-c",
        "import boto3, psycopg\n"
        "from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository\n"
        "print(type(get_artifact_repository('s3://bucket/folder')).__name__)",
        entrypoint=("/app/venv/bin/python",),
    )
    assert said.splitlines()[-1].endswith("S3ArtifactRepository")


def test_rollout_image_has_its_programs_and_the_driver_s_packages(tmp_path: Path) -> None:
    image = unpacked(tmp_path, "rollout")
    assert "abort" in image.run("--help")
    assert "pods/proxy" in image.run("rbac")
    assert image.run("version", "--template", "{{.Version}}", entrypoint=("/app/bin/helm",)).startswith("v4.")
    assert "clientVersion" in image.run("version", "--client", "--output=json", entrypoint=("/app/bin/kubectl",))
    image.run("-c", "import bentos, k8s, kubernetes, yaml", entrypoint=("/app/venv/bin/python",))
    assert not (image.root / "app/src/k8s/local").exists()
    bill = json.loads(Path(image.made.sbom).read_text())
    found = {part["name"]: part["version"] for part in bill["components"] if part["bom-ref"].startswith("pkg:golang/")}
    assert found["helm.sh/helm/v4"].startswith("v4.")
    assert found["stdlib"].startswith("1.")
    assert found["k8s.io/kubernetes"].startswith("v1.")
