"""Counts of what requests held, by bin: what population stability indices are computed from, in recording rules."""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos.adapter import Features
from bentos.contract import MonitoredColumn
from bentos.metrics import bins
from bentos.metrics.family import Family, Labels, Number

OBSERVED_PER_SECOND: Final = 1000.0
"""Rows of monitored columns that are binned, on average. Above that rate they are a sample: 300,000 in five minutes
say as much of a distribution as all of them, and binning 20 columns stays below 0.1 % of a core."""
BURST: Final = 4096
"""Rows that may come at once and are binned all the same."""
_MEMORY_SECONDS: Final = 60.0
"""How far back the exported share looks: rows this old count 1/e of new ones."""

Rows = Sequence[Features]


class Drift:
    """Rows of monitored columns, binned in a thread of their own; safe to use from several threads.

    Args:
        monitored: the contract's columns; none makes this do nothing.
        common: labels of every series.
        per_second: rows that are binned, on average.
        clock: seconds that only grow.

    Attributes:
        share: of the requests to come, how many should be observed at all, in [0, 1].

    Raises:
        ContractError: the bins of a column and its reference do not fit.
    """

    def __init__(
        self,
        monitored: Sequence[MonitoredColumn],
        common: Labels,
        per_second: float = OBSERVED_PER_SECOND,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._bins = [bins.of(column) for column in monitored]
        labels = [
            {"column": column.name, "bin": name}
            for column, each in zip(monitored, self._bins, strict=True)
            for name in each.names
        ]
        self._starts = np.cumsum([0, *(len(each.names) for each in self._bins)])
        self._counts = Family("model_input_bin_total", "Observed requests, by bin of a monitored column.", labels)
        self._reference = Family(
            "model_input_reference_ratio", "Reference share of a bin.", labels, "gauge", np.float64
        )
        self._ratio = Family(
            "model_input_sampled_ratio", "Share of observed requests that were binned.", kind="gauge", dtype=np.float64
        )
        self.families = (self._counts, self._reference, self._ratio) if monitored else ()
        for family in self.families:
            family.bind(common)
        for start, each in zip(self._starts, self._bins, strict=False):
            self._reference.values[start : start + len(each.names)] = each.reference
        self._lock = threading.Lock()
        self._blocks: deque[Rows] = deque()
        self._pool = ThreadPoolExecutor(1, "drift")
        self._random = np.random.default_rng()
        self._per_second, self._clock = per_second, clock
        self._most = max(float(BURST), per_second)
        self._budget, self._last = self._most, clock()
        self._seen = self._kept = 0.0
        self.share = 1.0

    def add(self, rows: Rows, seen: int, *, wait: bool = False) -> None:
        """Take rows [columns] to be binned, all or a sample of them.

        To be called by one thread at a time.

        Args:
            rows: those that were observed.
            seen: requests that they stand for, no less than there are rows.
            wait: whether binning them is left to the next scrape.
        """
        if not seen or not self._bins:
            return
        now = self._clock()
        passed, self._last = now - self._last, now
        self._budget = min(self._most, self._budget + passed * self._per_second)
        kept = min(len(rows), int(self._budget))
        self._budget -= kept
        # As much as the same number of requests in the same time could have.
        self.share = min(1.0, (self._budget + passed * self._per_second) / seen)
        faded = math.exp(-passed / _MEMORY_SECONDS)
        self._seen, self._kept = self._seen * faded + seen, self._kept * faded + kept
        if kept < len(rows):
            rows = [rows[i] for i in self._random.permutation(len(rows))[:kept].tolist()]
        if rows:
            self._blocks.append(rows)
        if not wait:
            # While the interpreter ends no thread takes work; the counts are of no more use then.
            with suppress(RuntimeError):
                self._pool.submit(self.bin)

    def bin(self) -> None:
        """Bin all rows taken so far."""
        with self._lock:
            while self._blocks:
                self._bin(np.concatenate(self._blocks.popleft(), dtype=np.float64).reshape(-1, len(self._bins)))

    def numbers(self) -> list[Sequence[Number]]:
        """The numbers of each family."""
        self.bin()
        with self._lock:
            self._ratio.values[0] = self._kept / self._seen if self._seen else 1.0
            return [family.numbers() for family in self.families]

    def _bin(self, rows: NDArray[np.float64]) -> None:
        placed = [each.place(rows[:, i]) + self._starts[i] for i, each in enumerate(self._bins)]
        self._counts.values += np.bincount(np.concatenate(placed), minlength=len(self._counts.values))
