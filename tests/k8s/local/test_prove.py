"""A leftover of each kind is a line."""

import dataclasses
from pathlib import Path

import pytest

from k8s.local import __main__ as local
from k8s.local import prove
from k8s.local.prove import Snapshot

NOTHING = Snapshot(*((),) * len(dataclasses.fields(Snapshot)))


@pytest.mark.parametrize("kind", [field.name for field in dataclasses.fields(Snapshot)])
def test_a_leftover_is_named(kind: str) -> None:
    after = dataclasses.replace(NOTHING, **{kind: ("one", "two")})
    before = dataclasses.replace(NOTHING, **{kind: ("one",)})
    assert prove.differences(before, after) == [f"{kind}: left behind: two"]
    assert prove.differences(after, before) == [f"{kind}: gone: two"]
    assert prove.differences(after, after) == []


def test_the_machine_can_be_looked_at() -> None:
    seen = prove.snapshot()
    assert any(mount.startswith("/ (") for mount in seen.mounts)
    assert "lo" in seen.links
    assert any(setting.startswith("net/ipv4/ip_forward = ") for setting in seen.settings)


def test_another_process_compares_with_what_was_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "there/before.json"
    prove.write(dataclasses.replace(NOTHING, links=("lo",)), file)
    monkeypatch.setattr(prove, "snapshot", lambda: dataclasses.replace(NOTHING, links=("lo",)))
    assert local.main(["compare", str(file)]) == 0
    monkeypatch.setattr(prove, "snapshot", lambda: dataclasses.replace(NOTHING, links=("lo", "cni0")))
    assert local.main(["compare", str(file)]) == 1
    assert "links: left behind: cni0" in capsys.readouterr().err
    for text in ("", "[]", '{"links": 3}'):
        file.write_text(text)
        assert local.main(["compare", str(file)]) == 1
        assert "is no snapshot" in capsys.readouterr().err
