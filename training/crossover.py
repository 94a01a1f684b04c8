"""Measures from which batch size on XGBoost answers faster than ONNX Runtime, both on one thread."""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.float32]], object]

GRID: Final = tuple(2**power for power in range(13))  # 1 to 4,096 rows; the widest request of the dex has 2,500
_LEAST_REPEATS: Final = 7
_MOST_REPEATS: Final = 41
_SECONDS_A_SIZE: Final = 0.12


class Timing(NamedTuple):
    """Median seconds of one batch of ``rows`` rows."""

    rows: int
    onnx: float
    xgboost: float


def measure(onnx: Predict, xgboost: Predict, x: NDArray[np.float32], grid: Sequence[int] = GRID) -> list[Timing]:
    """Time both runtimes over batches of ``x``, in turns, so that a disturbance of the machine meets both."""
    timings = []
    for rows in grid:
        batch = np.ascontiguousarray(x[:rows])
        seconds: list[tuple[float, float]] = []
        onnx(batch), xgboost(batch)
        began = time.perf_counter()
        while len(seconds) < _LEAST_REPEATS or (
            len(seconds) < _MOST_REPEATS and time.perf_counter() - began < _SECONDS_A_SIZE
        ):
            seconds.append((_seconds(onnx, batch), _seconds(xgboost, batch)))
        medians = np.median(seconds, axis=0)
        timings.append(Timing(rows, float(medians[0]), float(medians[1])))
    return timings


def _seconds(predict: Predict, batch: NDArray[np.float32]) -> float:
    began = time.perf_counter()
    predict(batch)
    return time.perf_counter() - began


def crossover(timings: Sequence[Timing]) -> int | None:
    """Rows from which on XGBoost is to answer; None where ONNX Runtime is to answer every size.

    The switch is put where the measured sizes, each answered by the runtime chosen for it, cost the least in all on a
    logarithmic scale, so that one disturbed measurement moves it little. Between the two sizes around it both times
    are taken as straight lines of the number of rows on logarithmic axes.
    """
    ordered = sorted(timings)
    gaps = [float(np.log(timing.xgboost / timing.onnx)) for timing in ordered]
    # By how much XGBoost from size i on is slower than ONNX Runtime everywhere; the last entry is the latter.
    costs = [sum(gaps[i:]) for i in range(len(gaps) + 1)]
    switch = int(np.argmin(costs))
    if switch == len(gaps):
        return None
    if switch == 0:
        return ordered[0].rows
    before, after = ordered[switch - 1].rows, ordered[switch].rows
    share = gaps[switch - 1] / (gaps[switch - 1] - gaps[switch])
    return int(np.ceil(before * (after / before) ** share))
