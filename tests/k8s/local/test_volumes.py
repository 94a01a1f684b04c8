"""Volumes are made, kept while they are claimed, and wiped when they are released."""

import json
from pathlib import Path

import pytest

from k8s.local import paths, volumes
from k8s.local.kubectl import Kubectl
from tests.k8s.local.conftest import Program


@pytest.fixture
def kubectl(program: Program, tmp_path: Path) -> Kubectl:
    """A kubectl that knows the volumes of `there`, and writes down what it is told."""
    told = tmp_path / "told"
    script = f'case "$*" in *" get "*) cat {tmp_path}/there ;; *) echo "$*" >> {told}; cat >> {told} ;; esac'
    stub = program("kubectl", script)
    paths.PROGRAMS.mkdir()
    (paths.PROGRAMS / "kubectl").symlink_to(stub)
    return Kubectl(tmp_path / "kubeconfig")


def test_volumes_follow_their_phase(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "FOLDER", tmp_path / "volumes")
    phases = {"local-1": "Bound", "local-2": "Available", "local-3": "Released", "local-4": "Failed"}
    items = [{"metadata": {"name": name}, "status": {"phase": phase}} for name, phase in phases.items()]
    (tmp_path / "there").write_text(json.dumps({"items": items}))
    for name in phases:
        (tmp_path / "volumes" / name).mkdir(parents=True)
        (tmp_path / "volumes" / name / "kept").touch()
    volumes.ensure(kubectl)
    told = (tmp_path / "told").read_text()
    made = [f"local-{number}" for number in range(1, volumes.COUNT + 1) if f"name: local-{number}\n" in told]
    assert made == ["local-3", "local-4", "local-5", "local-6"]
    assert [line.split()[-1] for line in told.splitlines() if " delete persistentvolume " in line] == made[:2]
    kept = sorted(path.parent.name for path in (tmp_path / "volumes").glob("*/kept"))
    assert kept == ["local-1", "local-2"]
