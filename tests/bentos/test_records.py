import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bentos.contract import Column, Contract
from bentos.core import Core
from bentos.errors import InvalidInput
from bentos.records import Records
from tests import tabular

GOOD: dict[str, Any] = {"age": 40.5, "visits": 3, "member": True, "spend": 20}
TEXT: dict[str, Any] = {"age": 40.5, "visits": 3, "spend": 20, "city": "Oslo"}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """Columns age (may be missing, 0 to 120), visits (int64), member (bool), spend: one matrix."""
    return Core.open(tabular.write("classifier", tmp_path_factory.mktemp("records") / "bundle"))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """Columns age (0 to 120), visits (int64), spend, city (Oslo, Paris, Rome): one tensor each."""
    return Core.open(tabular.write("pipeline", tmp_path_factory.mktemp("records") / "bundle"))


def faults(core: Core, records: list[Any]) -> tuple[str, list[dict[str, Any]]]:
    with pytest.raises(InvalidInput) as refused:
        core.records(records)
    return str(refused.value), refused.value.details


def with_column(contract: Contract, name: str, **changes: Any) -> Contract:
    columns = [c.model_copy(update=changes) if c.name == name else c for c in contract.columns]
    return contract.model_copy(update={"columns": columns})


def test_good_records_are_the_matrix_in_the_columns_order(numbers: Core) -> None:
    rows = numbers.records([GOOD, {"spend": 1.5, "member": False, "visits": 4.0, "age": None}])
    assert isinstance(rows.x, np.ndarray)
    assert rows.x.dtype == np.float32
    assert np.array_equal(rows.x, np.array([[40.5, 3, 1, 20], [np.nan, 4, 0, 1.5]]), equal_nan=True)


def test_good_records_are_columns_of_their_types(words: Core) -> None:
    rows = words.records([TEXT, {**TEXT, "city": "Rome", "visits": 2**53 + 1}])
    assert not isinstance(rows.x, np.ndarray)
    assert {name: column.dtype.kind for name, column in rows.x.items()} == {
        "age": "f",
        "visits": "i",
        "spend": "f",
        "city": "O",
    }
    assert rows.x["city"].tolist() == [["Oslo"], ["Rome"]]
    assert rows.x["visits"].tolist() == [[3], [2**53 + 1]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"age": "40"}, "'40' is not a number"),
        ({"age": True}, "true is not a number"),
        ({"age": 121}, "121 is above 120, the highest value accepted"),
        ({"age": -0.5}, "-0.5 is below 0, the lowest value accepted"),
        ({"age": math.inf}, "inf is not finite"),
        ({"age": [40]}, "a list is not a number"),
        ({"visits": 2.5}, "2.5 is not a whole number"),
        ({"visits": None}, "null is no value, and one is needed"),
        ({"visits": False}, "false is not a whole number"),
        ({"visits": 2**63}, "9223372036854775808 does not fit into 64 bits"),
        ({"visits": -(10**400)}, "an integer of more than 64 bits does not fit into 64 bits"),
        ({"spend": math.nan}, "nan is no value, and one is needed"),
        ({"spend": 3.5e38}, "3.5e+38 is too large for a number of this column"),
        ({"spend": 10**400}, "an integer of more than 64 bits is too large for a number of this column"),
        ({"spend": {"a": 1}}, "an object is not a number"),
    ],
)
@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_a_bad_number_is_named_with_row_and_column(
    request: pytest.FixtureRequest, kind: str, change: dict[str, Any], problem: str
) -> None:
    core: Core = request.getfixturevalue(kind)
    good = GOOD if kind == "numbers" else TEXT
    sentence, details = faults(core, [good, good, good, {**good, **change}])
    column = next(iter(change))
    assert sentence == f"Row 3, column {column}: {problem}."
    assert details == [{"row": 3, "column": column, "problem": problem}]


def test_a_flag_is_true_or_false_and_nothing_else(numbers: Core) -> None:
    for value in (1, "true", 0.0):
        sentence, _ = faults(numbers, [{**GOOD, "member": value}])
        assert "column member" in sentence
        assert sentence.endswith("is not true or false.")


def test_the_nearest_category_is_suggested(words: Core) -> None:
    sentence, details = faults(words, [{**TEXT, "city": "Pariss"}])
    assert sentence == "Row 0, column city: 'Pariss' is none of its 3 categories; did you mean Paris?"
    assert details[0]["did_you_mean"] == ["Paris"]
    assert faults(words, [{**TEXT, "city": 3}])[0] == "Row 0, column city: 3 is not text."
    assert faults(words, [{**TEXT, "city": None}])[0].startswith("Row 0, column city: null is no value")


def test_a_column_too_many_and_one_too_few_are_told_with_the_nearest_name(numbers: Core) -> None:
    sentence, details = faults(numbers, [{**{k: v for k, v in GOOD.items() if k != "visits"}, "visit": 3}])
    assert sentence.startswith(
        "Row 0, column visit: the model has no such column; did you mean visits? (the first of 2 faults)"
    )
    assert details[1] == {"row": 0, "column": "visits", "problem": "the column is missing"}
    assert faults(numbers, [{**GOOD, "x" * 500: 3}])[0].startswith(f"Row 0, column {'x' * 64}…: the model has no")


@pytest.mark.parametrize("row", [None, 3, "text", [1, 2, 3, 4], True])
def test_a_row_that_is_no_object_is_refused(numbers: Core, words: Core, row: Any) -> None:
    for core, good in ((numbers, GOOD), (words, TEXT)):
        sentence, details = faults(core, [good, row])
        assert sentence.startswith("Row 1: ")
        assert sentence.endswith("is not an object of named columns.")
        assert details[0]["row"] == 1
        assert details[0]["column"] is None


def test_no_rows_are_refused(numbers: Core) -> None:
    assert faults(numbers, []) == ("The request has no rows.", [])


def test_at_most_twenty_faults_are_told(numbers: Core) -> None:
    sentence, details = faults(numbers, [{**GOOD, "age": -1, "visits": None}] * 50)
    assert len(details) == 20
    assert sentence.endswith("(the first of 20 faults or more).")
    assert details[-1]["row"] == 9


def test_a_missing_value_is_nan_where_the_column_takes_it_and_a_left_out_one_too(numbers: Core) -> None:
    left_out = {name: value for name, value in GOOD.items() if name != "age"}
    for row in (left_out, {**GOOD, "age": None}, {**GOOD, "age": math.nan}):
        x = numbers.records([row]).x
        assert isinstance(x, np.ndarray)
        assert np.isnan(x[0, 0])


def test_an_optional_column_may_be_left_out_but_not_null(numbers: Core, words: Core) -> None:
    for core, good in ((numbers, GOOD), (words, TEXT)):
        records = Records(with_column(core.contract, "visits", optional=True))
        table = records.columns([good, {name: value for name, value in good.items() if name != "visits"}])
        assert np.array_equal(table["visits"], [3, np.nan], equal_nan=True)
        with pytest.raises(InvalidInput, match="null is no value"):
            records.columns([{**good, "visits": None}])


def test_whole_numbers_keep_every_bit_of_64_in_columns(words: Core) -> None:
    for value in (2**63 - 1, -(2**63)):
        x = words.records([{**TEXT, "visits": value}]).x
        assert x["visits"][0, 0] == value  # type: ignore[call-overload]


def test_a_float32_on_its_bound_is_accepted(numbers: Core) -> None:
    records = Records(with_column(numbers.contract, "spend", range=(0.7, 1.1)))
    for value in (0.7, 1.1, float(np.float32(0.7)), float(np.float32(1.1))):
        records.columns([{**GOOD, "spend": value}])
    for value in (0.6999, 1.1001):
        with pytest.raises(InvalidInput, match="accepted"):
            records.columns([{**GOOD, "spend": value}])


def test_float64_columns_of_a_float64_model_take_large_numbers(words: Core) -> None:
    plan = words.contract.runtime.model_copy(update={"input_dtype": "float64"})
    contract = with_column(words.contract, "spend", dtype="float64").model_copy(update={"runtime": plan})
    assert Records(contract).columns([{**TEXT, "spend": 1e300}])["spend"][0] == 1e300


def test_a_request_with_one_bad_value_among_many_good_ones_names_it(numbers: Core) -> None:
    sentence, _ = faults(numbers, [GOOD] * 999 + [{**GOOD, "spend": "much"}])
    assert sentence == "Row 999, column spend: 'much' is not a number."


def test_one_record_of_130_plain_columns_needs_no_look_at_each_value(
    numbers: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [Column(name=f"column_{number}", dtype="float32") for number in range(130)]
    records = Records(numbers.contract.model_copy(update={"columns": columns}))
    given = [{column.name: 0.5 for column in columns}]
    exact = records._exact(given)

    # By hand, 12 µs where the exact check of each value takes 42.
    monkeypatch.setattr(Records, "_exact", lambda *_: pytest.fail("the slow way was taken"))
    quick = records.columns(given)
    assert {name: list(quick[name]) for name in quick} == {name: list(exact[name]) for name in exact}


def test_the_bundle_says_the_same_to_records_as_the_original_model(tmp_path: Path) -> None:
    for kind in ("classifier", "pipeline"):
        given = tabular.sample(kind)
        core = Core.open(tabular.write(kind, tmp_path / kind))
        records = given.frame.astype(object).where(given.frame.notna(), None).to_dict("records")
        answered = core.predict(core.records(records), ids=False).outputs[0].data
        assert np.abs(answered - given.model.predict_proba(given.frame)).max() < 2e-5
