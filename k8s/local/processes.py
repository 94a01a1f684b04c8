"""Starts and stops what runs on the host; each process has a log, and a pid that outlives whoever started it."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k8s.local import packages, paths
from k8s.local.commands import wait
from k8s.local.errors import NotReady

# Inherited by whatever they start, so that leftovers are known. Its value is the folder of the cluster's pids.
MARK: Final = "PREDICTIONDEX_CLUSTER"
PIDS: Final = paths.RUN / "pids"
_STOPS_WITHIN_S: Final = 10


@dataclass(frozen=True)
class Process:
    """A program on the host.

    Attributes:
        name: of its log and its pid file.
        command: path of the program, and arguments.
        reads: files of its configuration; when one changed it is started anew.
    """

    name: str
    command: tuple[str, ...]
    reads: tuple[Path, ...] = ()

    @property
    def log(self) -> Path:
        """What it says."""
        return paths.LOGS / f"{self.name}.log"

    @property
    def _file(self) -> Path:
        return PIDS / f"{self.name}.json"

    @property
    def _digest(self) -> str:
        state = hashlib.sha256("\0".join(self.command).encode())
        for path in self.reads:
            state.update(b"\0" + path.read_bytes())
        return state.hexdigest()

    def ensure(self) -> None:
        """Leave it alone if it runs with this very command and configuration; otherwise start it anew."""
        known = self._known()
        if known and known["command"] == self._digest and runs(known["pid"], known["started"]):
            return
        self.stop()
        PIDS.mkdir(parents=True, exist_ok=True)
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            self.command[0],
            self.command,
            # Nothing else of the person's: a proxy, say, is not for the node's own addresses.
            {"PATH": packages.SEARCH, MARK: str(paths.RUN)},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
            setsid=True,
        )
        state = {"pid": pid, "started": started(pid), "command": self._digest}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._file)

    def alive(self) -> bool:
        """Whether the process that ``ensure`` started still runs."""
        return file_runs(self._file)

    def wait(self, what: str, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll `ready`.

        Raises:
            NotReady: it was not in time, or the process ended; its last words are in the sentence.
        """

        def ready_or_dead() -> bool:
            return ready() or not self.alive()

        wait(what, ready_or_dead, timeout_s)
        if not self.alive():
            lines = self.log.read_text(errors="replace").strip().splitlines()
            last = lines[-1][:300] if lines else "it said nothing"
            raise NotReady(f"{self.name} ended: {last} (all of it: {self.log.relative_to(paths.ROOT)}).")

    def stop(self) -> None:
        """End it, by force after ten seconds; nothing happens if it does not run."""
        known = self._known()
        if known is not None:
            end(known["pid"], known["started"])
            self._file.unlink(missing_ok=True)

    def _known(self) -> dict[str, int | str] | None:
        return _read(self._file)


def file_runs(file: Path) -> bool:
    """Whether the process of a pid file runs."""
    known = _read(file)
    return known is not None and runs(known["pid"], known["started"])


def kill(file: Path) -> int:
    """End the process of a pid file by force and at once, and remove the file; returns its pid, 0 if none ran."""
    known = _read(file)
    file.unlink(missing_ok=True)
    if known is None or not runs(known["pid"], known["started"]):
        return 0
    pid = int(known["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def _read(file: Path) -> dict[str, int | str] | None:
    try:
        state: dict[str, int | str] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):  # a crash may have left half a file
        return None
    return state


def started(pid: int) -> int:
    """Clock ticks since boot at which the process started: tells it from a later one with its pid. 0 if it is gone."""
    try:
        # The name stands in brackets and may hold any character.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def runs(pid: int | str, since: int | str) -> bool:
    """Whether the process that started at `since` still runs."""
    return started(int(pid)) == int(since) != 0


def end(pid: int | str, since: int | str) -> None:
    """Stop one process, by SIGTERM first; waits until it is gone."""
    for number, patience in ((signal.SIGTERM, _STOPS_WITHIN_S), (signal.SIGKILL, _STOPS_WITHIN_S)):
        if not runs(pid, since):
            return
        try:
            os.kill(int(pid), number)
            wait(f"The end of process {pid}", lambda: not runs(pid, since), patience)
        except (ProcessLookupError, NotReady):
            continue
