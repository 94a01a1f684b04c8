"""The README's session with a client of the Open Inference Protocol, run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import bundles, servers

README = (servers.ROOT / "README.md").read_text()


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_the_session_of_the_readme_runs(transport: str, tmp_path: Path) -> None:
    found = re.search(r"<!-- session: .*? -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found is not None
    session = found[1]
    with servers.start(tmp_path, "--bundle", str(bundles.write(tmp_path / "bundle"))) as process:
        servers.ready(process)
        assert "localhost:3000" in session
        address = process.rest.removeprefix("http://") if transport == "http" else process.grpc
        session = session.replace("localhost:3000", address).replace("tritonclient.http", f"tritonclient.{transport}")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", session], capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    label, _, probabilities = done.stdout.strip().partition(" [[0.")
    assert "_wins" in label
    assert probabilities.endswith("]]")
