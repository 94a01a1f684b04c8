"""Places of the test's own instead of the machine's, and programs of the machine as the test wants them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from k8s.local import packages, paths, processes

Program = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the machine: a running cluster is neither seen nor touched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "LOGS", tmp_path / "state/logs")
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "state/kubeconfig")
    monkeypatch.setattr(paths, "MODE", tmp_path / "state/mode")
    monkeypatch.setattr(paths, "PROGRAMS", tmp_path / "programs")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(processes, "PIDS", tmp_path / "run/pids")
    return tmp_path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a shell script onto the PATH, which holds nothing else but the shell's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(packages, "SEARCH", str(folder))

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)
        return path

    return put
