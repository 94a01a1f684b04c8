"""Starts a contender on free ports, waits for it, and stops it with everything it started."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.environments import last_line

START_SECONDS = 90.0
STOP_SECONDS = 5.0


class ServerError(Exception):
    """A contender did not start, died or does not answer; the message is one sentence."""


@dataclass(frozen=True)
class Ports:
    """Where a contender listens on 127.0.0.1."""

    http: int
    grpc: int
    admin: int


def free_ports() -> Ports:
    """Three ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*[each.getsockname()[1] for each in sockets])


def _parents() -> dict[int, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def family(pid: int) -> list[int]:
    """A process and everything it started that still has it as an ancestor, itself first."""
    parents = _parents()
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


@dataclass
class Server:
    """A running contender."""

    process: subprocess.Popen[bytes]
    ports: Ports
    log: Path

    def check_alive(self) -> None:
        """Raise ServerError with the last line of the log when the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise ServerError(f"It ended with status {code}: {last_line(self.log.read_text(errors='replace'))}")

    def memory_mib(self) -> float:
        """Proportional set size of the process and its children, in MiB: pages that are shared count once."""
        return self._rollup("Pss:")

    def anonymous_mib(self) -> float:
        """Memory that the processes took for themselves, in MiB: unlike pages of files, nobody else can change it."""
        return self._rollup("Anonymous:")

    def _rollup(self, line: str) -> float:
        kib = 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                kib += sum(int(each.split()[1]) for each in lines if each.startswith(line))
        return kib / 1024

    def wait(self, answers: Callable[[], bool], seconds: float = START_SECONDS) -> float:
        """Seconds until `answers()` was true.

        Raises:
            ServerError: the process ended, or the time is over.
        """
        begin = time.monotonic()
        while not answers():
            self.check_alive()
            if time.monotonic() - begin > seconds:
                raise ServerError(f"No answer in {seconds:.0f} s: {last_line(self.log.read_text(errors='replace'))}")
            time.sleep(0.05)
        return time.monotonic() - begin


def _kill(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _starts(pids: list[int]) -> dict[int, str]:
    """The start time of each process that still exists and is no zombie: a pid given out again has another one."""
    starts = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                starts[pid] = fields[19]
    return starts


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """Ask the process to end, then kill what is left of it and of all it started."""
    members = _starts(family(process.pid))
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    left = _starts(list(members))
    _kill([pid for pid, start in left.items() if members[pid] == start], signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def start(command: list[str], ports: Ports, log: Path, *, cwd: Path, env: dict[str, str]) -> Iterator[Server]:
    """Run a server in a session of its own, its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield Server(process, ports, log)
    finally:
        stop(process)
