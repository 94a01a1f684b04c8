"""Every revision changes either who runs or who gets traffic, forward and one step back, and pods come first."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s.rollout import plan
from k8s.rollout.errors import Refused
from k8s.rollout.plan import Changes, Gate, Image, Revision, Shape
from k8s.rollout.release import merged

BEFORE: dict[str, Any] = {
    "image": {"repository": "localhost/battle", "tag": "v1", "digest": ""},
    "canary": {
        "enabled": False,
        "image": {"repository": "", "tag": "", "digest": ""},
        "weight": 0,
        "autoscaling": {"min": 1, "max": 10},
        "stableMin": 0,
    },
    "shadow": {"share": 0},
}
PODS = (("image",), ("canary", "enabled"), ("canary", "image"), ("canary", "autoscaling"), ("canary", "stableMin"))
TRAFFIC = (("canary", "weight"), ("shadow",))

shapes = st.builds(
    Shape,
    image=st.just(Image("localhost/battle", "v2")),
    steps=st.lists(st.integers(1, 99), min_size=1, max_size=8, unique=True).map(lambda each: tuple(sorted(each))),
    size=st.integers(1, 40),
    most=st.just(40),
    shadow=st.sampled_from((0.0, 0.1, 1.0)),
)


def at(values: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def states(revisions: list[Revision]) -> list[dict[str, Any]]:
    """Whole values after each revision, as helm merges them, beginning with those before."""
    found = [BEFORE]
    for each in revisions:
        found.append(merged(found[-1], each.values))
    return found


@given(shapes)
def test_a_revision_changes_pods_or_traffic(shape: Shape) -> None:
    revisions = plan.make(shape)
    whole = states(revisions)
    for before, after, revision in zip(whole, whole[1:], revisions, strict=False):
        # Back is the same pair the other way round.
        pods = [path for path in PODS if at(before, path) != at(after, path)]
        traffic = [path for path in TRAFFIC if at(before, path) != at(after, path)]
        assert bool(pods) != bool(traffic), (revision.name, pods, traffic)
        assert bool(pods) == (revision.changes is Changes.PODS), revision.name


@given(shapes)
def test_traffic_finds_the_pods_it_needs(shape: Shape) -> None:
    for state in states(plan.make(shape))[1:]:
        canary, weight = state["canary"], state["canary"]["weight"]
        if weight:
            assert canary["enabled"]
        if canary["enabled"]:
            assert canary["stableMin"] == shape.size  # going back is one write at any time
            least = min(shape.size, shape.size * (weight / 100 + state["shadow"]["share"]))
            assert least <= canary["autoscaling"]["min"] <= shape.size
        new = state["image"]["tag"] == "v2"
        # Stable changes its image only while nobody asks it, and asks come back only to the new one.
        assert not new or weight in {0, 100}


@given(shapes)
def test_the_way_is_whole(shape: Shape) -> None:
    revisions = plan.make(shape)
    assert revisions[0].weight == 0
    assert revisions[0].gate is Gate.GOLDEN
    gates = [each.gate for each in revisions]
    assert gates.count(Gate.PASS) == 1
    assert gates.index(Gate.PASS) < plan.hundred(revisions)
    weights = [each.weight for each in revisions if each.changes is Changes.TRAFFIC and each.weight]
    assert weights == [*shape.steps, 100]
    last = states(revisions)[-1]
    assert last["image"] == {"repository": "localhost/battle", "tag": "v2", "digest": ""}
    rest = merged(last, {"image": BEFORE["image"], "canary": {"autoscaling": BEFORE["canary"]["autoscaling"]}})
    assert rest == BEFORE
    assert [Revision.from_json(each.to_json()) for each in revisions] == revisions


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("localhost:5000/a/b:v1", Image("localhost:5000/a/b", "v1", "")),
        ("a@sha256:12", Image("a", "", "sha256:12")),
        ("a/b:v@sha256:12", Image("a/b", "v", "sha256:12")),
    ],
)
def test_images(text: str, image: Image) -> None:
    assert Image.parse(text) == image


@pytest.mark.parametrize("text", ["", "battle", "localhost:5000/battle"])
def test_an_image_without_a_version_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="exactly one"):
        Image.parse(text)


@pytest.mark.parametrize("given_steps", [[], [100], [0, 5], [5, 5], [10, 5], [5, 101]])
def test_steps_that_do_not_rise(given_steps: list[int]) -> None:
    with pytest.raises(Refused, match="rise"):
        plan.steps(given_steps)


def test_a_last_hundred_is_the_promotions_own() -> None:
    assert plan.steps([1, 50, 100]) == (1, 50)
