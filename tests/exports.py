"""Small candidates of every algorithm, trained on real features, and exports of them."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.contract import Calibration
from training import crossover
from training.candidates import CANDIDATES, Fitted
from training.export import Draft, Origin, export, random_pairings
from training.golden import Golden
from training.settings import DATA

DEX = DATA / "dex.json"
CALIBRATION = Calibration(method="logistic", slope=1.2, intercept=0.05)
REQUESTS: list[Golden] = [
    {
        "request": {
            "pokemon_a": "pikachu",
            "pokemon_b": "squirtle",
            "available_moves_a": ["thunderbolt"],
            "available_moves_b": ["surf"],
        },
        "truth": {"replays": 60, "win_rates": [[0.9]]},
    }
]
_ROWS = 4_000
_SMALL: dict[str, dict[str, Any]] = {
    "xgboost": {"rounds": 40, "max_depth": 5},
    "logistic_regression": {},
    "hist_gradient_boosting": {"max_iter": 12, "max_leaf_nodes": 15},
    "random_forest": {"n_estimators": 15, "max_depth": 10},
}


@lru_cache
def fitted_small(algorithm: str, seed: int = 7) -> Fitted:
    """Train once a session, on outcomes drawn from the damage race, some of them draws."""
    dex = Dex.load(DEX)
    matrix = features.rows(dex, *random_pairings(dex, _ROWS, seed))
    rng = np.random.default_rng(seed)
    label = (rng.random(_ROWS) < matrix.x[:, features.FEATURES.index("race")]).astype(np.float32)
    label[:200] = 0.5
    group = (np.arange(_ROWS) % 400).astype(np.int32)
    candidate = CANDIDATES[algorithm].with_params(_SMALL[algorithm])
    return candidate.fit(matrix.x, label, group, candidate.params, 1)


BOTH: list[crossover.Timing] = [crossover.Timing(1, 2e-5, 5e-4), crossover.Timing(4096, 8e-2, 2e-2)]
"""Times of an idle machine: with them an export has both runtimes."""


def export_small(
    fitted: Fitted,
    out: Path,
    *,
    grid: tuple[int, ...] = crossover.GRID,
    timings: list[crossover.Timing] | None = None,
    **changes: Any,
) -> Draft:
    """Export with parity on the fewest rows.

    Args:
        fitted: the candidate.
        out: the folder.
        grid: batch sizes to time; at 1 row ONNX Runtime wins by far.
        timings: what timing is to have found, where a test has to know whether there will be a ``model.ubj``: on a
            busy machine XGBoost's threads lose at any size.
        changes: arguments of ``export`` to replace.
    """
    given: dict[str, Any] = {
        "dex": DEX,
        "calibration": CALIBRATION,
        "golden": REQUESTS,
        "metrics": {"accuracy": 0.9},
        "origin": Origin("run", "commit", "digest", _ROWS),
        "card": lambda contract: f"# {contract.name}\n",
        "rows": 10_000,
    }
    with pytest.MonkeyPatch.context() as patch:
        measure = partial(crossover.measure, grid=grid)
        patch.setattr(crossover, "measure", measure if timings is None else lambda *_: timings)
        return export(fitted, out, **{**given, **changes})
