"""The command itself, as processes: exit statuses, what is printed, and two of them at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from k8s.rollout import lease
from k8s.rollout.errors import Unreachable
from tests.k8s.rollout.conftest import ApiServer
from tests.k8s.rollout.world import NAMESPACE, NEW, OLD, World, WorldsHelm

PROGRAM: Final = Path(sys.executable).with_name("kubectl-canary")
FAST: Final = (
    "--interval", "1", "--warm-up", "0", "--min-intervals", "3", "--steps", "50", "--without-pairs",
    "--keep-minutes", "0", "--wait-minutes", "1",
)  # fmt: skip
_S: Final = 120
# A helm of a few lines, which hands its words to the world.
_HELM: Final = """#!{python}
import json, sys, urllib.error, urllib.request
words = sys.argv[1:]
if words[0] == "version":
    print("{version}")
    sys.exit()
stdin = sys.stdin.read() if "-" in words else None
body = json.dumps({{"words": words, "stdin": stdin}}).encode()
try:
    urllib.request.urlopen(urllib.request.Request("{url}/helm", body))
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())
"""

pytestmark = pytest.mark.slow


class Terminal:
    """Where the command is typed."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.world = World(server)
        self._folder = folder
        self._helm = WorldsHelm(self.world)
        self.running: list[subprocess.Popen[str]] = []
        server.answers["/helm"] = self._run_helm
        self.url = server.url
        cluster = {"name": "world", "cluster": {"server": server.url}}
        context = {"name": "world", "context": {"cluster": "world", "user": "me", "namespace": NAMESPACE}}
        config = {
            "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context],
            "users": [{"name": "me", "user": {"token": "t"}}], "current-context": "world",
        }  # fmt: skip
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.helm("v4.3.1")

    def helm(self, version: str) -> None:
        self.program = self._folder / "helm"
        self.program.write_text(_HELM.format(python=sys.executable, version=version, url=self.url))
        self.program.chmod(0o755)

    def _run_helm(self, body: bytes) -> tuple[int, bytes]:
        given = json.loads(body)
        words = [word for word in given["words"] if word != str(self.kubeconfig)]
        try:
            self._helm.run(*words, stdin=given["stdin"])
        except Unreachable as error:
            return 500, str(error).encode()
        return 200, b""

    def words(self, command: str, *words: str) -> list[str]:
        helm = ("--helm", str(self.program)) if command in {"start", "resume", "abort", "promote"} else ()
        return [str(PROGRAM), command, "battle", *words, "--kubeconfig", str(self.kubeconfig), *helm]

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(command, *words),
            check=False,
            capture_output=True,
            text=True,
            timeout=_S,
            env=self._environment(),
        )

    def begin(self, command: str, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.words(command, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self._environment(),
        )  # fmt: skip
        self.running.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self._folder), "NO_COLOR": "1"}

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _S
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def terminal(server: ApiServer, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(server, tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_dry_run_writes_nothing(terminal: Terminal) -> None:
    objects = set(terminal.world.server.objects)
    done = terminal.run("start", "--image", NEW, "--dry-run", "--output", "json", "--without-pairs")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert [each["weight"] for each in found["plan"]][-1] == 0
    assert found["expected"]["requests_per_minute"] > 0
    assert set(terminal.world.server.objects) == objects
    assert len(terminal.world.revisions) == 1
    shown = terminal.run("start", "--image", NEW, "--dry-run", "--without-pairs").stdout
    assert "stable takes the new image" in shown
    assert "Expected time to a verdict" in shown


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("--image", OLD, "--without-pairs"), "already"),
        (("--image", "localhost/battle", "--without-pairs"), "exactly one"),
        (("--image", NEW, "--steps", "5,x"), "whole percents"),
        (("--image", NEW, "--no-such-option"), "no-such-option"),
        (("--image", NEW), "ids.existingSecret"),
        (("--image", NEW, "--without-pairs", "--prometheus", "nowhere"), "NAMESPACE/SERVICE:PORT"),
    ],
)
def test_what_is_refused(terminal: Terminal, words: tuple[str, ...], word: str) -> None:
    done = terminal.run("start", *words)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert len(terminal.world.revisions) == 1


def test_helm_3_is_refused(terminal: Terminal) -> None:
    terminal.helm("v3.16.0")
    done = terminal.run("start", "--image", NEW, "--without-pairs")
    assert (done.returncode, "helm 4" in done.stderr) == (2, True)


def test_a_rollout_a_second_driver_and_what_is_told_afterwards(terminal: Terminal) -> None:
    first = terminal.begin("start", "--image", NEW, *FAST, "--output", "json")
    terminal.until(lambda: terminal.world.weight() == 50)
    second = terminal.run("start", "--image", NEW, *FAST)
    assert second.returncode == 5, second.stderr
    during = json.loads(terminal.run("status", "--output", "json").stdout)
    assert (during["state"], during["weight"]) == ("running", 50)
    assert during["driver"]
    out, said = first.communicate(timeout=_S)
    assert first.returncode == 0, said
    assert json.loads(out)["state"] == "promoted"
    assert (terminal.world.image("stable"), terminal.world.image("canary")) == (NEW, None)
    listed = json.loads(terminal.run("history", "--output", "json").stdout)
    assert [(each["name"], each["state"]) for each in listed] == [("battle-rollout-1", "promoted")]
    assert "promoted" in terminal.run("status").stdout
    again = terminal.run("resume")
    assert (again.returncode, "has ended" in again.stderr) == (2, True)


def test_an_abort_goes_through_the_driver_at_work(terminal: Terminal) -> None:
    first = terminal.begin("start", "--image", NEW, *FAST, "--min-intervals", "500")
    terminal.until(lambda: terminal.world.weight() == 50)
    aborted = terminal.run("abort")
    assert aborted.returncode == 0, aborted.stderr
    _, said = first.communicate(timeout=_S)
    assert first.returncode == 4, said
    assert (terminal.world.image("stable"), terminal.world.weight()) == (OLD, 0)


def test_a_killed_driver_is_followed_when_its_lease_has_lapsed(terminal: Terminal) -> None:
    first = terminal.begin("start", "--image", NEW, *FAST, "--min-intervals", "500")
    terminal.until(lambda: terminal.world.weight() == 50)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    early = terminal.run("resume")
    assert early.returncode == 5, early.stderr
    time.sleep(lease.SECONDS)
    out = terminal.run("abort")
    assert out.returncode == 0, out.stderr
    assert (terminal.world.image("stable"), terminal.world.image("canary")) == (OLD, None)


def test_sigterm_gives_the_lease_back(terminal: Terminal) -> None:
    first = terminal.begin("start", "--image", NEW, *FAST, "--min-intervals", "500")
    terminal.until(lambda: terminal.world.weight() == 50)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=_S)
    assert (first.returncode, "resume" in said) == (130, True)
    promoted = terminal.run("promote")
    assert promoted.returncode == 0, promoted.stderr
    assert terminal.world.image("stable") == NEW


def test_rights_are_printed() -> None:
    words = [str(PROGRAM), "rbac", "me", "--namespace", "models", "--prometheus", "monitoring/prometheus:9090"]
    found = list(yaml.safe_load_all(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
    assert [(each["kind"], each["metadata"]["namespace"]) for each in found] == [
        ("Role", "models"), ("RoleBinding", "models"), ("Role", "monitoring"), ("RoleBinding", "monitoring"),
    ]  # fmt: skip
    assert {each["metadata"]["name"] for each in found[:2]} == {"kubectl-canary-models-me"}
    assert {each["metadata"]["name"] for each in found[2:]} == {"kubectl-canary-models-me-prometheus"}
    assert {"kind": "ServiceAccount", "name": "me", "namespace": "models"} in found[3]["subjects"]
