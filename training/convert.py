"""Turns a trained estimator into the files that serving runs: ONNX for all, UBJ besides for XGBoost.

Every graph has one float32 input ``input`` [n, features] and answers ``probabilities`` [n, 2].
"""

from typing import Any, Final

import xgboost as xgb
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OneHotEncoder

OPSET: Final = {"": 17, "ai.onnx.ml": 3}
INPUT: Final = "input"
OUTPUT: Final = "probabilities"
_XGBOOST_OPSET: Final = 15  # the newest that onnxmltools converts trees to


def strip(booster: xgb.Booster) -> xgb.Booster:
    """A copy that keeps the rounds up to the best iteration and no feature names.

    Converters take names of the form f0, f1 only, and know nothing of early stopping.
    """
    best = booster.attr("best_iteration")
    rounds = booster.num_boosted_rounds()
    copy = booster[: rounds if best is None else min(int(best) + 1, rounds)]
    copy.feature_names = None
    copy.feature_types = None
    return copy


def to_ubj(booster: xgb.Booster) -> bytes:
    """UBJ text of a stripped booster."""
    return bytes(booster.save_raw("ubj"))


def to_onnx(estimator: xgb.Booster | BaseEstimator, features: int) -> bytes:
    """ONNX text of a stripped booster, or of a scikit-learn classifier or pipeline, for float32 rows [n, features]."""
    import onnx

    model = (
        _from_xgboost(estimator, features) if isinstance(estimator, xgb.Booster) else _from_sklearn(estimator, features)
    )
    imports = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]  # skl2onnx may list a domain twice, which the standard forbids
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in imports.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _from_xgboost(booster: xgb.Booster, features: int) -> Any:
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    shape = FloatTensorType([None, features])
    return convert_xgboost(booster, "model", [(INPUT, shape)], target_opset=_XGBOOST_OPSET)


def _from_sklearn(estimator: BaseEstimator, features: int) -> Any:
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType

    register_hist_gradient_boosting()
    _register_one_hot()
    return convert(
        estimator,
        name="model",
        initial_types=[(INPUT, FloatTensorType([None, features]))],
        options={id(estimator): {"zipmap": False}},
        target_opset=OPSET,
    )


def register_hist_gradient_boosting() -> None:
    """Register skl2onnx's own converter again behind ``IntegerFlags``; doing it twice changes nothing."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_classifier

    def convert(scope: Any, operator: Any, container: Any) -> None:
        convert_sklearn_random_forest_classifier(scope, operator, IntegerFlags(container))

    update_registered_converter(
        HistGradientBoostingClassifier,
        "SklearnHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        convert,
        options={"zipmap": [True, False, "columns"], "raw_scores": [True, False], "nocl": [True, False]},
    )


class IntegerFlags:
    """Passes nodes on to skl2onnx's container with integer flags for missing values.

    skl2onnx 1.20 hands on numpy booleans there, which onnx 1.23 refuses ("Expected an int, got a boolean").
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, nodes_missing_value_tracks_true: Any, **kwargs: Any) -> None:
        """As skl2onnx's."""
        flags = [int(flag) for flag in nodes_missing_value_tracks_true]
        self._container.add_node(*args, nodes_missing_value_tracks_true=flags, **kwargs)


def _register_one_hot() -> None:
    """Register an encoder of float columns that compares values as they are; doing it twice changes nothing.

    skl2onnx 1.20 casts float columns to integers first: it refuses a category of 0.5 and takes 1.5 for a 1.
    """
    from onnx import TensorProto
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType

    def shape(operator: Any) -> None:
        width = sum(len(categories) for categories in operator.raw_operator.categories_)
        operator.outputs[0].type = FloatTensorType([None, width])

    def convert(scope: Any, operator: Any, container: Any) -> None:
        def node(kind: str, inputs: list[str], since: int, output: str | None = None, **attributes: Any) -> str:
            name = output or scope.get_unique_variable_name(kind.lower())
            container.add_node(
                kind, inputs, name, op_version=since, name=scope.get_unique_operator_name(kind), **attributes
            )
            return str(name)

        def constant(kind: int, shape: list[int], values: list[Any]) -> str:
            name = scope.get_unique_variable_name("constant")
            container.add_initializer(name, kind, shape, values)
            return str(name)

        inputs = [variable.full_name for variable in operator.inputs]
        table = inputs[0] if len(inputs) == 1 else node("Concat", inputs, 13, axis=1)
        blocks = []
        for number, categories in enumerate(operator.raw_operator.categories_):
            column = node("Gather", [table, constant(TensorProto.INT64, [1], [number])], 13, axis=1)
            known = constant(TensorProto.FLOAT, [1, len(categories)], [float(value) for value in categories])
            blocks.append(node("Cast", [node("Equal", [column, known], 13)], 13, to=TensorProto.FLOAT))
        node("Concat", blocks, 13, output=operator.outputs[0].full_name, axis=1)

    update_registered_converter(OneHotEncoder, "SklearnOneHotEncoder", shape, convert)
