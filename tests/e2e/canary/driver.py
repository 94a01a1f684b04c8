"""The command ``kubectl canary`` as a person has it, and what it leaves behind."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from k8s.local import paths
from tests.e2e.cluster import kill, until
from tests.e2e.images import Image
from tests.e2e.release import Release

PROGRAM: Final = Path(sys.executable).with_name("kubectl-canary")
PROMETHEUS: Final = "monitoring/prometheus-operated:9090"
FAST: Final = (
    "--interval", "5", "--warm-up", "1", "--min-intervals", "4", "--steps", "20,50", "--shadow", "0.5",
    "--max-minutes", "15", "--wait-minutes", "2", "--ready-minutes", "2", "--keep-minutes", "0",
    "--prometheus", PROMETHEUS,
)  # fmt: skip
"""So quick that a rollout takes minutes; margins are those of the release's values."""
WIDE: Final[dict[str, Any]] = {
    "slo": {
        "availability": {"objective": 98.0},
        "latency": {"threshold": 2.5, "objective": 95, "p95": 2.5},
        "canary": {"errors": 2.0, "slow": 5.0, "flips": 2.0, "scores": 0.2},
    },
    "autoscaling": {"min": 1, "max": 2, "scaleDownSeconds": 0, "cpu": {"utilization": 1000}},
    "ids": {"existingSecret": "ids"},
}
"""Faults on the cluster are gross: the load generator and all pods share two cores (docs/architecture.md)."""
FAILING: Final[dict[str, Any]] = {"slo": {"canary": {"errors": 0.5}}}
"""Within the margin of ``WIDE`` 5 % of errors would take more intervals than a step has."""
SLOW: Final[dict[str, Any]] = {
    "slo": {"latency": {"threshold": 0.5, "objective": 90, "p95": 0.5}, "canary": {"slow": 5.0}}
}
"""What is slow for a machine whose two cores have everything to do."""
SLOWER: Final = {"PDX_FAULT_SLOW_SECONDS": "0.6"}
"""Beyond that threshold; REST requests wait for the slow ones, so few of them are to be."""
RATE: Final = 30
"""Requests a second of each door, which leaves the pods some of the two cores."""
END_S: Final = 900
"""A rollout of ``FAST`` has ended by then, one way or the other."""
PROMOTED: Final = 0
HELD: Final = 3
OUT: Final = 4
TAKEN: Final = 5
LAPSED_S: Final = 25
"""After a driver was killed its Lease has lapsed by then."""


@dataclass
class Driver:
    """Runs the command for a release.

    Attributes:
        release: that is rolled out.
        kubeconfig: by which it reaches the cluster.
    """

    release: Release
    kubeconfig: Path = paths.KUBECONFIG
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def words(self, command: str, *words: str) -> list[str]:
        """The command line."""
        place = ("--namespace", self.release.space.name, "--kubeconfig", str(self.kubeconfig))
        return [str(PROGRAM), command, self.release.name, *words, *place]

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.words(command, *words), check=False, capture_output=True, text=True, env=_environment(), timeout=END_S
        )

    def start(self, image: Image, *words: str) -> subprocess.Popen[str]:
        """Begin a rollout in a process of its own."""
        return self.begin("start", "--image", image.reference, *FAST, *words)

    def begin(self, command: str, *words: str) -> subprocess.Popen[str]:
        """Begin a command in a process of its own."""
        with (self.release.space.folder / f"driver-{time.monotonic_ns()}.log").open("w") as out:
            process = subprocess.Popen(
                self.words(command, *words), stdout=out, stderr=out, text=True, env=_environment()
            )
        self._running.append(process)
        return process

    def kept(self) -> dict[str, Any]:
        """The record as it is at this moment, straight from its ConfigMap; empty where there is none yet."""
        found = self.release.space.cluster.core.list_namespaced_config_map(self.release.space.name).items
        records = [each.data["rollout.json"] for each in found if "rollout.json" in (each.data or {})]
        record: dict[str, Any] = json.loads(records[-1]) if records else {}
        return record

    def record(self) -> dict[str, Any]:
        """The last rollout, as ``status`` has it."""
        done = self.run("status", "--output", "json")
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def until(self, what: str, true: Callable[[dict[str, Any]], bool], within_s: float = 240) -> None:
        """Wait until something holds for the record."""

        def holds() -> bool:
            record = self.record()
            return bool(record) and true(record)

        until(what, holds, within_s, poll_s=0.5)

    def ended(self, process: subprocess.Popen[str], status: int, within_s: float = END_S) -> dict[str, Any]:
        """Wait for a driver, whose exit status has to be this one; returns the record."""
        found = process.wait(within_s)
        record = self.record()
        assert found == status, f"the driver ended with {found}: {record.get('sentence')}\n{self.log()}"
        return record

    def log(self) -> str:
        """The end of what the last driver has said, without the place of its files."""
        folder = self.release.space.folder
        files = sorted(folder.glob("driver-*.log"))
        return "\n".join(path.read_text()[-_LOG:].replace(f"{folder}/", "") for path in files[-1:])

    def live(self) -> tuple[str, str | None, int]:
        """Image of stable, image of the canary if there is one, weight of the canary."""
        release = self.release
        images = {
            each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in release.space.items("deployments")
        }
        (rule, *_) = release.space.get("httproute", release.name)["spec"]["rules"]
        weights = {each["name"]: each["weight"] for each in rule["backendRefs"]}
        canary = f"{release.name}-canary"
        return images[release.stable], images.get(canary), weights.get(canary, 0)

    def at_weight(self, weight: int = 20, within_s: float = 400) -> None:
        """Wait until the canary has a share of the requests, and has had it for an interval."""
        self.until(
            f"{weight} % go to the canary",
            lambda record: record["weight"] == weight and record["steps"][-1]["intervals"] > 0,
            within_s,
        )

    def signal(self, name: str, *tracks: str) -> None:
        """Send a signal to every server of these tracks."""
        for pod in self.release.pods():
            if pod["metadata"]["labels"]["track"] in tracks:
                for status in pod["status"]["containerStatuses"]:
                    kill(status["containerID"], name)

    def stop(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(30)


_LOG: Final = 20_000


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{paths.PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}", "COLUMNS": "200"}


def with_ids(release: Release) -> Release:
    """Give the release's namespace the key that marks are signed with."""
    key = f"--from-literal=keys={secrets.token_hex(32)}"
    release.space.kubectl("create", "secret", "generic", "ids", key)
    return release


def as_account(release: Release, account: str = "kubectl-canary") -> Path:
    """A kubeconfig of a ServiceAccount that has the printed Role and nothing else."""
    space = release.space
    space.kubectl("create", "serviceaccount", account)
    words = [str(PROGRAM), "rbac", account, "--namespace", space.name, "--prometheus", PROMETHEUS]
    role = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    space.cluster.kubectl("apply", "--filename=-", stdin=role)
    token = space.kubectl("create", "token", account, "--duration=2h").strip()
    path = space.folder / "account.kubeconfig"
    path.write_text(paths.KUBECONFIG.read_text())
    kubectl = [str(paths.PROGRAMS / "kubectl"), f"--kubeconfig={path}", "config"]
    subprocess.run([*kubectl, "set-credentials", account, f"--token={token}"], check=True, capture_output=True)
    subprocess.run([*kubectl, "set-context", "--current", f"--user={account}"], check=True, capture_output=True)
    return path
