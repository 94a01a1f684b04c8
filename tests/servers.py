"""Starts our own servers as processes of their own, on free ports, and stops them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
_PORTS = re.compile(r"REST on port (\d+), gRPC on port (\d+), admin on port (\d+)")
START_SECONDS = 60.0


@dataclass
class Process:
    """A running server and the files it writes."""

    popen: subprocess.Popen[bytes]
    log: Path
    termination_log: Path
    rest: str = ""
    grpc: str = ""
    admin: str = ""
    started: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.admin}/readyz").status_code == 200
        return False

    def wait(self, seconds: float = START_SECONDS) -> int:
        return self.popen.wait(seconds)

    def terminate(self) -> None:
        self.popen.send_signal(signal.SIGTERM)

    def memory_mib(self) -> float:
        lines = Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def environment(**settings: str) -> dict[str, str]:
    """Ours without any PDX_ variable but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PDX_")}
    return {**kept, "PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "True", **settings}


@contextlib.contextmanager
def start(folder: Path, *arguments: str, python: str = sys.executable, **settings: str) -> Iterator[Process]:
    """Run ``python -m bentos`` on free ports; the process is killed at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    termination_log = folder / "termination.log"
    defaults = {
        "PDX_HTTP_HOST": "127.0.0.1",
        "PDX_HTTP_PORT": "0",
        "PDX_GRPC_HOST": "127.0.0.1",
        "PDX_GRPC_PORT": "0",
        "PDX_ADMIN_HOST": "127.0.0.1",
        "PDX_ADMIN_PORT": "0",
        "PDX_LOG_FORMAT": "text",
        "PDX_STOP_DRAIN_SECONDS": "0",  # nobody has to hear of the end first
        "PDX_TERMINATION_LOG": str(termination_log),
    }
    with spawn([python, "-m", "bentos", *arguments], folder, ROOT, environment(**{**defaults, **settings})) as process:
        process.termination_log = termination_log
        yield process


@contextlib.contextmanager
def spawn(command: Sequence[str], folder: Path, cwd: Path, env: dict[str, str]) -> Iterator[Process]:
    """Run a command with its output in a file."""
    log = folder / "server.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Process(popen, log, folder / "termination.log")
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(15)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


def opened(process: Process) -> Process:
    """Wait until the doors are open and their ports known."""
    until(lambda: _PORTS.search(process.text()) is not None, process)
    found = _PORTS.search(process.text())
    assert found is not None
    rest, grpc, admin = found.groups()
    process.rest, process.admin = f"http://127.0.0.1:{rest}", f"http://127.0.0.1:{admin}"
    process.grpc = f"127.0.0.1:{grpc}"
    return process


def ready(process: Process) -> Process:
    """Wait until the process is ready."""
    opened(process)
    until(process.ready, process)
    return process


def until(condition: Callable[[], bool], process: Process, seconds: float = START_SECONDS) -> None:
    """Poll a condition; fails with the log if the process ends or the time does."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.popen.poll() is None, f"exited with {process.popen.returncode}:\n{process.text()}"
        assert time.monotonic() < end, f"not within {seconds} s:\n{process.text()}"
        time.sleep(0.02)
