"""What kind of model is exported, and what the original says of rows."""

import json
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from bentos.contract import Task
from training.export import ExportError
from training.tabular_onnx import Precision

_BINARY: Final = {"binary:logistic"}
_MULTICLASS: Final = {"multi:softprob"}
_VALUES: Final = ("reg:", "count:")
_BOTH: Final[tuple[Precision, ...]] = ("float32", "float64")


class Model(NamedTuple):
    """A fitted model as the export sees it.

    Attributes:
        model: the object itself.
        task: what its numbers mean.
        classes: names of its classes, in order; None for a regressor.
        own: what the model itself calls them.
        algorithm: name of its class.
        precisions: precisions its graph may compute in, in the order they are tried.
    """

    model: Any
    task: Task
    classes: list[str] | None
    own: list[str]
    algorithm: str
    precisions: tuple[Precision, ...] = _BOTH

    @classmethod
    def of(cls, model: Any, classes: Any = None) -> "Model":
        """Tell what a model is; raises ExportError where it cannot be served."""
        algorithm = _algorithm(model)
        if isinstance(model, xgb.Booster):
            task, own = _booster_task(model)
            return cls(model, task, _classes(task, own, classes), own, algorithm, ("float32",))
        if not isinstance(model, BaseEstimator):
            raise ExportError(f"{algorithm} is neither an XGBoost model nor a scikit-learn estimator.")
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise ExportError(f"{algorithm} is not fitted.") from error
        last = model.steps[-1][1] if isinstance(model, Pipeline) else model
        if isinstance(last, xgb.XGBModel):
            _booster_task(last.get_booster())
        task, own = _task(model, algorithm)
        only: tuple[Precision, ...] = ("float32",) if isinstance(model, xgb.XGBModel) else _BOTH
        return cls(model, task, _classes(task, own, classes), own, algorithm, only)

    def answers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """What the original model says: P(class 1) [n], P of each class [n, classes], or values [n]."""
        if isinstance(self.model, xgb.Booster):
            raw = _ask_booster(self.model, frame)
        else:
            ask = self.model.predict if self.task is Task.REGRESSION else self.model.predict_proba
            raw = np.asarray(ask(self._as_fitted(frame)))
        if self.task is Task.BINARY and raw.ndim > 1:
            raw = raw[:, 1]
        if self.task is Task.REGRESSION:
            raw = raw.reshape(len(raw), -1)
            if raw.shape[1] != 1:
                raise ExportError(f"{self.algorithm} answers {raw.shape[1]} values a row, and one is served.")
            raw = raw[:, 0]
        return raw.astype(np.float64)

    def _as_fitted(self, frame: pd.DataFrame) -> Any:
        """Named columns for a model that was fitted with names, which complains of the other."""
        try:
            names = self.model.feature_names_in_
        except AttributeError:
            return frame.to_numpy()
        return frame[list(names)]

    def check_columns(self, names: list[str]) -> None:
        """Raise ExportError where the frame's columns are not those the model was fitted on, in their order."""
        fitted = self.model.feature_names if isinstance(self.model, xgb.Booster) else _names(self.model)
        if fitted is not None and list(fitted) != names:
            lacking = next((str(name) for name in fitted if name not in names), None)
            surplus = next((name for name in names if name not in list(fitted)), None)
            if lacking is not None:
                raise ExportError(f"The frame lacks the column {lacking}, which the model was fitted on.")
            if surplus is not None:
                raise ExportError(f"The frame has the column {surplus}, which the model was not fitted on.")
            raise ExportError("The frame's columns stand in another order than those the model was fitted on.")
        count = self.model.num_features() if isinstance(self.model, xgb.Booster) else self.model.n_features_in_
        if count != len(names):
            raise ExportError(f"The frame has {len(names)} columns, and the model was fitted on {count}.")


def _names(model: Any) -> Any:
    try:
        return model.feature_names_in_
    except AttributeError:
        return None


def _algorithm(model: Any) -> str:
    if isinstance(model, Pipeline):
        return f"Pipeline of {', '.join(type(step).__name__ for _, step in model.steps)}"
    return type(model).__name__


def _booster_task(booster: xgb.Booster) -> tuple[Task, list[str]]:
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    count = int(learner["learner_model_param"]["num_class"])
    kind = learner["gradient_booster"]["name"]
    if kind != "gbtree":
        raise ExportError(f"XGBoost's {kind} cannot be exported; gbtree can.")
    if any(kind == "c" for kind in booster.feature_types or []):
        raise ExportError("XGBoost's own categorical columns cannot be exported; encode them in a Pipeline.")
    if objective in _BINARY:
        return Task.BINARY, ["0", "1"]
    if objective in _MULTICLASS:
        return Task.MULTICLASS, [str(number) for number in range(count)]
    if objective.startswith(_VALUES) and int(learner["learner_model_param"].get("num_target", 1)) == 1:
        return Task.REGRESSION, []
    raise ExportError(f"XGBoost's objective {objective} answers neither probabilities nor one value.")


def _task(model: Any, algorithm: str) -> tuple[Task, list[str]]:
    if is_regressor(model):
        return Task.REGRESSION, []
    if not is_classifier(model):
        raise ExportError(f"{algorithm} is neither a classifier nor a regressor.")
    if not hasattr(model, "predict_proba"):
        raise ExportError(f"{algorithm} gives no probabilities (it has no predict_proba).")
    own = model.classes_
    if isinstance(own, list) or np.ndim(own) != 1:
        raise ExportError(f"{algorithm} answers several labels a row, and one is served.")
    return (Task.BINARY if len(own) == 2 else Task.MULTICLASS), [str(name) for name in own]


def _classes(task: Task, own: list[str], given: Any) -> list[str] | None:
    if task is Task.REGRESSION:
        if given is not None:
            raise ExportError("A regressor has no classes.")
        return None
    names = [str(name) for name in given] if given is not None else own
    if len(names) != len(own) or len(set(names)) != len(names):
        raise ExportError(f"The model has {len(own)} classes, which need as many different names.")
    return names


def _ask_booster(booster: xgb.Booster, frame: pd.DataFrame) -> NDArray[Any]:
    best = booster.attr("best_iteration")
    rounds = (0, 0) if best is None else (0, int(best) + 1)
    rows = xgb.DMatrix(frame.to_numpy(np.float32), feature_names=booster.feature_names)
    return np.asarray(booster.predict(rows, iteration_range=rounds))
