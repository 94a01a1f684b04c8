"""What a node changed is as it was."""

from pathlib import Path

import pytest

from k8s.local import before


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = tmp_path / "sys"
    for name, value in (
        ("net/ipv4/ip_forward", "0"),
        ("net/bridge/bridge-nf-call-iptables", "0"),
        ("kernel/panic", "1"),
    ):
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(f"{value}\n")
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(before, "_ROOT", settings)
    monkeypatch.setattr(before, "_NOTED", tmp_path / "noted.json")
    monkeypatch.setattr(before, "FOLDERS", (tmp_path / "theirs", tmp_path / "ours"))
    return tmp_path


def test_settings_and_folders_are_put_back(machine: Path) -> None:
    there = before.settings()
    assert there == {"net/ipv4/ip_forward": "0", "net/bridge/bridge-nf-call-iptables": "0", "kernel/panic": "1"}
    before.remember()
    before.set_for_services()
    assert before.settings()["net/ipv4/ip_forward"] == "1"
    (machine / "ours").mkdir()
    before.remember()  # a second time notes nothing, since it is no longer what was before
    before.restore()
    assert before.settings() == there
    assert before.folders() == [str(machine / "theirs")]


def test_without_a_note_nothing_is_touched(machine: Path) -> None:
    before.set_for_services()
    (machine / "ours").mkdir()
    before.restore()
    assert before.settings()["net/ipv4/ip_forward"] == "1"
    assert (machine / "ours").is_dir()
