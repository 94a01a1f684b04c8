"""The revisions of a rollout: each changes either who runs or who gets traffic, never both.

    canary up, weight 0 (R0) → shadow on → [canary larger → weight] a step → canary at full size → 100 %
    → stable takes the new image → 0 % → canary gone

Forward or one step back, a request finds a ready pod: pods come before the traffic that needs them and go after it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from k8s.rollout.errors import Refused

HEADROOM: Final = 1.25
"""Pods of the canary at its minimum, as a multiple of its share of stable's requests, copies included."""
STEPS: Final = (1, 5, 10, 25, 50)
_SHADOW_OFF: Final = {"share": 0}


class Changes(StrEnum):
    """What a revision changes."""

    PODS = "pods"
    TRAFFIC = "traffic"


class Gate(StrEnum):
    """What has to hold until the next revision may come."""

    GOLDEN = "golden"
    """Canary ready, the versions are those that were asked for, and golden pairs agree."""
    READY = "ready"
    """Every pod that was asked for is ready."""
    EVIDENCE = "evidence"
    """Nothing failed, after the warm-up and a minimum of intervals."""
    PASS = "pass"  # noqa: S105  a word
    """The same, and every required check has passed."""
    ROUTED = "routed"
    """The gateway has taken the weights."""
    DONE = "done"
    """Nothing."""


@dataclass(frozen=True)
class Image:
    """An image as the chart's values have it."""

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Read ``repository:tag``, ``repository@digest`` or both.

        Raises:
            Refused: it has neither, and would be whatever ``latest`` is.
        """
        rest, _, digest = reference.partition("@")
        before, slash, last = rest.rpartition("/")
        name, _, tag = last.partition(":")
        if not name or not (tag or digest):
            raise Refused(f"{reference!r} is no image with a tag or a digest, and a version has to be exactly one.")
        return cls(f"{before}{slash}{name}", tag, digest)

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Revision:
    """One ``helm upgrade``.

    Attributes:
        name: for people.
        changes: pods or traffic.
        gate: what comes before the next one.
        weight: percent of the requests that go to the canary after it.
        values: of the chart, over those of the release.
    """

    name: str
    changes: Changes
    gate: Gate
    weight: int
    values: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Of JSON's own types."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What ``to_json`` made."""
        return cls(**{**state, "changes": Changes(state["changes"]), "gate": Gate(state["gate"])})


@dataclass(frozen=True)
class Shape:
    """What a plan is made for.

    Attributes:
        image: the new one.
        steps: percent of the requests, rising, below 100.
        size: pods of stable when the rollout begins, which it keeps.
        most: pods a track may have, ``autoscaling.max``.
        shadow: share of stable's requests that are copied, 0 to 1.
    """

    image: Image
    steps: tuple[int, ...] = STEPS
    size: int = 1
    most: int = 10
    shadow: float = 0.0

    def pods(self, weight: int) -> int:
        """The canary's minimum at a weight and for copies: at least one, with headroom, and no more than stable has."""
        return max(1, min(math.ceil(self.size * (weight / 100 + self.shadow) * HEADROOM), self.size))


def steps(given: Sequence[int]) -> tuple[int, ...]:
    """Check the weights of a rollout; a last 100 is the promotion's own and is dropped.

    Raises:
        Refused: they do not rise from 1 to 99.
    """
    kept = tuple(given[:-1] if given and given[-1] == 100 else given)
    if not kept or list(kept) != sorted(set(kept)) or kept[0] < 1 or kept[-1] > 99:
        raise Refused("--steps takes whole percents that rise, between 1 and 99, such as 1,5,10,25,50.")
    return kept


def _canary(shape: Shape, weight: int, pods: int) -> dict[str, Any]:
    return {
        "enabled": True,
        "image": asdict(shape.image),
        "weight": weight,
        "autoscaling": {"min": pods, "max": shape.most},
        "stableMin": shape.size,
    }


def make(shape: Shape) -> list[Revision]:
    """All revisions, from ``R0`` to the last. Values are whole: each alone says everything that a rollout sets."""
    pods = shape.pods(shape.steps[0])
    shadow: dict[str, Any] = dict(_SHADOW_OFF)

    def values(weight: int) -> dict[str, Any]:
        return {"canary": _canary(shape, weight, pods), "shadow": dict(shadow)}

    made = [Revision(f"canary up ({_pods(pods)}), weight 0", Changes.PODS, Gate.GOLDEN, 0, values(0))]
    if shape.shadow > 0:
        shadow = {"share": shape.shadow}
        name = f"{shape.shadow:.0%} of requests copied to the canary"
        made.append(Revision(name, Changes.TRAFFIC, Gate.EVIDENCE, 0, values(0)))
    before = 0
    for weight in (*shape.steps, 100):
        wanted = shape.size if weight == 100 else shape.pods(weight)
        if wanted != pods:
            pods = wanted
            made.append(Revision(f"canary at {_pods(pods)}", Changes.PODS, Gate.READY, before, values(before)))
        gate = Gate.ROUTED if weight == 100 else Gate.PASS if weight == shape.steps[-1] else Gate.EVIDENCE
        made.append(Revision(f"{weight} %", Changes.TRAFFIC, gate, weight, values(weight)))
        before = weight
    image = {"image": asdict(shape.image)}
    made.append(Revision("stable takes the new image", Changes.PODS, Gate.READY, 100, {**values(100), **image}))
    shadow = dict(_SHADOW_OFF)
    made.append(Revision("0 %, nothing copied", Changes.TRAFFIC, Gate.ROUTED, 0, {**values(0), **image}))
    made.append(Revision("canary gone", Changes.PODS, Gate.DONE, 0, {**gone(), **image}))
    return made


def resize(plan: list[Revision], place: int, stable: int, canary: int) -> None:
    """Make the track that is about to take all requests as large as the one that has them now, in the plan itself.

    Autoscalers may have made either larger than the plan knew. Before 100 % this puts a revision of pods in front.

    Args:
        plan: all revisions; those from ``place`` on are to come.
        place: of the next one.
        stable: pods that it has now.
        canary: pods that it has now.
    """
    wanted = plan[place]
    if wanted.weight != 100:
        return
    scale = wanted.values["canary"]["autoscaling"]
    if wanted.changes is Changes.TRAFFIC:
        pods = min(stable, scale["max"])
        if pods > scale["min"]:
            plan[place:] = [_with_canary(each, autoscaling={**scale, "min": pods}) for each in plan[place:]]
            larger = plan[place].values["canary"] | {"weight": plan[place - 1].weight}
            values = {**plan[place].values, "canary": larger}
            name = f"canary at {_pods(pods)}"
            plan.insert(place, Revision(name, Changes.PODS, Gate.READY, plan[place - 1].weight, values))
    elif canary > wanted.values["canary"]["stableMin"]:
        pods = min(canary, scale["max"])
        plan[place:] = [_with_canary(each, stableMin=pods) for each in plan[place:]]


def _with_canary(revision: Revision, **changes: Any) -> Revision:
    """The same with other values of a canary that is still to be there."""
    canary = revision.values["canary"]
    if not canary["enabled"]:
        return revision
    return replace(revision, values={**revision.values, "canary": {**canary, **changes}})


def gone() -> dict[str, Any]:
    """Values without a canary, as before the rollout."""
    return {
        "canary": {"enabled": False, "image": asdict(Image("")), "weight": 0, "stableMin": 0},
        "shadow": dict(_SHADOW_OFF),
    }


def hundred(plan: Sequence[Revision]) -> int:
    """Place of the revision with which all requests go to the canary."""
    return next(place for place, each in enumerate(plan) if each.weight == 100 and each.changes is Changes.TRAFFIC)


def _pods(count: int) -> str:
    return f"{count} pod{'' if count == 1 else 's'}"
