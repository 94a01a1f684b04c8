"""Runs the users of a plan in this process. Import it before anything that does input or output: it patches Python."""

# ruff: noqa: E402, I001  the patches come first
from locust import LoadTestShape, User

import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()

import logging
import signal
import sys
import time
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import gevent
from locust.stats import stats_history

from loadtests.shapes import Shape
from loadtests.users.base import Load, Run
from loadtests.users.grpc import GrpcUser
from loadtests.users.rest import BattleUser, OipBinaryUser, OipJsonUser

USERS: Final = MappingProxyType({user.door: user for user in (BattleUser, OipJsonUser, OipBinaryUser, GrpcUser)})
"""Users by the name of their door."""
_PROGRESS_SECONDS: Final = 10.0


class Planned(LoadTestShape):
    """Locust's shape of one of ours."""

    def __init__(self, shape: Shape, seconds: float, users: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shape, self._seconds, self._users = shape, seconds, users

    def tick(self) -> tuple[int, float] | None:
        """Users there should be now, all of whom may come or go within a second."""
        at: float = self.get_run_time()  # type: ignore[no-untyped-call]
        users = self._shape.users(at, self._seconds, self._users)
        return None if users is None else (users, float(self._users))


class Ended(NamedTuple):
    """A run that is over.

    Attributes:
        environment: with Locust's own statistics.
        faults: what went wrong in the users themselves, not in the service.
        generator: share of one core that this process used.
        interrupted: whether it was stopped before its time.
    """

    environment: Load
    faults: list[str]
    generator: float
    interrupted: bool


def execute(run: Run, *, host: str, doors: list[str], shape: Shape, seconds: float, users: int) -> Ended:
    """Run users until the end of the shape.

    Args:
        run: what they ask, and the tally.
        host: URL of the REST door.
        doors: keys of ``USERS``.
        shape: how many users there are when.
        seconds: length of the run.
        users: most of them.
    """
    logging.getLogger("locust").setLevel(logging.WARNING)
    classes: list[type[User]] = [USERS[door] for door in doors]
    # Requests in flight at the end are waited for.
    environment = Load(
        run, user_classes=classes, shape_class=Planned(shape, seconds, users), host=host, stop_timeout=15
    )
    runner = environment.create_local_runner()
    tally = run.tally
    tally.users = lambda: runner.user_count
    environment.events.request.add_listener(_counter(run))  # type: ignore[no-untyped-call]
    helpers = [gevent.spawn(stats_history, runner), gevent.spawn(_progress, run)]
    used, start = time.process_time(), time.monotonic()
    tally.start()
    stops: list[gevent.Greenlet] = []

    def stop() -> None:
        if not stops:
            stops.append(gevent.spawn(runner.stop))

    # Python's own KeyboardInterrupt would be raised in whichever user is awake.
    watchers = [gevent.signal_handler(number, stop) for number in (signal.SIGINT, signal.SIGTERM)]
    runner.start_shape()
    assert runner.shape_greenlet is not None  # noqa: S101  for the type checker: it was just started
    runner.shape_greenlet.join()
    gevent.joinall(stops)
    for watcher in watchers:
        watcher.cancel()
    generator = (time.process_time() - used) / (time.monotonic() - start)
    gevent.killall(helpers)
    faults = [str(fault["msg"]) for fault in runner.exceptions.values()]
    return Ended(environment, faults, generator, bool(stops))


def _counter(run: Run) -> Any:
    def count(response_time: float, exception: object, context: dict[str, str], **_: object) -> None:
        run.tally.count(context["door"], response_time / 1000, None if exception is None else str(exception))

    return count


def _progress(run: Run) -> None:
    tally = run.tally
    while True:
        before = tally.total
        gevent.sleep(_PROGRESS_SECONDS)
        rate = (tally.total - before) / _PROGRESS_SECONDS
        sys.stderr.write(
            f"{tally.elapsed:5.0f} s: {tally.users()} users, {rate:,.0f} requests a second, {tally.failed:,} failed\n"
        )
