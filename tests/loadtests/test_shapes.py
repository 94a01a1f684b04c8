"""Users over time."""

import itertools

import pytest

from loadtests.shapes import SHAPES


def planned(name: str, seconds: int = 100, users: int = 20) -> list[int]:
    shape = SHAPES[name]
    return [count for at in range(seconds) if (count := shape.users(at, seconds, users)) is not None]


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_keeps_its_bounds_and_ends(name: str) -> None:
    users = planned(name)
    assert len(users) == 100
    assert set(users) <= set(range(1, 21))
    assert max(users) == 20
    assert SHAPES[name].users(100, 100, 20) is None
    assert SHAPES[name].users(50, 100, 1) == 1


def test_steady_has_all_users_at_once() -> None:
    assert planned("steady") == [20] * 100


def test_a_ramp_rises_evenly_and_holds() -> None:
    users = planned("ramp")
    assert users == sorted(users)
    assert users[0] == 1
    assert users[40] == 10
    assert users[80:] == [20] * 20
    assert max(later - earlier for earlier, later in itertools.pairwise(users)) == 1


def test_a_spike_comes_at_once_and_goes() -> None:
    assert planned("spike") == [5] * 40 + [20] * 20 + [5] * 40


def test_a_soak_lasts_ten_minutes_of_all_users() -> None:
    assert SHAPES["soak"].seconds == 600
    assert planned("soak")[5:] == [20] * 95
