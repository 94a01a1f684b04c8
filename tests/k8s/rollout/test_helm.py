"""helm as a process of its own, beside signals that are for the driver."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.rollout.helm import Helm

_SLOW = """#!/bin/sh
touch {folder}/began
sleep 1
touch {folder}/ended
"""


class Stopped(BaseException):
    """As of the command."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(request.param, stop)
    yield request.param
    signal.signal(request.param, before)


def test_a_helm_at_work_ends_before_the_driver_stops(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "helm"
    program.write_text(_SLOW.format(folder=tmp_path))
    program.chmod(0o755)

    def send() -> None:
        while not (tmp_path / "began").exists():
            ended.wait(0.01)
        os.kill(os.getpid(), number)

    ended = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(Stopped):
        Helm(str(program), None, None, "models").run("upgrade")
    thread.join()
    assert (tmp_path / "ended").exists()
