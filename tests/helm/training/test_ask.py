"""The script of `helm test`, against MLflow and against what is none."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helm.charts import TESTED
from tests.tracking import free_port, log_run, mlflow_server

SCRIPT = (TESTED[1].folder / TESTED[1].script).read_text()


def ask(uri: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script as the test's pod does."""
    environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": uri, **variables}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, check=False, capture_output=True, text=True
    )  # fmt: skip


@contextmanager
def other(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything alike; yields its URL and the credentials it was shown."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_health_and_registry_are_told(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    with mlflow_server(tmp_path) as uri:
        done = ask(f"{uri}/")
        assert done.stdout == f"{uri} is healthy: OK\nThe registry has no model yet\n"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.create_registered_model("empty")
        client.create_registered_model("battle")
        run = log_run(uri, None)
        client.create_model_version("battle", f"runs:/{run}/export", run)
        done = ask(uri)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "The registry has battle: version 1; empty: no version"


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    done = ask(uri)
    assert done.returncode == 1
    assert done.stderr == f"{uri} does not answer: [Errno 111] Connection refused\n"


def test_another_status_is_one_sentence() -> None:
    with other(403, b"Invalid Host header -\npossible DNS rebinding attack detected") as (uri, _):
        done = ask(uri)
    assert done.returncode == 1
    said = "Invalid Host header - possible DNS rebinding attack detected"
    assert done.stderr == f"{uri}/health answers with status 403: {said}\n"


@pytest.mark.parametrize("body", [b"OK", b"[]", b'{"registered_models": [{}]}'])
def test_what_is_no_registry_is_found_out(body: bytes) -> None:
    with other(200, body) as (uri, _):
        done = ask(uri)
    assert done.returncode == 1
    assert done.stderr == f"{uri} answers a question to the registry with {body!r}, which is none of MLflow's.\n"


def test_credentials_are_shown_to_a_server_that_asks_for_them() -> None:
    with other(200, b"{}") as (uri, seen):
        done = ask(uri, MLFLOW_TRACKING_USERNAME="pdx", MLFLOW_TRACKING_PASSWORD="secret")
    assert done.returncode == 0, done.stderr
    assert seen == ["Basic cGR4OnNlY3JldA=="] * 2
