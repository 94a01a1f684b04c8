"""Whether the doors still make progress: what ``/livez`` asks.

The REST loop beats a few times a second. The admin door runs on the same loop, so a loop that stands still cannot
say so: its probe gets no answer, and the kubelet's timeout counts that as a failure. Its beat says something to whoever
asks from another thread, and right after a stall. The gRPC threads are what has to be asked for: a task that does
nothing is handed to their pool, and as long as it waits there while no call comes to its end, nothing moves: under load
it waits behind other calls, and that is no stall. One task at a time: a pool that is stuck gets no queue of them. Not
seen is a gRPC library whose own threads stopped taking connections.
"""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from time import monotonic
from typing import Final

EVERY_SECONDS: Final = 0.5
REST: Final = "rest"
GRPC: Final = "grpc"

_SENTENCES: Final = {
    REST: "The REST event loop has not ticked for {age:.0f} s.",
    GRPC: "No gRPC thread has taken up a task for {age:.0f} s.",
}


class Watchdog:
    """Knows since when something has not moved; safe to use from several threads.

    Args:
        clock: seconds that only grow.
        progressed: when a gRPC call last came to its end, by the same clock.
    """

    def __init__(
        self, clock: Callable[[], float] = monotonic, progressed: Callable[[], float] = lambda: -math.inf
    ) -> None:
        self._clock = clock
        self._progressed = progressed
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def beat(self, name: str) -> None:
        """Something moved. What has beaten once is expected to go on, until it is forgotten."""
        with self._lock:
            self._beats[name] = self._clock()
            self._asked.pop(name, None)

    def probe(self, name: str, pool: Executor) -> None:
        """Let a pool's thread beat, unless the last such task still waits; a pool that was shut down is forgotten."""
        with self._lock:
            if name in self._asked:
                return
            self._asked[name] = self._clock()
        try:
            pool.submit(self.beat, name)
        except RuntimeError:
            self.forget(name)

    def forget(self, name: str) -> None:
        """Expect no more beats: its door is being closed."""
        with self._lock:
            self._beats.pop(name, None)
            self._asked.pop(name, None)

    def stalled(self, seconds: float) -> str | None:
        """One sentence about what has not moved for longer than ``seconds``, or None."""
        with self._lock:
            now = self._clock()
            # Of a pool, the wait of its task counts and not its last beat: who hands out the tasks may itself be late.
            since = {name: at for name, at in self._beats.items() if name != GRPC} | self._asked
        if GRPC in since:
            since[GRPC] = max(since[GRPC], self._progressed())
        for name, at in since.items():
            if now - at > seconds:
                return _SENTENCES.get(name, f"{name} has not moved for {{age:.0f}} s.").format(age=now - at)
        return None

    async def run(self, pool: Executor | None = None, every: float = EVERY_SECONDS) -> None:
        """Beat for the running loop and probe the gRPC pool, until cancelled."""
        try:
            while True:
                self.beat(REST)
                if pool is not None:
                    self.probe(GRPC, pool)
                await asyncio.sleep(every)
        finally:
            self.forget(REST)
            self.forget(GRPC)
