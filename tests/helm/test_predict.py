"""The script of `helm test`, against servers as they run in a container."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.keys import line_of
from tests import bundles, servers, tabular
from tests.helm.charts import CHART

SCRIPT = (CHART / "files/predict.py").read_text()
KEY = "a-key-that-is-long-enough"
QUICK = {"PDX_STOP_DRAIN_SECONDS": "0"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle") / "battle")


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """A server that asks for a key."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys").write_text(line_of(KEY))
    with servers.start(folder, "--bundle", str(bundle), **QUICK, PDX_AUTH_KEYS_FILE=str(folder / "keys")) as process:
        yield servers.ready(process)


def ask(server: servers.Process, bundle: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """Run the script as the test's pod does."""
    environment = servers.environment(PDX_BUNDLE=str(bundle), API_KEY=key)
    command = [sys.executable, "-c", SCRIPT, server.rest, server.grpc]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def test_both_doors_answer_as_the_bundle_says(server: servers.Process, bundle: Path) -> None:
    done = ask(server, bundle)
    assert done.returncode == 0, done.stderr
    grpc, rest = done.stdout.splitlines()
    assert grpc.startswith("gRPC: battle version 1 answers [")
    assert rest.startswith("REST: battle version 1 answers [")


@pytest.mark.parametrize("kind", ["classifier", "multiclass", "regressor", "pipeline"])
def test_any_model_is_asked(kind: tabular.Kind, tmp_path: Path) -> None:
    bundle = tabular.write(kind, tmp_path / "bundle")
    with servers.start(tmp_path / "server", "--bundle", str(bundle), **QUICK) as process:
        done = ask(servers.ready(process), bundle, key="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("as its bundle says.") == 2


def test_another_version_is_found_out(server: servers.Process, tmp_path: Path) -> None:
    done = ask(server, bundles.write(tmp_path / "bundle", version="2"))
    assert done.returncode == 1
    assert done.stderr == "gRPC answers as battle version 1, and this image is battle version 2.\n"


def test_other_numbers_are_found_out(server: servers.Process, tmp_path: Path) -> None:
    parity = bundles.contract({})["parity"]
    wrong = {**parity, "expected": [[1 - p] for (p,) in parity["expected"]]}
    done = ask(server, bundles.write(tmp_path / "bundle", parity=wrong))
    assert done.returncode == 1
    assert "and the bundle of this image says [" in done.stderr


@pytest.mark.parametrize("key", ["", "another-key-that-is-long"])
def test_a_wrong_key_is_said_in_one_sentence(server: servers.Process, bundle: Path, key: str) -> None:
    done = ask(server, bundle, key)
    assert done.returncode == 1
    assert done.stderr.startswith("gRPC answers ModelMetadata with UNAUTHENTICATED: ")
    assert done.stderr.count("\n") == 1
