"""Figures of a model that answers P(A wins), held against replayed pairings.

Every figure is a mean over pairings; each pairing is as many outcomes as it has replays, a draw being half a win and
half a loss. So "accuracy" is the expected accuracy on a duel played now, not the share of favourites guessed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.ceiling import TOLERANCE, Ceiling, ceiling
from training.outcomes import Outcomes, check_probabilities, favourite
from training.regret import Regret
from training.statistics import clustered_mean

ECE_BINS: Final = 15
# Answers leave the model as float32, whose values next to 1 are 6e-8 apart.
_CLIP: Final = 1e-7
_JACKKNIFE_GROUPS: Final = 20
_JACKKNIFE_TOLERANCE: Final = 10 * TOLERANCE


@dataclass(frozen=True, slots=True)
class CalibrationBins:
    """Bins of equal mass, by rising answer; all arrays have shape [bins].

    Attributes:
        predicted: mean answer in each bin.
        observed: share of the bin's replays that A won.
        pairings: pairings in the bin.
        noise: standard deviation of ``observed`` from the replays alone.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    pairings: NDArray[np.int64]
    noise: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean of abs(observed - predicted), each bin weighing its pairings."""
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.pairings))

    @property
    def perfect_error(self) -> float:
        """What a perfectly calibrated model would show: the mean size of normal noise, sqrt(2 / pi) deviations.

        A little too high, since the noise of bins where nearly every replay ends alike is not normal.
        """
        return float(np.average(self.noise, weights=self.pairings) * np.sqrt(2 / np.pi))


def calibration_bins(p: NDArray[np.float64], outcomes: Outcomes, bins: int = ECE_BINS) -> CalibrationBins:
    """Sort pairings by answer into bins of equal mass (Nguyen and O'Connor 2015) and compare answers with replays.

    The mean gap of the bins is the expected calibration error (Naeini et al. 2015). Pairings of equal answers share
    their mean frequency, so the order of the pairings has no influence.

    Raises:
        ValueError: p does not belong to the replays, or there are fewer pairings than bins.
    """
    check_probabilities(p, outcomes)
    if len(p) < bins:
        raise ValueError(f"{len(p)} pairings cannot fill {bins} bins.")
    _, group, size = np.unique(p, return_inverse=True, return_counts=True)
    frequency = (np.bincount(group, outcomes.frequency) / size)[group]
    variance = (np.bincount(group, outcomes.variance) / size)[group] / outcomes.replays
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return CalibrationBins(
        predicted=np.array([p[rows].mean() for rows in parts]),
        observed=np.array([frequency[rows].mean() for rows in parts]),
        pairings=np.array([len(rows) for rows in parts]),
        noise=np.array([np.sqrt(variance[rows].sum()) / len(rows) for rows in parts]),
    )


def roc_curve(p: NDArray[np.float64], outcomes: Outcomes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate over falling thresholds, from (0, 0) to (1, 1); class 1 is "A wins".

    Both are NaN where the replays have only one outcome.
    """
    value, group = np.unique(-p, return_inverse=True)
    won = np.bincount(group, outcomes.frequency, len(value))
    lost = np.bincount(group, 1 - outcomes.frequency, len(value))
    with np.errstate(invalid="ignore"):
        return (
            np.concatenate([[0.0], np.cumsum(lost)]) / lost.sum(),
            np.concatenate([[0.0], np.cumsum(won)]) / won.sum(),
        )


def roc_auc(p: NDArray[np.float64], outcomes: Outcomes) -> float:
    """Probability that a won replay had the higher answer than a lost one, equal answers counting half."""
    false_rate, true_rate = roc_curve(p, outcomes)
    return float(np.trapezoid(true_rate, false_rate))


def accuracy_by_pairing(p: NDArray[np.float64], outcomes: Outcomes) -> NDArray[np.float64]:
    """Share of each pairing's replays that the answer calls right; shape [n]. An answer of 0.5 calls half right."""
    bet, frequency = favourite(p), outcomes.frequency
    return bet * frequency + (1 - bet) * (1 - frequency)


def log_loss_by_pairing(p: NDArray[np.float64], outcomes: Outcomes) -> NDArray[np.float64]:
    """Mean negative log likelihood of each pairing's replays in nats; answers are clipped to 1e-7 from 0 and 1."""
    clipped, frequency = np.clip(p, _CLIP, 1 - _CLIP), outcomes.frequency
    loss: NDArray[np.float64] = -(frequency * np.log(clipped) + (1 - frequency) * np.log1p(-clipped))
    return loss


def _share_error(right: NDArray[np.float64], outcomes: Outcomes, clusters: NDArray[Any]) -> float:
    """Standard error of accuracy / ceiling, by leaving out one group of clusters at a time (Shao and Tu 1995)."""
    _, cluster = np.unique(clusters, return_inverse=True)
    group = cluster % _JACKKNIFE_GROUPS
    if cluster.max() + 1 < _JACKKNIFE_GROUPS:
        return float("nan")
    shares = [
        right[group != left_out].mean() / ceiling(outcomes.take(group != left_out), _JACKKNIFE_TOLERANCE).accuracy
        for left_out in range(_JACKKNIFE_GROUPS)
    ]
    return float(np.std(shares) * np.sqrt(_JACKKNIFE_GROUPS - 1))


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model showed on replayed pairings. Shares and probabilities are between 0 and 1.

    Attributes:
        pairings: pairings evaluated.
        replays: replays of all of them.
        accuracy: mean share of a pairing's replays won by the side the model bets on.
        accuracy_se: its standard error, clustered by species pair; NaN when no clusters were given.
        precision: of the replays where the model bets on A, the share A won; 0 when it never does.
        recall: of the replays A won, the share where the model bets on A.
        f1: harmonic mean of the two.
        roc_auc: see ``roc_auc``.
        log_loss: cross-entropy in nats a replay; answers are clipped to 1e-7 from 0 and 1.
        brier: mean squared difference between answer and outcome (Brier 1950).
        ece: expected calibration error, 15 bins of equal mass on the pooled replays.
        ece_perfect: what a perfectly calibrated model would show on as many replays.
        mae: mean of abs(answer - replay frequency).
        mae_se: its standard error, clustered by species pair.
        ceiling: what a perfect model would show.
        share: accuracy divided by the ceiling.
        share_se: its standard error, clustered by species pair.
        antisymmetry: mean of abs(P(A beats B) + P(B beats A) - 1); None when the reversed order was not asked.
        regret: what the recommended attacks cost; None when there were no requests.
    """

    pairings: int
    replays: int
    accuracy: float
    accuracy_se: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    log_loss: float
    brier: float
    ece: float
    ece_perfect: float
    mae: float
    mae_se: float
    ceiling: Ceiling
    share: float
    share_se: float
    antisymmetry: float | None = None
    regret: Regret | None = None

    def metrics(self) -> dict[str, float]:
        """Flat names and values for MLflow and the contract; what is not known (None, NaN) is left out."""
        named: dict[str, float | None] = {
            "pairings": float(self.pairings),
            "replays": float(self.replays),
            "accuracy": self.accuracy,
            "accuracy_se": self.accuracy_se,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "roc_auc": self.roc_auc,
            "log_loss": self.log_loss,
            "log_loss_perfect": self.ceiling.log_loss,
            "brier": self.brier,
            "brier_perfect": self.ceiling.brier,
            "ece": self.ece,
            "ece_perfect": self.ece_perfect,
            "mae": self.mae,
            "mae_se": self.mae_se,
            "mae_perfect": self.ceiling.mae,
            "ceiling": self.ceiling.accuracy,
            "ceiling_lower": self.ceiling.lower,
            "ceiling_upper": self.ceiling.upper,
            "ceiling_share": self.share,
            "ceiling_share_se": self.share_se,
            "antisymmetry": self.antisymmetry,
        }
        if self.regret is not None:
            named |= {
                "regret": self.regret.best_reply,
                "regret_se": self.regret.best_reply_se,
                "regret_upper": self.regret.best_reply_upper,
                "regret_mean_reply": self.regret.mean_reply,
                "regret_mean_reply_se": self.regret.mean_reply_se,
            }
        return {name: value for name, value in named.items() if value is not None and np.isfinite(value)}


def figures(
    p: NDArray[np.float64],
    outcomes: Outcomes,
    *,
    reversed_p: NDArray[np.float64] | None = None,
    clusters: NDArray[Any] | None = None,
    regret: Regret | None = None,
) -> Figures:
    """Measure the answers ``p`` = P(A wins), shape [n], on n replayed pairings.

    Args:
        p: calibrated and restored answers, as serving would give them.
        outcomes: the replays of the same pairings, in the same order.
        reversed_p: answers P(B wins) to the same pairings asked with the sides exchanged, shape [n].
        clusters: which pairings depend on each other, shape [n]; e.g. ``Replays.pairs()``.
        regret: from ``training.regret.regret``, to stand in the same record.

    Raises:
        ValueError: answers do not belong to the replays or are not probabilities.
    """
    p = np.asarray(p, np.float64)
    check_probabilities(p, outcomes)
    frequency, bet = outcomes.frequency, favourite(p)
    right = accuracy_by_pairing(p, outcomes)
    error = np.abs(p - frequency)
    true_positive, bets, won = float((bet * frequency).sum()), float(bet.sum()), float(frequency.sum())
    bins, best = calibration_bins(p, outcomes), ceiling(outcomes)
    antisymmetry = None
    if reversed_p is not None:
        reversed_p = np.asarray(reversed_p, np.float64)
        check_probabilities(reversed_p, outcomes)
        antisymmetry = float(np.abs(p + reversed_p - 1).mean())
    nan = float("nan")
    return Figures(
        pairings=len(outcomes),
        replays=len(outcomes) * outcomes.replays,
        accuracy=float(right.mean()),
        accuracy_se=nan if clusters is None else clustered_mean(right, clusters).error,
        precision=true_positive / bets if bets else 0.0,
        recall=true_positive / won if won else 0.0,
        f1=2 * true_positive / (bets + won) if bets + won else 0.0,
        roc_auc=roc_auc(p, outcomes),
        log_loss=float(log_loss_by_pairing(p, outcomes).mean()),
        brier=float((frequency * (1 - p) ** 2 + (1 - frequency) * p**2).mean()),
        ece=bins.error,
        ece_perfect=bins.perfect_error,
        mae=float(error.mean()),
        mae_se=nan if clusters is None else clustered_mean(error, clusters).error,
        ceiling=best,
        share=float(right.mean()) / best.accuracy,
        share_se=nan if clusters is None else _share_error(right, outcomes, clusters),
        antisymmetry=antisymmetry,
        regret=regret,
    )


@dataclass(frozen=True, slots=True)
class Reach:
    """A figure the project aims at.

    Attributes:
        title: what is measured, in words.
        of: reads the figure; None when it was not measured.
        bound: the value to reach.
        at_least: True when more is better.
        perfect: reads what a perfect model would show on the same replays; None when it is not estimated.
    """

    title: str
    of: Callable[[Figures], float | None]
    bound: float
    at_least: bool
    perfect: Callable[[Figures], float | None] = lambda _: None

    def met(self, measured: Figures) -> bool | None:
        """Whether the figure reaches its bound; None when it was not measured."""
        value = self.of(measured)
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound


REACHES: Final = (
    Reach("expected accuracy", lambda f: f.accuracy, 0.943, True, lambda f: f.ceiling.accuracy),
    Reach("share of the replay ceiling", lambda f: f.share, 0.994, True, lambda _: 1.0),
    Reach("mean absolute error of the win probability", lambda f: f.mae, 0.028, False, lambda f: f.ceiling.mae),
    Reach("expected calibration error", lambda f: f.ece, 0.01, False, lambda f: f.ece_perfect),
    Reach("mean of abs(P(A beats B) + P(B beats A) - 1)", lambda f: f.antisymmetry, 0.005, False, lambda _: 0.0),
    Reach(
        "best-attack regret against the best reply",
        lambda f: f.regret.best_reply if f.regret else None,
        0.02,
        False,
        lambda f: 0.0 if f.regret else None,
    ),
)
