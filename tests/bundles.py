"""A small battle bundle that is real: a booster trained on the features, in both formats, with a complete contract."""

import gzip
import hashlib
import json
import shutil
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.adapter import COLUMNS
from bentos.battle.dex import Dex
from bentos.calibration import calibrate
from bentos.contract import CONTRACT_FILE, Calibration, Contract
from training import battle_watch, convert
from training.settings import DATA

DEX = DATA / "dex.json"
CROSSOVER = 200
CALIBRATION = Calibration(method="logistic", slope=0.9, intercept=0.05)
_ROWS = 2_000
_PARITY_ROWS = 64


class Model(NamedTuple):
    """What training leaves behind, and what it answers for the parity rows."""

    onnx: bytes
    ubj: bytes
    rows: list[list[str]]
    expected: list[float]


def legal_rows(dex: Dex, n: int, seed: int) -> list[NDArray[np.int32]]:
    """Codes of n random legal duels: pokemon_a, move_a, pokemon_b, move_b, int32 [n] each."""
    rng = np.random.default_rng(seed)
    species, attacks = np.nonzero(dex.legal)
    a, b = rng.integers(0, len(species), (2, n))
    return [column.astype(np.int32) for column in (species[a], attacks[a], species[b], attacks[b])]


@lru_cache
def model(seed: int = 1) -> Model:
    """Train once a session: the label is the damage race, which a small booster learns in a second.

    Another seed trains on other duels.
    """
    dex = Dex.load(DEX)
    matrix = features.rows(dex, *legal_rows(dex, _ROWS, seed=seed))
    label = matrix.x[:, features.FEATURES.index("race")]
    data = xgb.DMatrix(matrix.x, label, feature_names=list(features.FEATURES))
    booster = convert.strip(
        xgb.train({"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, "nthread": 1, "seed": seed}, data, 30)
    )
    codes = legal_rows(dex, _PARITY_ROWS, seed=2)
    sample = features.rows(dex, *codes)
    raw = np.asarray(booster.inplace_predict(sample.x), np.float64)
    names = [dex.species_ids, dex.attack_ids, dex.species_ids, dex.attack_ids]
    rows = [[table[code] for table, code in zip(names, row, strict=True)] for row in zip(*codes, strict=True)]
    expected = features.restore(calibrate(CALIBRATION, raw), sample)
    return Model(
        convert.to_onnx(booster, len(features.FEATURES)), convert.to_ubj(booster), rows, [float(p) for p in expected]
    )


@lru_cache(maxsize=1)
def watched() -> dict[str, Any]:
    """What live traffic of the small model is held against, made as the training makes it; fields of the contract."""
    booster = xgb.Booster(model_file=bytearray(model().ubj))

    def answer(rows: features.Matrix) -> NDArray[np.float64]:
        return features.restore(calibrate(CALIBRATION, np.asarray(booster.inplace_predict(rows.x), np.float64)), rows)

    dex = Dex.load(DEX)
    made = battle_watch.reference(dex, battle_watch.observe(dex, answer))
    live = {"accuracy": 0.944, "brier": 0.05, "from_outcomes": 18_000, "described_as": "recommended attacks"}
    return {
        "monitored": [column.model_dump() for column in made.monitored],
        "score_bins": made.score_bins.model_dump(),
        "live_reference": live,
    }


def contract(files: dict[str, str], **changes: Any) -> dict[str, Any]:
    """The contract as JSON values."""
    fitted = model()
    booster = "model.ubj" in files
    values: dict[str, Any] = {
        "schema_version": 1,
        "name": "battle",
        "version": "1",
        "adapter": "battle",
        "task": "binary",
        "columns": [{"name": name, "dtype": "string"} for name in COLUMNS],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "columns": 2},
            {"name": "label", "datatype": "BYTES", "columns": 1},
        ],
        "classes": ["b_wins", "a_wins"],
        "features": list(features.FEATURES),
        "symmetrisation": "canonical_order",
        "calibration": CALIBRATION.model_dump(),
        "runtime": {"crossover_rows": CROSSOVER if booster else None},
        "parity": {"rows": fitted.rows, "expected": [[p] for p in fitted.expected]},
        "observation": "the two species, the recommended attack as label, its win probability as score",
        "sample_inputs": [{"pokemon_a": "pikachu", "pokemon_b": "blastoise"}],
        "metrics": {},
        "provenance": {
            "run_id": "0" * 32,
            "git_commit": "0" * 40,
            "dataset_digest": "0" * 64,
            "dataset_rows": _ROWS,
            "algorithm": "xgboost",
            "libraries": {"xgboost": xgb.__version__},
            "created": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        },
        "files": files,
    }
    return {**values, **changes}


def write(folder: Path, *, booster: bool = True, **changes: Any) -> Path:
    """Write a bundle; ``changes`` replace fields of its contract. Returns the folder."""
    folder.mkdir(parents=True)
    fitted = model()
    (folder / "model.onnx").write_bytes(fitted.onnx)
    if booster:
        (folder / "model.ubj").write_bytes(fitted.ubj)
    shutil.copy(DEX, folder / "dex.json")
    (folder / "golden.json.gz").write_bytes(gzip.compress(b"[]", mtime=0))
    (folder / "card.md").write_text("# A model for tests\n")
    seal(folder, **changes)
    return folder


def seal(folder: Path, **changes: Any) -> None:
    """Write the contract anew over the files as they lie there."""
    there = [path for path in folder.iterdir() if path.name != CONTRACT_FILE]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in there}
    values = contract(digests, **changes)
    if not changes:
        Contract.model_validate_json(json.dumps(values))
    (folder / CONTRACT_FILE).write_text(json.dumps(values))
