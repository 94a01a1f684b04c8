"""Runs wrk and ghz, and reads what they report."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.bench.payloads import Payload
from loadtests.bench.places import Cores
from loadtests.bench.wire import CALL, PROTO

_SCRIPT: Final = Path(__file__).parent / "post.lua"
_GRACE_SECONDS: Final = 30.0


class LoadError(Exception):
    """A load generator failed or requests did; the message is one sentence."""


@dataclass(frozen=True)
class Load:
    """What one run of a generator saw.

    Attributes:
        rps: answered requests a second.
        p50_ms: median latency in milliseconds.
        p99_ms: 99th percentile of the latency in milliseconds.
        requests: how many were answered.
        busy: share of its core that the generator used, in [0, 1]; near 1 it was the limit, not the server.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    requests: int
    busy: float = 0.0


def read_wrk(text: str, busy: float = 0.0) -> Load:
    """Read the JSON line that post.lua writes last.

    Raises:
        LoadError: it is missing, a request failed, or none was answered.
    """
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError("wrk wrote no result.")
    seen: dict[str, int] = json.loads(lines[-1])
    if seen["status"] or seen["socket"]:
        raise LoadError(f"{seen['status']} answers were no success and {seen['socket']} requests got none.")
    if not seen["requests"]:
        raise LoadError("No request was answered.")
    rps = seen["requests"] / (seen["duration_us"] / 1e6)
    return Load(rps, seen["p50_us"] / 1000, seen["p99_us"] / 1000, seen["requests"], busy)


def read_ghz(text: str, busy: float = 0.0) -> Load:
    """Read the JSON report of ghz.

    Raises:
        LoadError: a request failed, or none was answered.
    """
    report: dict[str, Any] = json.loads(text)
    failed = {status: count for status, count in (report["statusCodeDistribution"] or {}).items() if status != "OK"}
    if failed or report.get("errorDistribution"):
        first = next(iter(report.get("errorDistribution") or failed))
        raise LoadError(f"{sum(failed.values())} calls failed: {first[:150]}")
    if not report["count"]:
        raise LoadError("No call was answered.")
    latencies = {entry["percentage"]: entry["latency"] / 1e6 for entry in report["latencyDistribution"]}
    return Load(report["rps"], latencies[50], latencies[99], report["count"], busy)


@dataclass(frozen=True)
class Generators:
    """The two load generators.

    Attributes:
        wrk: the program.
        ghz: the program; None where no gRPC contender is measured.
        cores: which core they run on.
        folder: for the files with bodies.
    """

    wrk: str
    ghz: str | None
    cores: Cores
    folder: Path

    def http(self, url: str, payload: Payload, *, connections: int, seconds: float, lines: bool = False) -> Load:
        """Load a URL with POSTs by wrk on one thread; with `lines` every line of the body is a request, in turn."""
        begun = time.monotonic()
        return read_wrk(*_finish(self._start_http(url, payload, connections, seconds, lines=lines), seconds, begun))

    def _start_http(
        self, url: str, payload: Payload, connections: int, seconds: float, *, lines: bool = False, tag: str = ""
    ) -> subprocess.Popen[str]:
        headers, body = self.folder / f"headers{tag}.txt", self.folder / f"body{tag}"
        headers.write_text("".join(f"{name}: {value}\n" for name, value in payload.headers.items()))
        body.write_bytes(payload.body)
        command = [self.wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "20s"]
        command += ["-s", str(_SCRIPT), url, "--", str(headers), "lines" if lines else "one", str(body)]
        return subprocess.Popen(
            self.cores.pin_generator(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def grpc(self, port: int, payload: Payload, *, concurrency: int, seconds: float) -> Load:
        """Load ModelInfer with one message by ghz, all calls over one connection."""
        if self.ghz is None:
            raise LoadError("ghz is missing.")
        body = self.folder / "message.binpb"
        body.write_bytes(payload.body)
        command = [self.ghz, "--insecure", "--proto", str(PROTO), "--call", CALL, "--binary-file", str(body)]
        command += ["--concurrency", str(concurrency), "--duration", f"{seconds:.0f}s", "--duration-stop", "wait"]
        command += ["--format", "json", f"127.0.0.1:{port}"]
        begun = time.monotonic()
        process = subprocess.Popen(
            self.cores.pin_generator(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return read_ghz(*_finish(process, seconds, begun))

    def mixed(self, url: str, single: Payload, batch: Payload, *, seconds: float) -> tuple[Load, Load]:
        """Single rows on one connection and batches on another at the same time: the loads of both."""
        # The batches begin before and end after the single rows: no row is asked without one under way.
        begun = time.monotonic()
        background = self._start_http(url, batch, 1, seconds + 2, tag="-batch")
        try:
            time.sleep(1)
            singles = self.http(url, single, connections=1, seconds=seconds)
        except BaseException:
            background.kill()
            background.communicate()
            raise
        return singles, read_wrk(*_finish(background, seconds + 2, begun))


def _finish(process: subprocess.Popen[str], seconds: float, begun: float) -> tuple[str, float]:
    """Output and share of one core of a generator that ends by itself after `seconds`."""
    before = os.times()
    try:
        output, errors = process.communicate(timeout=seconds + _GRACE_SECONDS)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise LoadError(f"The generator did not end {_GRACE_SECONDS:.0f} s after its {seconds:.0f} s.") from error
    after = os.times()
    if process.returncode != 0:
        raise LoadError(f"The generator failed: {(errors or output).strip()[-150:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return output, min(1.0, used / (time.monotonic() - begun))
