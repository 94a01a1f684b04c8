"""``make demo``, as a person at a terminal sees it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import commands
from tests.servers import ROOT, START_SECONDS
from tests.tracking import free_port

pytestmark = pytest.mark.slow

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
_HEEDING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
_COMMAND = (sys.executable, "-c", f"{_HEEDING}; from training.cli import main; main()", "demo")
_STOP_SECONDS = 30.0


def test_the_demo_ends_with_a_served_prediction(demo: str) -> None:
    assert "xgboost: accuracy 0.9" in demo
    assert "The champion is version 1, packaged as bento predictiondex:1-" in demo
    asked, _, answered = demo.partition("POST http")[2].partition("{")[2].partition("}\n{")
    answer = json.loads("{" + answered[: answered.index("\n}\n") + 2])
    request = json.loads("{" + asked + "}")
    assert answer["model"] == {"name": "battle", "version": "1"}
    assert answer["recommended_move"] in request["available_moves_a"]
    assert {move["move"] for move in answer["all_moves"]} == set(request["available_moves_a"])


@dataclass
class Terminal:
    """A demo in the foreground of a terminal, and what it printed there."""

    popen: subprocess.Popen[bytes]
    screen: Path
    ports: tuple[int, int]

    def text(self) -> str:
        return self.screen.read_text()

    def until(self, line: str) -> None:
        end = time.monotonic() + 2 * START_SECONDS
        while line not in self.text():
            assert self.popen.poll() is None, f"exited with {self.popen.returncode}:\n{self.text()}"
            assert time.monotonic() < end, f"no {line!r}:\n{self.text()}"
            time.sleep(0.02)

    def children(self) -> list[int]:
        pid = self.popen.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ctrl_c(self) -> None:
        os.killpg(self.popen.pid, signal.SIGINT)


@contextmanager
def terminal(home: Path, folder: Path, *arguments: str) -> Iterator[Terminal]:
    ports = (free_port(), free_port())
    line = [*_COMMAND, *arguments, "--port", str(ports[0]), "--grpc-port", "0", "--admin-port", str(ports[1])]
    screen = folder / "screen.txt"
    with screen.open("wb") as output:
        # A group of its own, as a shell makes one: Ctrl-C reaches every process of it.
        popen = subprocess.Popen(
            line, cwd=ROOT, env=commands.environment(home), stdout=output, stderr=subprocess.STDOUT, process_group=0
        )
    try:
        yield Terminal(popen, screen, ports)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


@pytest.mark.usefixtures("demo")
def test_the_demo_serves_the_older_champion_on_until_ctrl_c(home: Path, tmp_path: Path) -> None:
    # Too few duels for the gate, so this run's own model is not the one that is served.
    with terminal(home, tmp_path, "--rows", "3000") as shown:
        shown.until("Serving until Ctrl-C.")
        assert "The champion is version 1," in shown.text()
        for attack in ("thunderbolt", "irontail"):
            request = {"pokemon_a": "pikachu", "pokemon_b": "gyarados", "available_moves_a": [attack]}
            answer = httpx.post(f"http://127.0.0.1:{shown.ports[0]}/predict/battle", json=request).json()
            assert (answer["recommended_move"], answer["model"]["version"]) == (attack, "1")
        (server,) = shown.children()
        shown.ctrl_c()
        assert shown.popen.wait(_STOP_SECONDS) == 0
        assert "Traceback" not in shown.text()
        assert not Path(f"/proc/{server}").exists()
        for port in shown.ports:
            with socket.socket() as door:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind(("127.0.0.1", port))
                door.listen()
