"""Processes outlive who started them, are started once, and are told from others with their pid."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.local import paths, processes, prove
from k8s.local.errors import NotReady
from k8s.local.processes import Process

WAITS = "import signal, sys; print('up', flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


def python(code: str, *more: str, name: str = "one") -> Process:
    return Process(name, (sys.executable, "-c", code, *more))


@pytest.fixture
def one() -> Iterator[Process]:
    process = python(WAITS)
    process.ensure()
    process.wait("its word", lambda: "up" in process.log.read_text(), 20)
    yield process
    process.stop()


def pid(name: str = "one") -> int:
    return int(json.loads((processes.PIDS / f"{name}.json").read_text())["pid"])


def test_it_is_started_once(one: Process) -> None:
    before = pid()
    one.ensure()
    assert pid() == before
    assert one.alive()


@pytest.mark.usefixtures("one")
def test_another_command_replaces_it() -> None:
    before = pid()
    other = python(WAITS, "more")
    other.ensure()
    assert pid() != before
    assert processes.started(before) == 0
    assert other.alive()


def test_another_configuration_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    file.write_text("one")
    process = Process("one", python(WAITS).command, (file,))
    process.ensure()
    before = pid()
    process.ensure()
    assert pid() == before
    file.write_text("two")
    process.ensure()
    assert pid() != before
    assert processes.started(before) == 0
    process.stop()


def test_it_is_stopped_also_against_its_will(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_STOPS_WITHIN_S", 1)
    deaf = python(DEAF, name="deaf")
    deaf.ensure()
    deaf.wait("its word", lambda: "up" in deaf.log.read_text(), 20)
    number = pid("deaf")
    deaf.stop()
    assert processes.started(number) == 0
    assert not deaf.alive()
    deaf.stop()


def test_one_that_died_is_started_again(one: Process) -> None:
    file = processes.PIDS / "one.json"
    before, kept = pid(), file.read_text()
    processes.end(before, processes.started(before))
    assert not one.alive()
    assert file.read_text() == kept  # as after a crash, which removes no file
    one.ensure()
    assert pid() != before
    assert one.alive()


def test_a_strangers_pid_is_left_alone(one: Process) -> None:
    number = pid()
    file = processes.PIDS / "stale.json"
    file.write_text(json.dumps({"pid": number, "started": 1, "command": ""}))
    assert not processes.file_runs(file)
    processes.kill(file)
    assert not file.exists()
    assert one.alive()


def test_half_a_pid_file_is_none(one: Process) -> None:
    processes.PIDS.joinpath("one.json").write_text('{"pid": 1')
    assert not one.alive()


def test_one_that_ends_is_told_with_its_last_word() -> None:
    process = python("import sys; sys.exit('port is taken')", name="short")
    process.ensure()
    with pytest.raises(NotReady, match=r"^short ended: port is taken \(all of it: state/logs/short\.log\)\.$"):
        process.wait("its word", lambda: False, 20)


def test_one_that_says_nothing_is_not_waited_for_for_ever(one: Process) -> None:
    with pytest.raises(NotReady, match=r"^The moon did not happen within 0\.1 s\.$"):
        one.wait("The moon", lambda: False, 0.1)


def test_its_children_are_known_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child"
    code = f"import subprocess, sys; open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    parent = python(code, name="parent")
    parent.ensure()
    with pytest.raises(NotReady):  # it ends, and leaves one behind
        parent.wait("nothing", lambda: False, 20)
    number = int(child.read_text())
    found = [process for process in prove.our_processes() if process.pid == number]
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(paths, "RUN", elsewhere)
    strangers = [process for process in prove.our_processes() if process.pid == number]
    processes.end(number, processes.started(number))
    assert [process.command for process in found] == ["sleep 60"]
    assert strangers == []
