"""A driver of a world, each time as a new process, and what it has to come to."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from k8s.rollout import back, prepare
from k8s.rollout.api import Api
from k8s.rollout.engine import Engine
from k8s.rollout.lease import Lease
from k8s.rollout.live import Live
from k8s.rollout.options import Options
from k8s.rollout.prepare import Prepared
from k8s.rollout.record import Record, Records
from k8s.rollout.work import Work
from tests.k8s.rollout.world import NEW, OLD, Killed, World, WorldsHelm

FAST: Final = Options(
    steps=(10, 50), interval=15, warm_up=1, min_intervals=4, pairs=False, keep_minutes=0.0,
    max_minutes=0.5, wait_minutes=0.03, ready_minutes=0.05,
)  # fmt: skip
HOTFIX: Final = {"image": {"repository": "localhost/battle", "tag": "v1hotfix"}}
"""What someone deploys in the middle."""
QUICK: Final = Options(**{**vars(FAST), "warm_up": 0, "min_intervals": 2})
REVISIONS: Final = 8  # canary up, 10 %, larger, 50 %, 100 %, stable, 0 %, canary gone
"""Of a plan with these steps, for a stable of two pods."""


class Driver:
    """Drives the release of a world, each time as a new process would."""

    def __init__(self, world: World, api: Api) -> None:
        self.world, self.api = world, api
        self.helm = WorldsHelm(world)
        self.said: list[str] = []
        self.hear: Callable[[str, Work], None] = lambda *_: None

    @property
    def record(self) -> Record:
        return Records(self.api, "battle").newest()

    def prepare(self, options: Options = FAST) -> Prepared:
        return prepare.prepare(self.api, self.helm, "battle", NEW, options, given_chart=None, say=self.said.append)

    def start(self, options: Options = FAST) -> None:
        prepared = self.prepare(options)
        Records(self.api, "battle").create(prepared.record)
        self.drive(prepared.record, resumed=False)

    def killed_at(self, word: str, options: Options) -> None:
        """Start, and be killed when a line with that word is said."""

        def kill(line: str, _: Work) -> None:
            if word in line:
                raise Killed

        self.hear = kill
        with pytest.raises(Killed):
            self.start(options)
        self.hear = lambda *_: None

    def resume(self, **changes: Any) -> None:
        record = self.record
        for key, value in changes.items():
            setattr(record, key, value)
        self.drive(record, resumed=True)

    def drive(self, record: Record, *, resumed: bool) -> None:
        self.with_work(record, lambda mine: Engine(mine).run(resumed=resumed))

    def with_work(self, record: Record, do: Callable[[Work], None]) -> None:
        with Lease(self.api, "battle") as held:
            options = Options.from_json(record.settings)
            records, live = Records(self.api, "battle"), Live(self.api, "battle")

            def say(line: str) -> None:
                self.said.append(line)
                self.hear(line, mine)

            mine = Work(self.api, self.helm, live, records, record, held, options, say)
            do(mine)


def promoted(world: World) -> None:
    assert (world.image("stable"), world.image("canary"), world.weight()) == (NEW, None, 0)
    config = world.revisions[-1]["config"]
    assert config["image"]["tag"] == "v2"
    assert not config["canary"]["enabled"]
    assert config["canary"]["stableMin"] == 0


def rolled_back(world: World) -> None:
    assert (world.image("stable"), world.image("canary"), world.weight()) == (OLD, None, 0)


def never_both(world: World) -> None:
    """No write of helm's changed who runs and who gets traffic at once."""
    for (weight, *images), (next_weight, *next_images) in zip(world.writes, world.writes[1:], strict=False):
        assert weight == next_weight or images == next_images, world.writes


def by_abort(mine: Work) -> None:
    back.abort(mine, "A person asked for it.")
    back.clean(mine)


def by_patch(world: World) -> None:
    found = world.live("HorizontalPodAutoscaler", "battle-stable")
    found["spec"]["minReplicas"] = 1
    world.put(found)


def by_rollback(world: World) -> None:
    world.rollback(2, ())


def at_upgrade(place: int, do: Callable[[], None]) -> Callable[[tuple[str, ...]], None]:
    """For ``before`` and ``half`` of a world: something that is done once, at one of helm's upgrades."""
    upgrades = 0

    def count(words: tuple[str, ...]) -> None:
        nonlocal upgrades
        if words[0] == "upgrade":
            upgrades += 1
            if upgrades == place + 1:
                do()

    return count


def at_write(place: int, moment: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the driver once, before, in the middle of or after one of helm's next writes.

    Args:
        place: of the write, 0 for the next one.
        moment: ``before``, ``half`` or ``after``.
    """
    writes = 0

    def kill(_: object) -> None:
        nonlocal writes
        writes += 1
        if writes == place + 1:
            raise Killed

    if moment != "after":
        before: Callable[[tuple[str, ...]], None] = getattr(world, moment)

        def both(words: tuple[str, ...]) -> None:
            before(words)
            kill(words)

        setattr(world, moment, both)
        return
    run = WorldsHelm.run

    def running(self: WorldsHelm, *words: str, stdin: str | None = None) -> str:
        said = run(self, *words, stdin=stdin)
        kill(words)
        return said

    monkeypatch.setattr(WorldsHelm, "run", running)


def grown(world: World, pods: int = 7) -> Callable[[tuple[str, ...]], None]:
    """For ``half`` of a world: an autoscaler that has made a canary with all requests so large."""

    def scale(_: tuple[str, ...]) -> None:
        # An upgrade leaves the number of pods to the autoscaler.
        if world.image("canary") and world.weight() == 100:
            world.live("Deployment", "battle-canary")["spec"]["replicas"] = pods

    return scale


def killed() -> None:
    """What the driver never hears of, since it is no more."""
    raise Killed
