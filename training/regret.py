"""What it costs to play the attack the model recommends instead of the best one, on replayed requests.

A request is every pairing of k attacks of A with k attacks of B. The value of an attack is A's win probability against
B's best reply, the lowest of its row (second figure: against a reply drawn evenly, the mean of its row). The regret of
a request is the value of the replay-best attack less the value of the recommended one.

Picking and valuing with the same replays would count luck as skill: the highest of several noisy frequencies is too
high. So one half of the replays picks the reference attack and B's reply to every attack, and the other half values
both attacks against those replies; then the halves change places, and the two are averaged. What bias is left:

- The reply is the best by half the replays only, so a value is at or above the true one. It is so for both attacks.
- The reference is the best by half the replays only, so its true value is at or below the best. Regret is therefore
  understated by what the reference itself loses, and a model better than 30 replays shows a regret below zero.

``best_reply_upper`` picks and values with all replays, which overstates: the maximum over noisy rows is too high. The
truth lies between the two up to sampling error. Attacks or replies that tie are taken in equal parts.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.outcomes import Outcomes, check_probabilities


@dataclass(frozen=True, slots=True)
class Regret:
    """Win probability lost by the recommended attacks, mean over requests.

    Attributes:
        requests: requests evaluated.
        best_reply: regret against B's best reply; picked by one half of the replays and valued by the other.
        best_reply_se: its standard error over requests; NaN for a single request.
        best_reply_upper: the same, picked and valued by all replays: biased upwards.
        mean_reply: regret against a reply drawn evenly, split as ``best_reply``.
        mean_reply_se: its standard error over requests.
    """

    requests: int
    best_reply: float
    best_reply_se: float
    best_reply_upper: float
    mean_reply: float
    mean_reply_se: float


def _even(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Equal weights over the chosen entries of the last axis."""
    weights: NDArray[np.float64] = chosen / chosen.sum(-1, keepdims=True)
    return weights


def _best(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the highest entries of the last axis, equal where they tie."""
    return _even(values == values.max(-1, keepdims=True))


def _against_best_reply(
    p: NDArray[np.float64], pick: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Regret of each request; all three arrays have shape [requests, k, k], A's attack first."""
    reply = _best(-pick)
    worth = (value * reply).sum(-1)
    lost: NDArray[np.float64] = ((_best(pick.min(-1)) - _best(p.min(-1))) * worth).sum(-1)
    return lost


def _against_mean_reply(
    p: NDArray[np.float64], pick: NDArray[np.float64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    lost: NDArray[np.float64] = ((_best(pick.mean(-1)) - _best(p.mean(-1))) * value.mean(-1)).sum(-1)
    return lost


def _request_rows(request: NDArray[Any], move_a: NDArray[np.int32], move_b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Row numbers of shape [requests, k, k], A's attack first, whatever order the rows came in.

    Raises:
        ValueError: a request is not k attacks of A with the same k attacks of B each, or requests differ in size.
    """
    order = np.lexsort((move_b, move_a, request))
    _, sizes = np.unique(request, return_counts=True)
    k = isqrt(int(sizes[0])) if len(sizes) else 0
    if k == 0 or (sizes != k * k).any():
        raise ValueError("Requests must all have the same number of pairings, k attacks of A with k attacks of B.")
    rows = order.reshape(-1, k, k)
    ours, theirs = move_a[rows], move_b[rows]
    if (ours != ours[:, :, :1]).any() or (theirs != theirs[:, :1, :]).any():
        raise ValueError("A request does not hold every attack of A against the same attacks of B.")
    return rows


def regret(
    p: NDArray[np.float64],
    outcomes: Outcomes,
    request: NDArray[Any],
    move_a: NDArray[np.int32],
    move_b: NDArray[np.int32],
) -> Regret:
    """Measure what following the answers ``p`` = P(A wins) costs; all arrays have shape [n], one row a pairing.

    Args:
        p: calibrated and restored answers, as serving would give them.
        outcomes: the replays of the same rows.
        request: which request a row belongs to.
        move_a: code of A's attack.
        move_b: code of B's attack.

    Raises:
        ValueError: answers do not belong to the replays, or a request is not a full grid of attacks.
    """
    p = np.asarray(p, np.float64)
    check_probabilities(p, outcomes)
    rows = _request_rows(request, move_a, move_b)
    answers, everything = p[rows], outcomes.frequency[rows]
    first, second = outcomes.half(0)[rows], outcomes.half(1)[rows]
    best, mean = (
        (lose(answers, first, second) + lose(answers, second, first)) / 2
        for lose in (_against_best_reply, _against_mean_reply)
    )
    return Regret(
        requests=len(rows),
        best_reply=float(best.mean()),
        best_reply_se=_standard_error(best),
        best_reply_upper=float(_against_best_reply(answers, everything, everything).mean()),
        mean_reply=float(mean.mean()),
        mean_reply_se=_standard_error(mean),
    )


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
