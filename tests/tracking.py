"""Real MLflow for tests: a database of its own, or a server in front of one, and runs that look exported."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported

START_WITHIN_S = 240  # two cores that others use too


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Start ``mlflow server`` on SQLite in ``folder``; yields its URI."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    options = {
        "backend-store-uri": f"sqlite:///{folder / 'server.db'}",
        "artifacts-destination": str(folder / "artifacts"),
        "host": "127.0.0.1",
        "port": str(port),
        "workers": "1",
    }
    command = [sys.executable, "-m", "mlflow", "server", *(f"--{key}={value}" for key, value in options.items())]
    # It runs nothing of ours, and its runners of jobs, which nobody asks for anything, take seconds of a core to start.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_PROCESS")}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
        try:
            _answers(f"{uri}/health", server, folder / "server.log")
            yield uri
        finally:
            server.terminate()
            server.wait(30)


def _answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own server)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"MLflow did not start:\n{log.read_text()[-2000:]}")


def log_run(uri: str, export: Path | None, artifacts: Path | None = None) -> str:
    """Make a finished run with ``export`` as its export folder; returns its id.

    Args:
        uri: of a SQLite database, whose artifacts lie beside it, of a server, which keeps its own, or any other with
            ``artifacts``.
        export: what is logged.
        artifacts: where artifacts go.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    if artifacts is None and uri.startswith("sqlite:///"):
        artifacts = Path(uri.removeprefix("sqlite:///")).with_suffix(".artifacts")
    found = client.get_experiment_by_name("tests")
    experiment = (
        found.experiment_id if found else client.create_experiment("tests", artifacts.as_uri() if artifacts else None)
    )
    run_id: str = client.create_run(experiment).info.run_id
    if export:
        client.log_artifacts(run_id, str(export), "export")
    client.set_terminated(run_id)
    return run_id


def model_name() -> str:
    return f"battle-{uuid.uuid4().hex[:8]}"
