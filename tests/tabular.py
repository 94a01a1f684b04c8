"""Small tabular bundles that are real: fitted models, exported as a user would, each made once a session."""

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from training import crossover
from training.crossover import Timing
from training.tabular import export

Kind = Literal["classifier", "multiclass", "regressor", "pipeline"]
CROSSOVER = 256
"""Rows from which on XGBoost answers, in the bundles that have a model.ubj (all but ``pipeline``)."""
_ROWS = 600


class Sample(NamedTuple):
    """A fitted model, rows it was fitted on, and the arguments of its export."""

    model: Any
    frame: pd.DataFrame
    arguments: dict[str, Any]


@lru_cache
def sample(kind: Kind) -> Sample:
    """Fit the model of a kind.

    ``classifier``: XGBoost on numbers, with missing ages, whole numbers and a flag (matrix, crossover to XGBoost).
    ``multiclass`` and ``regressor``: XGBoost on floats (matrix). ``pipeline``: scikit-learn with text (columns).
    """
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(_ROWS) < 0.1, np.nan, rng.uniform(18, 90, _ROWS)).astype(np.float32),
            "visits": rng.integers(0, 40, _ROWS),
            "member": rng.random(_ROWS) < 0.4,
            "spend": rng.gamma(2.0, 50.0, _ROWS),
        }
    )
    floats = pd.DataFrame(rng.normal(size=(_ROWS, 4)), columns=["length", "width", "height", "weight"])
    churn = (frame.visits / 40 + frame.member + rng.normal(scale=0.3, size=_ROWS) > 0.9).astype(int)
    tree: dict[str, Any] = {"n_estimators": 15, "max_depth": 3, "n_jobs": 1, "random_state": 1}
    if kind == "classifier":
        return Sample(
            xgb.XGBClassifier(**tree).fit(frame, churn),
            frame,
            {"classes": ["stays", "leaves"], "ranges": {"age": (0, 120)}, "units": {"age": "years"}},
        )
    signal = floats.length + 0.5 * floats.width + rng.normal(scale=0.2, size=_ROWS)
    if kind == "multiclass":
        return Sample(
            xgb.XGBClassifier(**tree).fit(floats, np.digitize(signal, [-0.5, 0.5])),
            floats,
            {"classes": ["small", "medium", "large"]},
        )
    if kind == "regressor":
        return Sample(xgb.XGBRegressor(**tree).fit(floats, 100 + 20 * signal), floats, {})
    texts = frame.assign(age=frame.age.fillna(50), city=rng.choice(["Paris", "Rome", "Oslo"], _ROWS))
    texts = texts.drop(columns="member")
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", StandardScaler(), ["age", "visits", "spend"]),
        ]
    )
    model = make_pipeline(encode, LogisticRegression()).fit(texts, np.where(texts.city == "Oslo", 1 - churn, churn))
    return Sample(model, texts, {"classes": ["stays", "leaves"], "ranges": {"age": (0, 120)}})


@lru_cache
def split_sample() -> Sample:
    """A pipeline on the columns of ``pipeline`` that ends in XGBoost: its bundle has ``preprocess.onnx`` as well."""
    texts = sample("pipeline").frame
    truth = sample("pipeline").model.predict(texts)
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", StandardScaler(), ["age", "visits", "spend"]),
        ],
        sparse_threshold=1.0,  # XGBoost then takes every zero as missing
    )
    trees = xgb.XGBClassifier(n_estimators=15, max_depth=3, n_jobs=1, random_state=1)
    return Sample(make_pipeline(encode, trees).fit(texts, truth), texts, {})


def _exported(given: Sample, name: str) -> Path:
    home = Path(tempfile.mkdtemp(prefix="pdx-tabular-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    # Of models this small a busy machine would decide whether XGBoost pays, and so whether there is a model.ubj.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossover, "measure", lambda *_: [Timing(CROSSOVER, onnx=2.0, xgboost=1.0)])
        return export(given.model, given.frame, name=name, version="1", out=home / "bundle", **given.arguments)


@lru_cache
def _made(kind: Kind) -> Path:
    return _exported(sample(kind), kind)


@lru_cache
def _made_split() -> Path:
    return _exported(split_sample(), "split")


def write(kind: Kind, out: Path) -> Path:
    """Write the bundle of a kind, exported once a session; its model is named as the kind, version 1."""
    shutil.copytree(_made(kind), out)
    return out


def write_split(out: Path) -> Path:
    """Write the bundle of ``split_sample``, as ``write`` does."""
    shutil.copytree(_made_split(), out)
    return out
