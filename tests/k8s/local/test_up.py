"""Whose cluster it is, and one command at a time."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.local import before, down, identity, paths, processes, require, up
from k8s.local.errors import Missing
from k8s.local.processes import Process

ADDRESS = "192.0.2.7"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose identity file, lock, notes and ports are the test's own."""
    # Whatever goes wrong here: the machine's own cluster is not cleared away.
    monkeypatch.setattr(down, "clean", lambda: pytest.fail("a cluster was cleared away"))
    monkeypatch.setattr(up, "_LOCK", tmp_path / "lock/predictiondex")
    monkeypatch.setattr(before, "_NOTED", paths.DATA / "before.json")
    monkeypatch.setattr(before, "SETTINGS", ())
    monkeypatch.setattr(before, "FOLDERS", ())
    monkeypatch.setattr(require, "PORTS", {})
    return tmp_path


@pytest.fixture
def etcd() -> Iterator[Process]:
    process = Process("etcd", (sys.executable, "-c", "import signal; signal.pause()"))
    process.ensure()
    yield process
    process.stop()


def test_our_own_cluster_is_gone_on_with(etcd: Process) -> None:
    identity.note(identity.current(ADDRESS))
    pid_file = processes.PIDS / "etcd.json"
    kept = pid_file.read_text()
    up.adopt(ADDRESS)
    etcd.ensure()
    assert pid_file.read_text() == kept
    assert etcd.alive()


def test_another_checkouts_cluster_that_runs_is_left_alone(etcd: Process, machine: Path) -> None:
    other = identity.current(ADDRESS) | {"checkout": "elsewhere"}
    identity.note(other)
    with pytest.raises(Missing, match=r"^The cluster of elsewhere runs on this machine: `make cluster-down`"):
        up.adopt(ADDRESS)
    assert etcd.alive()
    assert identity.known() == other
    assert not (machine / "data").exists()


def test_a_new_cluster_notes_whose_it_is() -> None:
    up.adopt(ADDRESS)
    assert identity.known() == identity.current(ADDRESS)
    assert identity.known() != identity.current("192.0.2.8")
    assert (paths.DATA / "before.json").is_file()


@pytest.mark.parametrize("left", ['{"boot": "another", "checkout": "elsewhere"}', '{"boot'])
def test_what_a_reboot_or_a_crash_left_is_cleared_away(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean() -> None:
        (paths.RUN / "identity.json").unlink()

    monkeypatch.setattr(down, "clean", clean)
    paths.RUN.mkdir()
    (paths.RUN / "identity.json").write_text(left)
    assert identity.of_this_boot() == (identity.known() is None)
    up.adopt(ADDRESS)
    assert identity.known() == identity.current(ADDRESS)


def test_two_commands_do_not_work_at_a_time() -> None:
    at_work = pytest.raises(Missing, match="Another `make cluster` or `make cluster-down` is at work")
    with up.machine_lock(), at_work, up.machine_lock():
        pytest.fail("both have it")
    with up.machine_lock():
        pass
