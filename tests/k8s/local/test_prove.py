"""A leftover of each kind is a line."""

import dataclasses

import pytest

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
