"""One training run: fit the candidates, calibrate and measure each, and export the one that is best on replays.

Candidates are ranked by the cross-validated log loss on the calibration part. The gate's part is only looked at, to
report what the winner will be judged by; nothing is chosen by it.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.battle import features
from bentos.calibration import calibrate
from bentos.contract import Calibration, LiveReference
from training import battle_watch, breakdown, report, tracking, validate
from training.calibrate import choose
from training.candidates import CANDIDATES, SEED, Candidate, Fitted
from training.card import Rival, Story, card
from training.evaluate import Figures, figures
from training.export import Origin, Watched, export
from training.golden import from_replays
from training.prepare import Everything, ReplaySet
from training.provenance import git_commit
from training.registry import EXPORT
from training.regret import Regret, regret
from training.settings import Settings

Tell = Callable[[str], None]

_IMPORTANCE: Final = {
    "xgboost": "share of total gain",
    "random_forest": "share of impurity removed",
    "logistic_regression": "share of absolute weights of scaled columns",
    "hist_gradient_boosting": "share of log loss added by shuffling",
}
DEMO: Final = ("xgboost", "logistic_regression")
"""The candidates that take every row; the demo trains these."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose.

    Attributes:
        algorithms: keys of ``CANDIDATES``.
        trials: Optuna trials a candidate; 0 for the defaults.
        folds: folds of the cross-validation; 0 for none.
        curve: also fit on growing shares of the rows for a learning curve.
        seed: of everything random.
    """

    algorithms: tuple[str, ...] = tuple(CANDIDATES)
    trials: int = 0
    folds: int = 0
    curve: bool = False
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate, calibrated and measured.

    Attributes:
        rank_loss: cross-validated log loss on the calibration part, nats a replay; the least wins.
        measured: figures on the gate's replays.
        p: answers P(A wins) to those.
        seconds: wall time of the fit.
        run_id: its MLflow run.
    """

    candidate: Candidate
    fitted: Fitted
    calibration: Calibration
    rank_loss: float
    measured: Figures
    p: NDArray[np.float64]
    seconds: float
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a training run came to: all candidates, the winner first."""

    ranked: list[Trained]

    @property
    def winner(self) -> Trained:
        """The candidate that was exported."""
        return self.ranked[0]


def train(data: Everything, settings: Settings, options: Options, tell: Tell) -> Result:
    """Train, measure and log every chosen candidate, and export the best into its MLflow run.

    Raises:
        ExportError: the winner cannot be served as it was trained.
        KeyError: an algorithm is not in ``CANDIDATES``.
    """
    tracking.open_experiment(settings)
    commit = git_commit()
    tags = {"git_commit": commit, "dataset_digest": data.duels.digest}
    trained = []
    with tracking.run("training", tags):
        for name in options.algorithms:
            candidate = CANDIDATES[name]
            with tracking.run(name, tags, nested=True) as run_id:
                one = replace(_fit(candidate, data, settings, options, tell), run_id=run_id)
                _log(one, data, options)
            trained.append(one)
            tell(f"{name}: accuracy {one.measured.accuracy:.4f}, log loss {one.measured.log_loss:.4f}")
        ranked = sorted(trained, key=lambda one: one.rank_loss)
        tell(f"Exporting {ranked[0].fitted.algorithm}, the least log loss on the calibration replays")
        with tracking.resume(ranked[0].run_id):
            _export(ranked, data, commit)
    return Result(ranked)


def answers(fitted: Fitted, calibration: Calibration, rows: features.Matrix) -> NDArray[np.float64]:
    """P(A wins) [n] as serving answers: the model, the calibration, and the order of sides undone."""
    return features.restore(calibrate(calibration, fitted.predict(rows.x)), rows)


def _fit(candidate: Candidate, data: Everything, settings: Settings, options: Options, tell: Tell) -> Trained:
    if options.trials:
        storage = settings.home / "optuna.db"
        tell(f"{candidate.algorithm}: tuning, {options.trials} trials")

        def progress(number: int, best: float) -> None:
            tell(f"{candidate.algorithm}: trial {number} of {options.trials}, best log loss {best:.5f}")

        study = _study(candidate, data, options.seed)
        found = validate.tune(
            candidate, data.training, options.trials, storage, study=study, seed=options.seed, tell=progress
        )
        candidate = candidate.with_params(found)
    rows = data.training.sample(candidate.most_rows, options.seed)
    tell(f"{candidate.algorithm}: training on {len(rows):,} duels")
    start = time.monotonic()
    fitted = candidate.fit(rows.x, rows.label, rows.group, candidate.params, options.seed)
    seconds = time.monotonic() - start
    raw = fitted.predict(data.calibration.matrix.x)
    group = data.calibration.replays.pairs()
    calibration, losses = choose(raw, data.calibration.first_frequency(), group)
    p = answers(fitted, calibration, data.gate.matrix)
    measured = figures(
        p,
        data.gate.outcomes,
        reversed_p=answers(fitted, calibration, _exchanged(data)),
        clusters=data.gate.replays.pairs(),
        regret=_regret(answers(fitted, calibration, data.requests.matrix), data.requests),
    )
    return Trained(candidate, fitted, calibration, min(losses.values()), measured, p, seconds)


def _study(candidate: Candidate, data: Everything, seed: int) -> str:
    """Trials belong together when they saw the same rows: the study's name says which."""
    return f"{candidate.algorithm}-{data.duels.digest[:16]}-{len(data.training)}-{seed}"


def _exchanged(data: Everything) -> features.Matrix:
    replays = data.gate.replays
    return features.rows(data.dex, replays.pokemon_b, replays.move_b, replays.pokemon_a, replays.move_a)


def _regret(p: NDArray[np.float64], requests: ReplaySet) -> Regret | None:
    replays = requests.replays
    if replays.request is None:
        return None
    return regret(p, requests.outcomes, replays.request, replays.move_a, replays.move_b)


def live_reference(p: NDArray[np.float64], requests: ReplaySet) -> LiveReference:
    """Offline figure of what feedback will show: the recommended attack against the best reply, request by request.

    Args:
        p: answers P(A wins) to the rows of ``requests``.
        requests: full grids of attacks, grouped by request number.
    """
    if requests.replays.request is None:
        raise ValueError("Live figures need requests, and these replays are single pairings.")
    request: NDArray[np.int32] = requests.replays.request
    frequency = requests.outcomes.frequency
    chosen: list[int] = []
    for number in np.unique(request).tolist():
        rows = np.flatnonzero(request == number)
        moves = requests.replays.move_a[rows]
        by_move: list[NDArray[np.int64]] = [rows[moves == move] for move in np.unique(moves).tolist()]
        replies = [int(own[np.argmin(p[own])]) for own in by_move]
        chosen.append(max(replies, key=lambda row: float(p[row])))
    best, truth = p[chosen], frequency[chosen]
    return LiveReference(
        accuracy=float(np.where(best >= 0.5, truth, 1 - truth).mean()),
        brier=float((truth * (1 - best) ** 2 + (1 - truth) * best**2).mean()),
        from_outcomes=requests.outcomes.replays * len(chosen),
        described_as="the recommended attack against the reply the model holds best, over the replayed requests",
    )


def _log(one: Trained, data: Everything, options: Options) -> None:
    params = {
        "algorithm": one.fitted.algorithm,
        "rows": one.fitted.rows,
        "calibration": one.calibration.method,
        "dataset_digest": data.duels.digest,
        "trials": options.trials,
        "folds": options.folds,
        **{f"{one.fitted.algorithm}.{key}": value for key, value in one.fitted.params.items()},
    }
    metrics = {**one.measured.metrics(), "rank_log_loss": one.rank_loss, "fit_seconds": one.seconds}
    metrics["train_test_gap"] = _gap(one, data)
    if options.folds:
        scores = validate.cross_validate(one.candidate, data.training, options.folds, options.seed)
        for name in ("accuracy", "log_loss"):
            values = [getattr(score, name) for score in scores]
            metrics[f"cv_{name}"] = float(np.mean(values))
            metrics[f"cv_{name}_sd"] = float(np.std(values, ddof=1))
    tracking.log_figures(params, metrics, one.fitted.history)
    tracking.log_environment()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        importances = one.fitted.importance(features.FEATURES) or validate.shuffling_importance(
            one.fitted, data.calibration.matrix.x, data.calibration.first_frequency(), features.FEATURES, options.seed
        )
        report.draw(
            folder,
            one.p,
            data.gate.outcomes,
            importances=importances,
            importance_label=_IMPORTANCE[one.fitted.algorithm],
            curve=_curve(one, data, options),
        )
        (folder / "breakdown.json").write_text(json.dumps(_tables(one, data), indent=1, ensure_ascii=False))
        tracking.log_folder(folder, "report")


def _gap(one: Trained, data: Everything, rows: int = 50_000) -> float:
    """Log loss on the calibration part less that on training duels; both are averages over single duels."""
    seen = data.training.sample(rows, SEED)
    inside = validate.score(calibrate(one.calibration, one.fitted.predict(seen.x)), seen.label).log_loss
    return one.rank_loss - inside


def _curve(one: Trained, data: Everything, options: Options) -> report.LearningCurve | None:
    if not options.curve:
        if not one.fitted.history:
            return None
        rounds = list(range(1, len(one.fitted.history) + 1))
        lines = {"species pairs held out of training": one.fitted.history}
        return report.LearningCurve("boosting rounds", "log loss (nats a duel)", rounds, lines)

    def judge(fitted: Fitted) -> float:
        p = answers(fitted, one.calibration, data.gate.matrix)
        return float(np.abs(p - data.gate.outcomes.frequency).mean())

    rows, errors = validate.learning_curve(one.candidate, data.training, one.fitted, judge, options.seed)
    lines = {"unseen species pairs": errors}
    return report.LearningCurve("training duels", "mean absolute error of the win probability", rows, lines)


def _tables(one: Trained, data: Everything) -> dict[str, list[dict[str, Any]]]:
    story = _story(one, data)
    parts: dict[str, Sequence[Any]] = {
        "by_matchup": story.matchups,
        "by_closeness": story.closeness,
        "worst_of_the_calibration_part": story.misses,
    }
    return {name: [asdict(row) for row in rows] for name, rows in parts.items()}


def _story(one: Trained, data: Everything) -> Story:
    replays, outcomes = data.gate.replays, data.gate.outcomes
    effect_a = breakdown.effects(data.dex, replays.move_a, replays.pokemon_b)
    effect_b = breakdown.effects(data.dex, replays.move_b, replays.pokemon_a)
    # Errors are looked at one by one, and features made from what is seen: so not on the gate's part.
    seen = data.calibration.replays
    p = answers(one.fitted, one.calibration, data.calibration.matrix)
    codes = (seen.pokemon_a, seen.move_a, seen.pokemon_b, seen.move_b)
    return Story(
        figures=one.measured,
        params=one.fitted.params,
        matchups=breakdown.by_matchup(one.p, outcomes, effect_a, effect_b),
        closeness=breakdown.by_closeness(one.p, outcomes),
        misses=breakdown.worst(p, data.calibration.outcomes, data.dex, codes),
    )


def _export(ranked: Sequence[Trained], data: Everything, commit: str) -> None:
    """Export the first of the ranked into its own run, which is the active one, with its model and card."""
    best = ranked[0]
    rivals = [Rival(one.fitted.algorithm, one.fitted.rows, one.rank_loss, one.measured, one.seconds) for one in ranked]
    story = replace(_story(best, data), candidates=rivals)
    requests = answers(best.fitted, best.calibration, data.requests.matrix)
    seen = battle_watch.observe(data.dex, lambda rows: answers(best.fitted, best.calibration, rows))
    watched = Watched(*battle_watch.reference(data.dex, seen), live_reference(requests, data.requests))
    with tempfile.TemporaryDirectory() as scratch:
        draft = export(
            best.fitted,
            Path(scratch) / EXPORT,
            dex=data.dex_file,
            calibration=best.calibration,
            golden=from_replays(data.dex, data.requests.replays),
            metrics=best.measured.metrics(),
            origin=Origin(best.run_id, commit, data.duels.digest, len(data.training)),
            card=lambda contract: card(contract, story),
            watched=watched,
        )
        tracking.log_folder(draft.folder, EXPORT)
    tracking.log_model(best.fitted, data.calibration.matrix.x)
