"""The one model that every contender serves: XGBoost, 200 trees of depth 8 on 133 floats, and the rows asked of it."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import xgboost as xgb

COLUMNS: Final = 133
TREES: Final = 200
DEPTH: Final = 8
BATCH_ROWS: Final = 1000
SEED: Final = 20240229

Floats = npt.NDArray[np.float32]

_TRAINING_ROWS: Final = 80_000
_BINS: Final = 16  # few and of equal weight: splits near the edges would leave leaves too small to split again
_ONNX_OPSET: Final = 15  # the newest that onnxmltools converts trees to


@dataclass(frozen=True)
class Model:
    """The files of the trained model.

    Attributes:
        folder: holds ``model.ubj``, ``model.onnx`` and ``rows.npy``.
        rows: float32 [1000, 133]; the first one is the row of all one-row requests.
        expected: probability of class 1 of each row by XGBoost itself, float32 [1000].
        leaves: mean number of leaves a tree, at most 256: how full the trees are.
        digest: first 12 digits of the SHA-256 of ``model.ubj``.
    """

    folder: Path
    rows: Floats
    expected: Floats
    leaves: float
    digest: str

    @property
    def ubj(self) -> Path:
        """XGBoost's own format."""
        return self.folder / "model.ubj"

    @property
    def onnx(self) -> Path:
        """One float32 input ``input`` [n, 133]; outputs ``label`` [n] and ``probabilities`` [n, 2]."""
        return self.folder / "model.onnx"

    @property
    def rows_file(self) -> Path:
        """The rows as numpy saves them."""
        return self.folder / "rows.npy"


def make_rows(generator: np.random.Generator, count: int) -> Floats:
    """Rows [count, 133] of standard normal values with four decimals, as a client would write them."""
    return np.round(generator.standard_normal((count, COLUMNS)), 4).astype(np.float32)


def train(folder: Path, *, trees: int = TREES, depth: int = DEPTH, training_rows: int = _TRAINING_ROWS) -> None:
    """Train with a fixed seed and write the three files.

    Labels are half noise, so that every leaf is worth splitting and the trees get as full as their depth allows.
    """
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    generator = np.random.default_rng(SEED)
    features = make_rows(generator, training_rows)
    signal = features @ generator.standard_normal(COLUMNS) / COLUMNS**0.5
    labels = (signal + 2 * generator.standard_normal(training_rows) > 0).astype(np.float32)
    options = {
        "objective": "binary:logistic",
        "max_depth": depth,
        "max_bin": _BINS,
        "eta": 0.05,
        "min_child_weight": 0,
        "seed": SEED,
        "nthread": os.cpu_count(),
    }
    booster = xgb.train(options, xgb.QuantileDMatrix(features, labels, max_bin=_BINS), num_boost_round=trees)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    booster.save_model(unfinished / "model.ubj")
    graph = convert_xgboost(booster, "model", [("input", FloatTensorType([None, COLUMNS]))], target_opset=_ONNX_OPSET)
    (unfinished / "model.onnx").write_bytes(graph.SerializeToString())
    np.save(unfinished / "rows.npy", make_rows(generator, BATCH_ROWS))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def load(folder: Path) -> Model:
    """The model in `folder`, trained first where there is none."""
    if not (folder / "rows.npy").is_file():
        train(folder)
    booster = xgb.Booster(model_file=folder / "model.ubj")
    rows: Floats = np.load(folder / "rows.npy")
    leaves = sum(tree.count("leaf=") for tree in booster.get_dump()) / booster.num_boosted_rounds()
    digest = hashlib.sha256((folder / "model.ubj").read_bytes()).hexdigest()[:12]
    return Model(folder, rows, booster.inplace_predict(rows), leaves, digest)
