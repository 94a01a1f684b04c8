import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import bundles, servers

PDX_SERVE = [sys.executable, "-c", "import typer; from training.cli.serve import command; typer.run(command)"]
SERVING = servers.ROOT / ".venv-serving" / "bin" / "python"
needs_serving = pytest.mark.skipif(not SERVING.exists(), reason="no .venv-serving; make .venv-serving/.ready makes it")


@needs_serving
def test_a_bundle_is_served_by_the_serving_environment(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    command = [*PDX_SERVE, "--bundle", str(folder), "--port", "0", "--admin-port", "0"]
    with servers.spawn(command, tmp_path, servers.ROOT, servers.environment()) as process:
        servers.ready(process)
        answer = httpx.post(f"{process.rest}/predict/battle", json={"pokemon_a": "pikachu", "pokemon_b": "onix"})
        assert answer.status_code == 200
        # The command became the server: it is the same process, and it is the other environment's Python.
        running = Path(f"/proc/{process.popen.pid}/cmdline").read_bytes().split(b"\0")
        assert running[0].decode() == str(SERVING)


@needs_serving
def test_without_a_champion_one_sentence_says_what_to_run(tmp_path: Path) -> None:
    done = subprocess.run(
        PDX_SERVE,
        env=servers.environment(PDX_HOME=str(tmp_path / "home")),
        cwd=servers.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "There is no champion to serve yet; run `pdx all`, or name a folder with --bundle." in done.stderr
    assert "Traceback" not in done.stderr
