"""The metrics of one process: what the doors call, and what a scrape reads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import random
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bentos.contract import Contract
from bentos.metrics.drift import OBSERVED_PER_SECOND
from bentos.metrics.family import Family
from bentos.metrics.labels import EDGES, TRANSPORTS, Transport
from bentos.metrics.model import Model
from bentos.metrics.traffic import Entry, Traffic

if TYPE_CHECKING:
    from bentos.core import Prediction

RING: Final = 4096
"""Requests between two folds. A fold takes some 2 ms, which then is no part of the slowest hundredth of requests:
with 16 in flight it holds up 16 of 4,096."""


class Metrics:
    """Safe to use from several threads; made before the model is loaded, and bound to it once.

    Args:
        edges: upper edges of the buckets of a request's duration, in seconds.
        observed_per_second: rows of monitored columns that are binned, on average.
    """

    def __init__(self, edges: Sequence[float] = EDGES, observed_per_second: float = OBSERVED_PER_SECOND) -> None:
        self._ring: deque[Entry] = deque()
        self._append = self._ring.append
        self._lock = threading.Lock()
        self._traffic = Traffic(edges)
        self._model: Model | None = None
        self._observed_per_second = observed_per_second
        self._share = 1.0
        self._in_flight: dict[str, Callable[[], int]] = {}
        self._keys_reloaded: Callable[[], bool] = lambda: True
        self._ids_reloaded: Callable[[], bool] = lambda: True
        self._scratch_used: Callable[[], int] | None = None
        self._scratch = Family("process_scratch_bytes", "Size of the files in the scratch folder.", kind="gauge")
        self._scratch.bind({})
        self._flying = Family(
            "api_requests_in_flight",
            "Requests read but not yet answered.",
            [{"transport": transport} for transport in TRANSPORTS],
            "gauge",
        )
        self._keys = Family(
            "api_keys_reload_success", "Whether the file of API keys was usable when last read.", kind="gauge"
        )
        self._ids = Family(
            "prediction_keys_reload_success",
            "Whether the file of keys that sign prediction ids was usable when last read.",
            kind="gauge",
        )
        self._flying.bind({})
        self._keys.bind({})
        self._ids.bind({})
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)
        GCCollector(registry=self._process)

    def bind(self, contract: Contract) -> None:
        """Name the model that answers from now on; requests refused before count for its version.

        Raises:
            ContractError: the bins of a monitored column do not fit their reference.
        """
        model = Model(contract, self._observed_per_second)
        with self._lock:
            self._traffic.bind(model.common)
            self._model = model

    def watch_in_flight(self, transport: Transport, count: Callable[[], int]) -> None:
        """Read the requests in flight of a door from ``count`` at every scrape, from the scrape's thread."""
        self._in_flight[transport] = count

    def watch_keys(self, reloaded: Callable[[], bool]) -> None:
        """Read from ``reloaded`` at every scrape whether the API keys were usable when last read."""
        self._keys_reloaded = reloaded

    def watch_ids(self, reloaded: Callable[[], bool]) -> None:
        """Read from ``reloaded`` at every scrape whether the keys that sign prediction ids were usable when last read.

        Until it is called, and where no file gives the keys, the gauge is 1.
        """
        self._ids_reloaded = reloaded

    def watch_scratch(self, used: Callable[[], int]) -> None:
        """Read from ``used`` at every scrape how many bytes lie in the scratch folder; without it there is no gauge."""
        self._scratch_used = used

    def request(  # noqa: PLR0917  called on the path of every request, where names cost
        self,
        transport: Transport,
        route: str,
        code: str,
        seconds: float,
        prediction: "Prediction | None",
        cohort: str | None = None,
    ) -> None:
        """Count one request that was answered.

        Args:
            transport: the door.
            route: template or method, one of ``ROUTES``; another one counts as ``other``.
            code: ``ok``, or the stable word of the error; another one counts as ``internal``.
            seconds: from the head of the request to its answer.
            prediction: what the model said, where it was asked.
            cohort: one of ``COHORTS`` for traffic that is not users'.
        """
        if prediction is None:
            self._append((transport, route, code, cohort, seconds, 0, 0.0, 0.0, None))
        else:
            # Of the prediction only what is counted, or the ring would keep the answers of 4,096 requests alive.
            _, _, rows, took, score, observe, _, _, _ = prediction
            observed = observe() if observe is not None and cohort is None and self._sampled() else None
            self._append((transport, route, code, cohort, seconds, rows, took, score, observed))
        if len(self._ring) >= RING and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def feedback(
        self, version: str, result: str, brier: float | None = None, squared_error: float | None = None
    ) -> None:
        """Count the outcome of one prediction.

        Args:
            version: of the model that made it, from its signed id.
            result: one of ``RESULTS``; another one counts as ``other``.
            brier: its Brier score, (p - outcome)², in [0, 1]; classifiers.
            squared_error: (value - outcome)²; regressors.
        """
        with self._lock:
            if self._model is not None:
                self._model.feedback.add(version, result, brier, squared_error)

    def shadow_pair(self, against: str, *, flipped: bool, difference: float) -> None:
        """Count a copy that was answered and compared.

        Args:
            against: the version that answered it.
            flipped: whether its label is another one.
            difference: its score less that of the answer that the user was given.
        """
        with self._lock:
            if self._model is not None:
                self._model.shadow.pair(against, flipped=flipped, difference=difference)

    def shadow_drop(self, reason: str, number: int = 1) -> None:
        """Count requests drawn to be copied that made no pair; ``reason`` is one of ``DROPPED``."""
        with self._lock:
            if self._model is not None:
                self._model.shadow.drop(reason, number)

    def in_flight(self) -> int:
        """Requests in flight through all doors."""
        return sum(count() for count in self._in_flight.values())

    def expose(self) -> tuple[bytes, bytes]:
        """The exposition, and its content type; may run in any thread."""
        counts = [self._in_flight.get(transport, int)() for transport in TRANSPORTS]
        rendered = [
            self._flying.render(counts),
            self._keys.render([int(self._keys_reloaded())]),
            self._ids.render([int(self._ids_reloaded())]),
        ]
        if self._scratch_used is not None:
            rendered.append(self._scratch.render([self._scratch_used()]))
        with self._lock:
            self._fold(scrape=True)
            taken = list(self._numbers())
        # Rendered without the lock: only a request that fills the ring would ever wait for it, but feedback does.
        rendered += [family.render(numbers) for family, numbers in taken]
        return "".join(rendered).encode() + generate_latest(self._process), CONTENT_TYPE_PLAIN_0_0_4.encode()

    def _sampled(self) -> bool:
        return self._share >= 1.0 or random() < self._share  # noqa: S311  no secret

    def _fold(self, *, scrape: bool = False) -> None:
        """Empty the ring into the arrays. Who appends meanwhile does not wait, and is counted now or next time."""
        ring = self._ring
        entries = [ring.popleft() for _ in range(len(ring))]
        if entries:
            users = self._traffic.fold(entries)
            if self._model is not None:
                self._model.fold(users, scrape=scrape)
                self._share = self._model.share

    def _numbers(self) -> Iterator[tuple[Family, Sequence[Any]]]:
        if self._model is not None:
            yield from self._traffic.numbers()
            yield from self._model.numbers()
