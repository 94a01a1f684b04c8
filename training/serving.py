"""Starts the server of a bundle in the serving environment, for the commands that show a prediction."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from pydantic import ValidationError

from bentos.contract import CONTRACT_FILE, Contract
from bentos.errors import PredictionDexError
from training.folder import recover

_PROJECT: Final = Path(__file__).resolve().parent.parent
PYTHON: Final = _PROJECT / ".venv-serving" / "bin" / "python"
_READY_WITHIN_S = 60.0
_ANSWER_WITHIN_S = 30.0
_STOP_WITHIN_S = 30.0
_POLL_S = 0.01


class ServingError(PredictionDexError):
    """The server did not start or did not answer; one sentence says which."""


class Ports(NamedTuple):
    """TCP ports of the three doors."""

    http: int = 3000
    grpc: int = 3001
    admin: int = 3002


def command(bundle: Path, **options: str | int | None) -> list[str]:
    """Command line of the server, in the environment that has the serving packages alone.

    Args:
        bundle: the folder of the bundle.
        options: of ``python -m bentos``; those that are None are left to the environment.

    Raises:
        ServingError: that environment is not there.
    """
    recover(bundle)
    if not PYTHON.exists():
        raise ServingError("There is no serving environment; run `make .venv-serving/.ready`.")
    given = {name: str(value) for name, value in options.items() if value is not None}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", value)]
    return [str(PYTHON), "-m", "bentos", "--bundle", str(bundle), *flags]


def environment() -> dict[str, str]:
    """The server's environment: this checkout's code, since the serving environment holds packages only.

    Its log is for the person at the terminal, unless ``PDX_LOG_FORMAT`` says otherwise.
    """
    # The tracking server's address may hold a password, and serving has no use for it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {"PDX_LOG_FORMAT": "text", **kept, "PYTHONPATH": str(_PROJECT)}


@dataclass
class Serving:
    """A running server of a bundle.

    Attributes:
        url: of the port with the predictions.
        sample: a request of the bundle's contract.
    """

    process: subprocess.Popen[bytes]
    url: str
    sample: dict[str, Any]

    @classmethod
    @contextlib.contextmanager
    def start(cls, bundle: Path, *, ports: Ports, host: str = "127.0.0.1") -> Iterator[Self]:
        """Start the server, wait until it is ready, and stop it as Kubernetes would when the block ends.

        Raises:
            ServingError: it ended before it was ready (its own sentence is on stderr), or took over a minute.
        """
        line = command(bundle, host=host, port=ports.http, grpc_port=ports.grpc, admin_port=ports.admin)
        contract = Contract.model_validate_json((bundle / CONTRACT_FILE).read_bytes())
        process = subprocess.Popen(line, env=environment())  # noqa: S603  ours, and without a shell
        try:
            _wait_until_ready(process, f"http://{host}:{ports.admin}/readyz")
            _require_ours(process, f"http://{host}:{ports.admin}/contract", contract)
            yield cls(process, f"http://{host}:{ports.http}", dict(contract.sample_inputs[0]))
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            # A person at a terminal who asks a second time is not kept waiting.
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                process.kill()
                process.wait()

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask ``POST /predict/battle``.

        Raises:
            ServingError: it answered with an error, or not at all.
        """
        asked = urllib.request.Request(  # noqa: S310  our own server
            f"{self.url}/predict/battle", json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=_ANSWER_WITHIN_S) as answer:  # noqa: S310
                body: dict[str, Any] = json.load(answer)
                return body
        except (urllib.error.URLError, TimeoutError) as error:
            raise ServingError(f"The server did not answer the prediction: {error}.") from error

    def wait(self) -> None:
        """Until the server ends; raises ServingError if it failed."""
        if self.process.wait():
            raise ServingError(f"The server ended with status {self.process.returncode}.")


def _require_ours(process: subprocess.Popen[bytes], url: str, contract: Contract) -> None:
    """Another server on the port would answer as well, with another model."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_WITHIN_S) as answer:  # noqa: S310
            served = Contract.model_validate_json(answer.read())
    except (OSError, ValidationError):
        served = None
    if process.poll() is not None or served != contract:
        raise ServingError("Another server answers on this port; stop it, or choose another with --port.")


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServingError(f"The server ended with status {process.returncode} before it was ready.")
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(_POLL_S)
    raise ServingError(f"The server was not ready within {_READY_WITHIN_S:.0f} s.")
