"""Clients that ask all the while, and what became of each of their requests.

    with Load(folder, host) as load:
        load.answered(200)
        with load.during("upgrade") as phase: ...
        print(phase.tally)

REST goes to the gateway's listener with keep-alive, gRPC to the same as HTTP/2 without TLS; the host name of the route
leads both. Nothing is asked again unless ``retry`` is on (``generator.WAITS_S``), and first failures are told even so.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = (sys.executable, "-m", "tests.e2e.generator")
REST: Final = ("127.0.0.1", 7080)
GRPC: Final = ("127.0.0.1", 7080)
_STOP_S: Final = 60


class Request(NamedTuple):
    """One request and its end.

    Attributes:
        door: ``rest`` or ``grpc``.
        sent: monotonic seconds.
        ended: the same.
        version: of the model that answered, or None.
        failure: the kind of the last failure, or None.
        raw: time and kind of every failure, also of those that a retry made good.
    """

    door: str
    sent: float
    ended: float
    version: str | None
    failure: str | None
    raw: list[tuple[float, str]]


class Tally(NamedTuple):
    """What became of a number of requests."""

    requests: int
    failed: int
    raw: int
    kinds: dict[str, int]
    versions: dict[str, int]
    slowest_s: float

    @classmethod
    def of(cls, requests: Iterable[Request]) -> "Tally":
        """Count them."""
        given = list(requests)
        return cls(
            len(given),
            sum(each.failure is not None for each in given),
            sum(len(each.raw) for each in given),
            dict(Counter(f"{each.door} {kind}" for each in given for _, kind in each.raw)),
            dict(sorted(Counter(each.version for each in given if each.version is not None).items())),
            max((each.ended - each.sent for each in given), default=0.0),
        )

    def __str__(self) -> str:
        retried = f", {self.raw} before a retry" if self.raw != self.failed else ""
        kinds = f" {self.kinds}" if self.kinds else ""
        versions = ", ".join(f"{count} by version {version}" for version, count in self.versions.items())
        return (
            f"{self.requests} requests, {self.failed} failed{retried}{kinds}; {versions or 'none answered'}; "
            f"slowest {self.slowest_s:.2f} s"
        )


@dataclass
class Phase:
    """A stretch of time, and the requests that were sent in it."""

    name: str
    load: "Load"
    start: float = field(default_factory=time.monotonic)
    end: float | None = None

    def requests(self) -> list[Request]:
        """Those sent since the start, and before the end where it has come."""
        end = float("inf") if self.end is None else self.end
        return [each for each in self.load.requests() if self.start <= each.sent < end]

    @property
    def tally(self) -> Tally:
        """What became of them."""
        return Tally.of(self.requests())

    def __str__(self) -> str:
        return f"{self.name}: {self.tally}; {(self.end or time.monotonic()) - self.start:.1f} s"


class Load:
    """The running clients.

    Args:
        folder: where the record is written.
        host: the route's host name.
        rate: requests a second of each door.
        connections: of each door.
        retry: whether clients ask again after what no server of ours answered.
        rest: address and port that REST is asked at.
        grpc: the same of gRPC.
        timeout_s: seconds until a request has failed.
        headers: further ones of every request, metadata over gRPC.
        command: what runs the generator.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        *,
        rate: float = 60,
        connections: int = 8,
        retry: bool = False,
        rest: tuple[str, int] = REST,
        grpc: tuple[str, int] = GRPC,
        timeout_s: float = 10,
        headers: Mapping[str, str] | None = None,
        command: Sequence[str | Path] = HERE,
    ) -> None:
        self._out = folder / f"requests-{time.monotonic_ns()}.jsonl"
        self._plan: dict[str, Any] = {
            "host": host, "rate": rate, "connections": connections, "retry": retry,
            "rest": rest, "grpc": grpc, "timeout_s": timeout_s, "headers": dict(headers or {}),
        }  # fmt: skip
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None
        self._read = 0
        self._requests: list[Request] = []

    def __enter__(self) -> Self:
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, text=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._plan) + "\n")
        self._process.stdin.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is None:
            return
        try:
            # kubectl was seen to keep the end of its input to itself, and to wait.
            _, said = self._process.communicate("stop\n", timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, said = self._process.communicate()
        status, self._process = self._process.returncode, None
        if kind is None:
            assert status == 0, f"the clients ended with {status}: {said}"

    def stop(self) -> Tally:
        """Let the clients finish what they have begun; returns what became of all requests."""
        self.__exit__(None, None, None)
        return Tally.of(self.requests())

    def requests(self) -> list[Request]:
        """Every request that has ended so far."""
        with self._out.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        self._requests += [Request(*json.loads(line)) for line in whole.splitlines()]
        return self._requests

    def until(self, what: str, true: Callable[[list[Request]], bool], within_s: float) -> None:
        """Poll the requests until something holds for them."""
        deadline = time.monotonic() + within_s
        while not true(self.requests()):
            assert self._process is None or self._process.poll() is None, "the clients have ended"
            assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s; {Tally.of(self.requests())}"
            time.sleep(0.1)

    def answered(self, more: int = 100, version: str | None = None, within_s: float = 60) -> None:
        """Wait for further answers of both doors; with ``version`` for as many in a row that are that version's."""
        start = time.monotonic()

        def enough(requests: list[Request]) -> bool:
            for door in ("rest", "grpc"):
                new = [each for each in requests if each.door == door and each.sent >= start and each.version]
                last = new[-more:]
                if len(last) < more or (version is not None and {each.version for each in last} != {version}):
                    return False
            return True

        self.until(f"{more} answers{f' of version {version}' if version else ''}", enough, within_s)

    @contextmanager
    def during(self, name: str) -> Iterator[Phase]:
        """What is sent in the block."""
        phase = Phase(name, self)
        try:
            yield phase
        finally:
            phase.end = time.monotonic()
