"""Turns XGBoost models, scikit-learn estimators and pipelines of both into the graphs that serving runs.

A graph takes one matrix ``input`` [n, columns] where all columns are numbers, else each column as a tensor [n, 1] of
its name. It computes in float32, or, where a model needs it, in float64 up to the model at the end of a pipeline.
"""

import copy
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import onnx
import xgboost as xgb
from onnx import TensorProto, compose, helper
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import BaseDecisionTree

from bentos.bundle import MODEL_ONNX, MODEL_UBJ
from bentos.runtime import PREPROCESS_ONNX
from training import convert
from training.convert import IntegerFlags, register_hist_gradient_boosting

Precision = Literal["float32", "float64"]
INPUT: Final = convert.INPUT
FEATURES: Final = "features"
_KINDS: Final = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class Graphs(NamedTuple):
    """Files of a model.

    Attributes:
        model: the whole model, ONNX.
        output: the tensor to read of it.
        booster: the stripped booster, where there is one.
        preprocess: what feeds the booster, ONNX; None where it takes the matrix.
    """

    model: bytes
    output: str
    booster: xgb.Booster | None = None
    preprocess: bytes | None = None

    def names(self) -> list[str]:
        """Names of the files in a bundle."""
        also = {MODEL_UBJ: self.booster, PREPROCESS_ONNX: self.preprocess}
        return [MODEL_ONNX, *(name for name, part in also.items() if part is not None)]


def booster_of(model: Any) -> xgb.Booster | None:
    """The booster a model ends in, cut to its best iteration and without names; None where it ends in none."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if isinstance(last, xgb.XGBModel):
        last = last.get_booster()
    return convert.strip(last) if isinstance(last, xgb.Booster) else None


def graphs(model: Any, columns: dict[str, bool], precision: Precision) -> Graphs:
    """Convert a model that takes ``columns`` (by name: whether it holds text)."""
    booster = booster_of(model)
    if booster is None and not (precision == "float64" and _casts_to_float32(model)):
        graph = _from_sklearn(_on_float32(model), columns, precision, dict(convert.OPSET))
        return Graphs(_text(graph), _output(graph))
    if booster is None:
        last = model.steps[-1][1]
        names = {f"f{number}": False for number in range(last.n_features_in_)}
        trees = _from_sklearn(last, names, "float32", dict(convert.OPSET))
        whole, _ = _joined(model, trees, columns, precision)
        return Graphs(_text(whole), _output(trees))
    if not isinstance(model, Pipeline) or len(model.steps) == 1:
        text = convert.to_onnx(booster, len(columns))
        return Graphs(text, _output(onnx.load_from_string(text)), booster)
    trees = onnx.load_from_string(convert.to_onnx(booster, booster.num_features()))
    whole, before = _joined(model, trees, columns, precision)
    return Graphs(_text(whole), _output(trees), booster, _text(before))


def _joined(model: Pipeline, last: Any, columns: dict[str, bool], precision: Precision) -> tuple[Any, Any]:
    """The whole of a pipeline with ``last`` as the graph of its last step, and the steps before on their own."""
    width = int(model.steps[-1][1].n_features_in_)
    opset = {entry.domain: entry.version for entry in last.opset_import}
    for domain, since in convert.OPSET.items():
        opset[domain] = max(since, opset.get(domain, 1))
    before = _preprocessing(model, columns, precision, opset, width)
    last = compose.add_prefix(last, "last_", rename_inputs=False, rename_outputs=False)
    before.ir_version = last.ir_version
    for graph in (before, last):
        del graph.opset_import[:]
        graph.opset_import.extend(helper.make_opsetid(domain, since) for domain, since in opset.items())
    return compose.merge_models(before, last, io_map=[(FEATURES, INPUT)]), before


def _casts_to_float32(model: Any) -> bool:
    """Whether a pipeline ends in trees that scikit-learn feeds with float32, whatever comes before."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) and len(model.steps) > 1 else None
    return isinstance(last, BaseDecisionTree | BaseForest | BaseGradientBoosting)


def _on_float32(model: Any) -> Any:
    """A copy whose histogram boosting compares float32 values as it compares the same in float64.

    A threshold is rounded down to a float32: no float32 lies between the two.
    """
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if not isinstance(last, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return model
    model = copy.deepcopy(model)
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    for tree in (tree for trees in last._predictors for tree in trees):  # noqa: SLF001  there is no public way
        exact = tree.nodes["num_threshold"]
        near = exact.astype(np.float32)
        tree.nodes["num_threshold"] = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
    return model


def _preprocessing(
    model: Pipeline, columns: dict[str, bool], precision: Precision, opset: dict[str, int], width: int
) -> Any:
    """All steps but the last, as a graph that makes the float32 matrix ``features`` [n, width]."""
    graph = compose.add_prefix(
        _from_sklearn(Pipeline(model.steps[:-1]), columns, precision, opset), "pre_", rename_inputs=False
    )
    made = graph.graph.output[0].name
    graph.graph.node.append(helper.make_node("Cast", [made], ["to_float"], to=TensorProto.FLOAT))
    last = "to_float"
    if isinstance(model.steps[-1][1], xgb.XGBModel) and _is_sparse(model):
        # XGBoost takes what a sparse matrix leaves out as missing, and scikit-learn leaves out every zero.
        graph.graph.initializer.extend(
            [
                helper.make_tensor("to_zero", TensorProto.FLOAT, [1], [0.0]),
                helper.make_tensor("to_nan", TensorProto.FLOAT, [1], [float("nan")]),
            ]
        )
        graph.graph.node.append(helper.make_node("Equal", [last, "to_zero"], ["to_absent"]))
        graph.graph.node.append(helper.make_node("Where", ["to_absent", "to_nan", last], ["to_dense"]))
        last = "to_dense"
    graph.graph.node.append(helper.make_node("Identity", [last], [FEATURES]))
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [None, width]))
    return graph


def _is_sparse(model: Pipeline) -> bool:
    made = [step for _, step in model.steps[:-1]][-1]
    if isinstance(made, ColumnTransformer):
        return bool(made.sparse_output_)
    return isinstance(made, OneHotEncoder) and bool(made.sparse_output)


def _from_sklearn(model: BaseEstimator, columns: dict[str, bool], precision: Precision, opset: dict[str, int]) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    register_hist_gradient_boosting()
    _register_hist_gradient_regressor()
    _register_one_hot()
    number = FloatTensorType if precision == "float32" else DoubleTensorType
    by_name = any(columns.values()) or _has_column_transformer(model)
    if by_name:
        types = [(name, (StringTensorType if text else number)([None, 1])) for name, text in columns.items()]
    else:
        types = [(INPUT, number([None, len(columns)]))]
    options = {id(model): {"zipmap": False}} if is_classifier(model) else None
    graph = convert_sklearn(model, "model", types, options=options, target_opset=opset)
    _list_domains_once(graph)
    if by_name and not any(columns.values()):
        _take_matrix(graph, list(columns), _KINDS[precision])
    return graph


def _has_column_transformer(model: BaseEstimator) -> bool:
    if isinstance(model, Pipeline):
        return any(_has_column_transformer(step) for _, step in model.steps)
    return isinstance(model, ColumnTransformer)


def _take_matrix(graph: Any, names: list[str], kind: int) -> None:
    """Replace the inputs [n, 1] of a graph by one matrix that is split into them."""
    del graph.graph.input[:]
    graph.graph.input.append(helper.make_tensor_value_info(INPUT, kind, [None, len(names)]))
    for place, name in enumerate(names):
        graph.graph.initializer.append(helper.make_tensor(f"place_{place}", TensorProto.INT64, [1], [place]))
        graph.graph.node.insert(place, helper.make_node("Gather", [INPUT, f"place_{place}"], [name], axis=1))


def _output(graph: Any) -> str:
    names = [tensor.name for tensor in graph.graph.output]
    return convert.OUTPUT if convert.OUTPUT in names else str(names[-1])


def _text(graph: Any) -> bytes:
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def _list_domains_once(graph: Any) -> None:
    imports = {entry.domain: entry.version for entry in graph.opset_import}
    del graph.opset_import[:]  # skl2onnx may list a domain twice, which the standard forbids
    graph.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in imports.items())


def _register_hist_gradient_regressor() -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
    from skl2onnx.operator_converters.random_forest import convert_sklearn_random_forest_regressor_converter

    def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
        convert_sklearn_random_forest_regressor_converter(scope, operator, IntegerFlags(container))

    update_registered_converter(
        HistGradientBoostingRegressor,
        "SklearnHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        convert_regressor,
    )


def _register_one_hot() -> None:
    """Register an encoder that knows text, numbers as they are, dropped and rare categories.

    skl2onnx 1.20 casts float columns to integers first: it refuses a category of 0.5 and takes 1.5 for a 1.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.data_types import FloatTensorType

    def shape(operator: Any) -> None:
        width = sum(block.shape[1] for block in _one_hot_blocks(operator.raw_operator))
        operator.outputs[0].type = FloatTensorType([None, width])

    update_registered_converter(OneHotEncoder, "SklearnOneHotEncoder", shape, _convert_one_hot)


def _one_hot_blocks(encoder: OneHotEncoder) -> list[Any]:
    """For each column what the encoder makes of each of its categories [categories, columns made]."""
    count = len(encoder.categories_)
    rare = getattr(encoder, "infrequent_categories_", [None] * count)
    dropped = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * count
    blocks = []
    for categories, few, drop in zip(encoder.categories_, rare, dropped, strict=True):
        together = set() if few is None else set(few.tolist())
        often = [value for value in categories.tolist() if value not in together]
        places = [often.index(value) if value not in together else len(often) for value in categories.tolist()]
        block = np.eye(len(often) + bool(together), dtype=np.float32)[places]
        blocks.append(block if drop is None else np.delete(block, places[drop], axis=1))
    return blocks


def _convert_one_hot(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    def node(
        kind: str, inputs: list[str], since: int, output: str | None = None, domain: str = "", **given: Any
    ) -> str:
        name = output or scope.get_unique_variable_name(kind.lower())
        label = scope.get_unique_operator_name(kind)
        container.add_node(kind, inputs, name, op_version=since, op_domain=domain, name=label, **given)
        return str(name)

    def constant(kind: int, shape: list[int], values: list[Any]) -> str:
        name = scope.get_unique_variable_name("constant")
        container.add_initializer(name, kind, shape, values)
        return str(name)

    inputs = [variable.full_name for variable in operator.inputs]
    kind = type(operator.inputs[0].type)
    table = inputs[0] if len(inputs) == 1 else node("Concat", inputs, 13, axis=1)
    blocks = []
    encoder = operator.raw_operator
    for number, (categories, made) in enumerate(zip(encoder.categories_, _one_hot_blocks(encoder), strict=True)):
        column = node("Gather", [table, constant(TensorProto.INT64, [1], [number])], 13, axis=1)
        if kind is StringTensorType:
            words = [str(value) for value in categories]
            places = list(range(len(words)))
            column = node(
                "LabelEncoder",
                [column],
                2,
                domain="ai.onnx.ml",
                keys_strings=words,
                values_int64s=places,
                default_int64=-1,
            )
            known = constant(TensorProto.INT64, [1, len(words)], places)
        else:
            double = kind is DoubleTensorType
            numbers = [float(value) for value in categories]
            known = constant(TensorProto.DOUBLE if double else TensorProto.FLOAT, [1, len(numbers)], numbers)
        hit = node("Cast", [node("Equal", [column, known], 13)], 13, to=TensorProto.FLOAT)
        blocks.append(node("MatMul", [hit, constant(TensorProto.FLOAT, list(made.shape), made.ravel().tolist())], 13))
    node("Concat", blocks, 13, output=operator.outputs[0].full_name, axis=1)
