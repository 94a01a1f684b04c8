"""Runs ``pdx``: as a process of its own, or in this one, which saves the seconds that its imports take."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from tests import tracking  # noqa: F401  switches MLflow's telemetry off before mlflow is imported

COMMAND = (sys.executable, "-c", "from training.cli import main; main()")


class Done(NamedTuple):
    """What a command came to."""

    status: int
    stdout: str
    stderr: str


Pdx = Callable[..., Done]


def environment(home: Path) -> dict[str, str]:
    """Ours with nothing of the project's settings but the home, a short expectation, and what no test waits for.

    That is bounds of time, and a server that goes on answering at its end.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PDX_", "MLFLOW_", "BENTOML_"))}
    return {
        **kept, "PDX_HOME": str(home), "PDX_GATE_REQUESTS": "1000", "PDX_GATE_SLOWDOWN": "100", "COLUMNS": "160",
        "PDX_STOP_DRAIN_SECONDS": "0",
    }  # fmt: skip


def process(home: Path) -> Pdx:
    """Run commands as a terminal does, each in a process of its own, and check the exit status."""

    def run(*arguments: str, status: int = 0) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment(home), capture_output=True, text=True, check=False
        )
        return _checked(arguments, status, Done(done.returncode, done.stdout, done.stderr))

    return run


def here(home: Path) -> Pdx:
    """Run commands in this process through the same door, leave nothing behind in it, and check the exit status.

    An exception that a command lets through is raised here, instead of a status of 1.
    """

    def run(*arguments: str, status: int = 0) -> Done:
        import mlflow
        from mlflow.tracking import fluent

        from training.cli import app

        with patch.dict(os.environ, environment(home), clear=True), pytest.MonkeyPatch.context() as kept:
            # Where MLflow remembers the experiment of the last run in this process.
            kept.setattr(fluent, "_active_experiment_id", None)
            try:
                done = CliRunner().invoke(app, arguments, prog_name="pdx", catch_exceptions=False)
            finally:
                mlflow.set_tracking_uri("")
        return _checked(arguments, status, Done(done.exit_code, done.stdout, done.stderr))

    return run


def _checked(arguments: tuple[str, ...], status: int, done: Done) -> Done:
    assert done.status == status, f"{arguments} ended with {done.status}:\n{done.stdout}\n{done.stderr}"
    return done
