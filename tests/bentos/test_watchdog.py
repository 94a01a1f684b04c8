import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bentos.watchdog import GRPC, REST, Watchdog


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def occupied(pool: ThreadPoolExecutor, free: threading.Event) -> None:
    """Give both threads something that ends when ``free`` is set."""
    for _ in range(2):
        pool.submit(free.wait, 30)


def drained(pool: ThreadPoolExecutor) -> None:
    """Wait until what was handed to the pool before is done."""
    barrier = threading.Barrier(3)
    for _ in range(2):
        pool.submit(barrier.wait, 30)
    barrier.wait(30)


def test_what_never_began_has_not_stalled() -> None:
    assert Watchdog().stalled(0) is None


def test_a_loop_that_stops_beating_stalls_and_comes_back() -> None:
    clock = Clock()
    dog = Watchdog(clock)
    dog.beat(REST)
    clock.now += 20.0
    assert dog.stalled(20.0) is None
    clock.now += 3.4
    assert dog.stalled(20.0) == "The REST event loop has not ticked for 23 s."
    dog.beat(REST)
    assert dog.stalled(20.0) is None


def test_a_pool_whose_threads_are_all_taken_stalls_and_comes_back(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    dog = Watchdog(clock)
    dog.probe(GRPC, pool)
    drained(pool)
    free = threading.Event()
    occupied(pool, free)
    dog.probe(GRPC, pool)
    clock.now += 21.0
    # Asking again must not make a stuck pool look fresh.
    dog.probe(GRPC, pool)
    assert dog.stalled(20.0) == "No gRPC thread has taken up a task for 21 s."
    free.set()
    drained(pool)
    assert dog.stalled(20.0) is None


def test_a_pool_that_is_busy_with_calls_that_end_has_not_stalled(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    progressed = [0.0]
    dog = Watchdog(clock, lambda: progressed[0])
    free = threading.Event()
    occupied(pool, free)
    dog.probe(GRPC, pool)
    clock.now += 19.0
    progressed[0] = clock.now
    clock.now += 19.0
    assert dog.stalled(20.0) is None
    clock.now += 2.0
    assert dog.stalled(20.0) == "No gRPC thread has taken up a task for 21 s."
    free.set()
    drained(pool)


def test_a_stuck_pool_gets_one_task_only(pool: ThreadPoolExecutor) -> None:
    dog = Watchdog(Clock())
    free = threading.Event()
    occupied(pool, free)
    dog.probe(GRPC, pool)
    waiting = pool._work_queue.qsize()
    for _ in range(50):
        dog.probe(GRPC, pool)
    assert pool._work_queue.qsize() == waiting
    free.set()


def test_a_pool_that_nobody_asks_has_not_stalled(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    dog = Watchdog(clock)
    dog.probe(GRPC, pool)
    drained(pool)
    clock.now += 1000.0
    assert dog.stalled(20.0) is None


def test_a_closed_pool_and_a_forgotten_door_are_not_missed(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    dog = Watchdog(clock)
    dog.beat(REST)
    dog.forget(REST)
    pool.shutdown()
    dog.probe(GRPC, pool)
    clock.now += 1000.0
    assert dog.stalled(20.0) is None


def test_a_running_loop_beats_for_itself_and_the_pool(pool: ThreadPoolExecutor) -> None:
    clock = Clock()
    dog = Watchdog(clock)

    async def run() -> None:
        task = asyncio.create_task(dog.run(pool, every=0.001))
        for wanted in (50.0, 150.0, 250.0):
            clock.now = wanted
            async with asyncio.timeout(30):
                while dog._beats.get(REST) != wanted or dog._beats.get(GRPC) != wanted:  # noqa: ASYNC110  no event is told
                    await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    clock.now += 1000.0
    assert dog.stalled(20.0) is None
