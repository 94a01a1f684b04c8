import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import bundles, commands, servers
from tests.exports import export_small, fitted_small
from tests.tracking import log_run
from training.registry import Registry

PDX_SERVE = [sys.executable, "-c", "import typer; from training.cli.serve import command; typer.run(command)"]
SERVING = servers.ROOT / ".venv-serving" / "bin" / "python"
needs_serving = pytest.mark.skipif(not SERVING.exists(), reason="no .venv-serving; make .venv-serving/.ready makes it")


@needs_serving
def test_a_bundle_is_served_by_the_serving_environment(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    command = [*PDX_SERVE, "--bundle", str(folder), "--port", "0", "--grpc-port", "0"]
    # What no option says, the environment does.
    with servers.spawn(command, tmp_path, servers.ROOT, servers.environment(PDX_ADMIN_PORT="0")) as process:
        servers.ready(process)
        answer = httpx.post(f"{process.rest}/predict/battle", json={"pokemon_a": "pikachu", "pokemon_b": "onix"})
        assert answer.status_code == 200
        # The command became the server: it is the same process, and it is the other environment's Python.
        running = Path(f"/proc/{process.popen.pid}/cmdline").read_bytes().split(b"\0")
        assert running[0].decode() == str(SERVING)


def champion(database: Path, export: Path) -> str:
    """Version 1 of a registry of its own, which is the champion; returns the URI."""
    uri = f"sqlite:///{database}"
    registry = Registry(uri)
    registry.point_champion_at(registry.register(log_run(uri, export)))
    return uri


@needs_serving
def test_version_1_of_another_registry_is_another_bundle(tmp_path: Path) -> None:
    # In one home, so that both bundles have the same folder.
    exports = {
        name: export_small(
            fitted_small("logistic_regression"), tmp_path / f"{name}-export", grid=(1,), metrics={"accuracy": accuracy}
        ).folder
        for name, accuracy in (("mine", 0.25), ("theirs", 0.75))
    }
    mine, theirs = (champion(tmp_path / f"{name}.db", export) for name, export in exports.items())
    home = tmp_path / "home"
    commands.here(home)("bundle", "--tracking-uri", mine)
    assert json.loads((home / "bundles" / "1" / "contract.json").read_text())["metrics"] == {"accuracy": 0.25}
    command = [*PDX_SERVE, "--tracking-uri", theirs, "--port", "0", "--grpc-port", "0", "--admin-port", "0"]
    with servers.spawn(command, tmp_path, servers.ROOT, servers.environment(PDX_HOME=str(home))) as process:
        served = httpx.get(f"{servers.ready(process).admin}/contract").json()
        assert (served["version"], served["metrics"]) == ("1", {"accuracy": 0.75})


@needs_serving
def test_without_a_champion_one_sentence_says_what_to_run(tmp_path: Path) -> None:
    done = subprocess.run(
        PDX_SERVE,
        env=servers.environment(PDX_HOME=str(tmp_path / "home")),
        cwd=servers.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "There is no champion to serve yet; run `make demo` or `make train`, or name a folder" in done.stderr
    assert "Traceback" not in done.stderr
