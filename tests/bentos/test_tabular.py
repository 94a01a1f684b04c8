import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.contract import CONTRACT_FILE
from bentos.core import Core
from bentos.errors import ContractError, InvalidInput
from bentos.tensor import Tensor
from tests import tabular


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Core:
    return Core.open(tabular.write("classifier", tmp_path_factory.mktemp("tabular") / "bundle"))


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Core:
    return Core.open(tabular.write("regressor", tmp_path_factory.mktemp("tabular") / "bundle"))


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Core:
    return Core.open(tabular.write("pipeline", tmp_path_factory.mktemp("tabular") / "bundle"))


def one(values: Any) -> list[Tensor]:
    return [Tensor("input", "FP32", np.array(values, np.float32))]


def each(**changes: Any) -> list[Tensor]:
    """Two good rows of the pipeline's columns."""
    given: dict[str, tuple[str, Any, list[Any]]] = {
        "age": ("FP32", np.float32, [40, 50]),
        "visits": ("INT64", np.int64, [3, 4]),
        "spend": ("FP32", np.float32, [10, 20]),
        "city": ("BYTES", object, ["Oslo", "Rome"]),
    }
    return [
        Tensor(name, kind, np.array(changes.get(name, values), dtype).reshape(-1, 1))
        for name, (kind, dtype, values) in given.items()
    ]


def changed(folder: Path, **changes: Any) -> Path:
    text = json.loads((folder / CONTRACT_FILE).read_text())
    (folder / CONTRACT_FILE).write_text(json.dumps({**text, **changes}))
    return folder


def refused(core: Core, given: list[Tensor]) -> InvalidInput:
    with pytest.raises(InvalidInput) as error:
        core.tensors(given)
    return error.value


@pytest.mark.parametrize("kind", ["classifier", "multiclass", "regressor"])
def test_a_matrix_is_answered_as_by_the_original(kind: tabular.Kind, tmp_path: Path) -> None:
    given = tabular.sample(kind)
    core = Core.open(tabular.write(kind, tmp_path / "bundle"))
    prediction = core.predict(core.tensors(one(given.frame.to_numpy(np.float32))))
    answers = {tensor.name: tensor.data for tensor in prediction.outputs}
    if kind == "regressor":
        assert np.abs(answers["value"][:, 0] / given.model.predict(given.frame) - 1).max() < 2e-5
        return
    expected = given.model.predict_proba(given.frame)
    assert np.abs(answers["probabilities"] - expected).max() < 2e-5
    assert answers["label"][:, 0].tolist() == [given.arguments["classes"][i] for i in expected.argmax(axis=1)]


def test_columns_are_answered_as_by_the_original(columns: Core) -> None:
    given = tabular.sample("pipeline")
    frame = given.frame
    tensors = each(**{name: frame[name].tolist() for name in ("age", "visits", "spend", "city")})
    answered = columns.predict(columns.tensors(tensors)).outputs[0].data
    assert np.abs(answered - given.model.predict_proba(frame)).max() < 2e-5


def test_columns_of_a_matrix_model_are_put_side_by_side(tmp_path: Path) -> None:
    folder = changed(tabular.write("classifier", tmp_path / "bundle"), layout="columns")
    core = Core.open(folder)
    assert [(spec.name, spec.datatype) for spec in core.adapter.inputs] == [
        ("age", "FP32"),
        ("visits", "INT64"),
        ("member", "BOOL"),
        ("spend", "FP32"),
    ]
    rows = core.tensors(
        [
            Tensor("age", "FP32", np.array([[np.nan]], np.float32)),
            Tensor("visits", "INT64", np.array([[7]])),
            Tensor("member", "BOOL", np.array([[True]])),
            Tensor("spend", "FP32", np.array([[2.5]], np.float32)),
        ]
    )
    assert isinstance(rows.x, np.ndarray)
    assert rows.x.dtype == np.float32
    assert np.array_equal(rows.x, [[np.nan, 7, 1, 2.5]], equal_nan=True)


def test_a_row_is_not_copied_on_its_way_to_the_model(matrix: Core, floats: Core) -> None:
    for core in (matrix, floats):
        given = one([[40, 3, 1, 10]])
        assert core.tensors(given).x is given[0].data


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ([121, 3, 1, 10], "age", "121.0 is above 120, the highest value accepted"),
        ([-1, 3, 1, 10], "age", "-1.0 is below 0, the lowest value accepted"),
        ([np.inf, 3, 1, 10], "age", "inf is not finite"),
        ([40, np.nan, 1, 10], "visits", "nan is no value, and one is needed"),
        ([40, 3, 1, -np.inf], "spend", "-inf is not finite"),
        ([40, 1.5, 1, 10], "visits", "1.5 is not a whole number"),
        ([40, -0.5, 1, 10], "visits", "-0.5 is not a whole number"),
        ([40, 3, 0.5, 10], "member", "0.5 is not true or false"),
        ([40, 3, 2, 10], "member", "2.0 is not true or false"),
        ([40, 3, -1, 10], "member", "-1.0 is not true or false"),
        ([40, 3, np.nan, 10], "member", "nan is no value, and one is needed"),
    ],
)
def test_a_bad_value_of_a_matrix_is_named_with_row_and_column(
    matrix: Core, row: list[float], column: str, problem: str
) -> None:
    for given in ([row], [[40, 3, 1, 10], row]):
        error = refused(matrix, one(given))
        assert str(error) == f"Row {len(given) - 1}, column {column}: {problem}."
        assert error.details == [{"row": len(given) - 1, "column": column, "problem": problem}]


def test_all_faults_of_a_matrix_are_told_at_once(matrix: Core) -> None:
    error = refused(matrix, one([[121, 1.5, 0.5, 10]]))
    assert [fault["column"] for fault in error.details] == ["age", "visits", "member"]


def test_whole_numbers_and_flags_may_be_missing_in_a_matrix(tmp_path: Path) -> None:
    folder = tabular.write("classifier", tmp_path / "bundle")
    columns = json.loads((folder / CONTRACT_FILE).read_text())["columns"]
    core = Core.open(changed(folder, columns=[{**column, "missing": "nan"} for column in columns]))
    given = one([[40, np.nan, np.nan, 10], [40, 3, 0, 10], [40, -2, 1, 10]])
    assert core.tensors(given).x is given[0].data
    assert str(refused(core, one([[40, np.nan, 0.5, 10]]))) == "Row 0, column member: 0.5 is not true or false."


def test_numbers_of_floats_only_may_have_fractions(floats: Core) -> None:
    floats.tensors(one([[1.5, 0.7, -2.5, 1e-9]]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_model_without_rules_still_refuses_what_is_not_finite(floats: Core, value: float, rows: int) -> None:
    x = np.ones((rows, 4), np.float32)
    x[-1, 2] = value
    assert str(refused(floats, one(x))).startswith(f"Row {rows - 1}, column height: ")
    x[-1, 2] = np.finfo(np.float32).max
    floats.tensors(one(x))


def test_a_missing_value_is_taken_where_the_contract_says_so(matrix: Core) -> None:
    x = matrix.tensors(one([[np.nan, 3, 1, 10]])).x
    assert isinstance(x, np.ndarray)
    assert np.isnan(x[0, 0])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([Tensor("inputs", "FP32", np.ones((1, 4), np.float32))], "The tensor input is missing."),
        ([Tensor("input", "FP64", np.ones((1, 4)))], "The tensor input is FP64, and the model takes FP32."),
        (one(np.ones((1, 5))), "The tensor input has the shape [1, 5], and the model takes [-1, 4]."),
        (one(np.ones(4)), "The tensor input has the shape [4], and the model takes [-1, 4]."),
        (one(np.ones((0, 4))), "The request has no rows."),
        ([*one(np.ones((1, 4))), *one(np.ones((1, 4)))], "The tensor input is there twice."),
        ([], "The tensor input is missing."),
    ],
)
def test_a_tensor_of_another_kind_is_refused(matrix: Core, given: list[Tensor], sentence: str) -> None:
    assert str(refused(matrix, given)) == sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"city": ["Oslo", "Rom"]}, "Row 1, column city: 'Rom' is none of its 3 categories; did you mean Rome?"),
        ({"age": [np.nan, 40]}, "Row 0, column age: nan is no value, and one is needed."),
        ({"age": [40, 130]}, "Row 1, column age: 130.0 is above 120, the highest value accepted."),
        ({"spend": [np.inf, 40]}, "Row 0, column spend: inf is not finite."),
    ],
)
def test_a_bad_value_of_a_column_is_named_with_its_row(columns: Core, change: dict[str, Any], sentence: str) -> None:
    assert str(refused(columns, each(**change))) == sentence


def test_whole_numbers_of_64_bits_pass(columns: Core) -> None:
    columns.tensors(each(visits=[2**63 - 1, -(2**63)]))


def test_an_observation_holds_the_monitored_columns(matrix: Core, columns: Core) -> None:
    seen = matrix.adapter.observation(matrix.tensors(one([[40, 3, 1, 10], [np.nan, 5, 0, 20]])), 1)
    assert np.array_equal(seen, [np.nan, 5, 0, 20], equal_nan=True)
    cities = columns.contract.monitored[-1].categories
    assert cities is not None
    seen = columns.adapter.observation(columns.tensors(each()), 1)
    assert seen.tolist() == [50, 4, 20, cities.index("Rome")]


def test_a_category_that_is_not_watched_is_nan(tmp_path: Path) -> None:
    folder = tabular.write("pipeline", tmp_path / "bundle")
    watched = [{"name": "city", "categories": ["Paris"], "shares": [1.0]}]
    core = Core.open(changed(folder, monitored=watched))
    assert np.isnan(core.adapter.observation(core.tensors(each()), 0)).all()


def test_columns_that_do_not_go_together_are_refused(columns: Core) -> None:
    good: dict[str, list[Any]] = {"age": [1.0], "visits": [1], "spend": [1.0], "city": ["Oslo"]}
    with pytest.raises(InvalidInput, match="column city is missing"):
        columns.adapter.columns({name: good[name] for name in ("age", "visits", "spend")})
    with pytest.raises(InvalidInput, match="differ in their number of rows"):
        columns.adapter.columns({**good, "age": [1.0, 2.0]})


def _two_of_a_name(contract: Mapping[str, Any]) -> dict[str, Any]:
    return {"columns": [{**column, "name": "age"} for column in contract["columns"]]}


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("classifier", _two_of_a_name, "two columns of one name"),
        ("pipeline", lambda c: {"layout": "matrix"}, "The column city holds text, and the contract says"),  # noqa: ARG005
        ("classifier", lambda c: {"features": ["a", "b", "c", "d"]}, "features of a tabular model"),  # noqa: ARG005
        (
            "classifier",
            lambda c: {"runtime": {**c["runtime"], "onnx_inputs": "columns"}},
            "callers send one matrix, and that the model takes columns",
        ),
        (
            "classifier",
            lambda c: {"monitored": [{"name": "height", "edges": [], "shares": [1.0]}]},  # noqa: ARG005
            "monitors height, which is none of its columns",
        ),
        (
            "classifier",
            lambda c: {"monitored": [{"name": "age", "categories": ["1"], "shares": [1.0]}]},  # noqa: ARG005
            "monitors age by categories",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(
    tmp_path: Path, kind: tabular.Kind, change: Any, sentence: str
) -> None:
    folder = tabular.write(kind, tmp_path / "bundle")
    contract = json.loads((folder / CONTRACT_FILE).read_text())
    with pytest.raises(ContractError, match=sentence):
        Core.open(changed(folder, **change(contract)))


def test_both_runtimes_answer_alike(matrix: Core) -> None:
    assert matrix.runtime.names == ("onnx", "xgboost")
    x: NDArray[np.float32] = tabular.sample("classifier").frame.to_numpy(np.float32)
    assert np.abs(matrix.runtime.predict_with("onnx", x) - matrix.runtime.predict_with("xgboost", x)).max() < 1e-5
