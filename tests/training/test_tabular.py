import gzip
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from bentos.contract import Column, Contract, MissingRule, Task, TensorLayout
from bentos.core import Core
from bentos.errors import InvalidInput
from bentos.metrics import bins
from training import crossover
from training.export import ExportError
from training.tabular import export
from training.tabular_frame import Schema
from training.tabular_watch import monitored_columns, watched_names

GUIDE = Path(__file__).parents[2] / "docs" / "tabular.md"
NUMBERS = ["age", "visits", "spend"]
TREES: dict[str, Any] = {"n_estimators": 12, "max_depth": 4, "random_state": 1, "n_jobs": 1}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": rng.uniform(18, 90, 500),
            "visits": rng.integers(0, 40, 500),
            "spend": rng.gamma(2.0, 50.0, 500),
            "city": rng.choice(["Oslo", "Paris", "Rome", "Turku"], 500, p=[0.4, 0.3, 0.28, 0.02]),
        }
    )


F = frame()
LEAVES = ((F.visits < 10) | (F.city == "Rome")).to_numpy(int)
WORTH = (F.spend * 3 + F.age + 50 * (F.city == "Oslo")).to_numpy()


def encoded(last: BaseEstimator, *, numbers: Any = "passthrough", **options: Any) -> Pipeline:
    encoder = OneHotEncoder(handle_unknown="ignore", **options)
    return make_pipeline(ColumnTransformer([("text", encoder, ["city"]), ("numbers", numbers, NUMBERS)]), last)


def made(model: Any, sample: Any, out: Path, **changes: Any) -> Core:
    return Core.open(export(model, sample, **{"name": "churn", "version": "3", "out": out / "bundle", **changes}))


def answers(core: Core, sample: pd.DataFrame) -> dict[str, Any]:
    records = sample.astype(object).where(sample.notna(), None).to_dict("records")
    return {tensor.name: tensor.data for tensor in core.predict(core.records(records)).outputs}


@pytest.fixture(autouse=True)
def _one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover, "measure", partial(crossover.measure, grid=(4096,)))


@pytest.mark.parametrize(
    ("model", "columns", "dtype"),
    [
        (xgb.XGBClassifier(**TREES), NUMBERS, "float32"),
        (RandomForestClassifier(**TREES), NUMBERS, "float32"),
        (GradientBoostingClassifier(n_estimators=12), NUMBERS, "float32"),
        (HistGradientBoostingClassifier(max_iter=10), NUMBERS, "float32"),
        (make_pipeline(StandardScaler(), LogisticRegression()), NUMBERS, "float32"),
        (
            make_pipeline(ColumnTransformer([("scale", StandardScaler(), NUMBERS)]), LogisticRegression()),
            NUMBERS,
            "float32",
        ),
        (encoded(LogisticRegression(max_iter=5000)), list(F), "float32"),
        (encoded(LogisticRegression(max_iter=5000), drop="first"), list(F), "float32"),
        (encoded(LogisticRegression(max_iter=5000), min_frequency=0.1), list(F), "float32"),
        (encoded(RandomForestClassifier(30, random_state=1), numbers=StandardScaler()), list(F), "float64"),
        (encoded(xgb.XGBClassifier(**TREES)), list(F), "float32"),
        (encoded(xgb.XGBClassifier(**TREES), numbers=StandardScaler()), list(F), "float64"),
        (
            make_pipeline(
                ColumnTransformer([("text", OrdinalEncoder(), ["city"])], remainder="passthrough"),
                RandomForestClassifier(**TREES),
            ),
            list(F),
            "float32",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else None,
)
def test_a_classifier_is_served_as_it_was_fitted(tmp_path: Path, model: Any, columns: list[str], dtype: str) -> None:
    sample = F[columns]
    core = made(model.fit(sample, LEAVES), sample, tmp_path)
    assert core.contract.runtime.input_dtype == dtype
    matrix = dtype == "float32" and "city" not in columns
    assert core.contract.layout is (TensorLayout.MATRIX if matrix else TensorLayout.COLUMNS)
    # Trees may fall on the other side of a threshold where a caller's float64 becomes float32, as documented.
    served = sample.astype({"age": np.float32, "spend": np.float32}).astype({"age": float, "spend": float})
    answered = answers(core, served)["probabilities"]
    assert np.abs(answered - model.predict_proba(served)).max() < 1e-5
    assert core.contract.parity.compared_rows >= 10_000
    assert 0 < core.contract.parity.max_difference <= 1e-5


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (xgb.XGBRegressor(**TREES), NUMBERS),
        (xgb.XGBRegressor(objective="count:poisson", **TREES), NUMBERS),
        (LinearRegression(), NUMBERS),
        (RandomForestRegressor(**TREES), NUMBERS),
        (HistGradientBoostingRegressor(max_iter=10), NUMBERS),
        (encoded(xgb.XGBRegressor(**TREES)), list(F)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else None,
)
def test_a_regressor_is_served_as_it_was_fitted(tmp_path: Path, model: Any, columns: list[str]) -> None:
    sample = F[columns].astype({"age": np.float32, "spend": np.float32})
    core = made(model.fit(sample, WORTH * 1000), sample, tmp_path)
    assert core.contract.task is Task.REGRESSION
    expected = model.predict(sample)
    assert np.abs(answers(core, sample)["value"][:, 0] / expected - 1).max() < 1e-5


def test_more_than_two_classes_keep_their_own_names(tmp_path: Path) -> None:
    sample = F[NUMBERS].astype(np.float32)
    model = RandomForestClassifier(**TREES).fit(sample, F.city)
    answered = answers(made(model, sample, tmp_path), sample)
    expected = model.predict_proba(sample)
    assert np.abs(answered["probabilities"] - expected).max() < 1e-5
    assert answered["label"][:, 0].tolist() == model.classes_[answered["probabilities"].argmax(axis=1)].tolist()


def test_a_booster_and_a_matrix_are_taken_at_the_best_iteration(tmp_path: Path) -> None:
    x = F[NUMBERS].to_numpy(np.float32)
    x[::7, 0] = np.nan
    data, held = xgb.DMatrix(x, LEAVES), xgb.DMatrix(x, 1 - LEAVES)
    booster = xgb.train(
        {"objective": "binary:logistic"}, data, 50, evals=[(held, "held")], early_stopping_rounds=3, verbose_eval=False
    )
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    core = made(booster, x, tmp_path)
    assert [column.name for column in core.contract.columns] == ["f0", "f1", "f2"]
    answered = answers(core, pd.DataFrame(x, columns=["f0", "f1", "f2"]))["probabilities"][:, 1]
    expected = booster.predict(data, iteration_range=(0, booster.best_iteration + 1))
    assert np.abs(answered - expected).max() < 1e-5
    assert np.abs(booster.predict(data) - expected).max() > 1e-3


def test_the_contract_says_what_was_given_and_what_the_rows_show(tmp_path: Path) -> None:
    sample = F.assign(age=F.age.where(F.age > 25), member=F.age > 50, city=F.city.replace("Turku", "Oslo"))
    model = make_pipeline(
        ColumnTransformer([("text", OneHotEncoder(), ["city"])], remainder="passthrough"), xgb.XGBClassifier(**TREES)
    )
    model.fit(sample.assign(city=F.city), LEAVES)
    contract = made(
        model,
        sample,
        tmp_path,
        classes=["stays", "leaves"],
        ranges={"spend": (0, 5000)},
        units={"age": "years"},
        optional=["visits"],
        monitored=["age", "city", "member"],
        metrics={"accuracy": 0.9},
        run_id="run7",
    ).contract
    columns = {column.name: column for column in contract.columns}
    assert {name: column.dtype for name, column in columns.items()} == {
        "age": "float32",
        "visits": "int64",
        "spend": "float32",
        "city": "string",
        "member": "bool",
    }
    assert {name for name, column in columns.items() if column.missing == "nan"} == {"age", "visits"}
    assert [name for name, column in columns.items() if column.optional] == ["visits"]
    assert list(columns["spend"].range or ()) == [0, 5000]
    assert columns["age"].unit == "years"
    # The encoder knows a city that the sample rows lack.
    assert columns["city"].categories == ["Oslo", "Paris", "Rome", "Turku"]
    assert contract.classes == ["stays", "leaves"]
    assert (contract.name, contract.version, contract.provenance.run_id) == ("churn", "3", "run7")
    watched = {column.name: column for column in contract.monitored}
    assert list(watched) == ["age", "city", "member"]
    assert watched["city"].categories == sample.city.value_counts().index.tolist()
    assert watched["member"].edges == [0.5]
    assert watched["member"].shares == pytest.approx([(~sample.member).mean(), sample.member.mean()])
    assert len(watched["age"].edges or []) == 9
    # What the shares lack of 1 is what is missing in the sample rows.
    assert sum(watched["age"].shares) == pytest.approx(sample.age.notna().mean())
    assert bins.of(watched["age"]).reference[-1] == pytest.approx(sample.age.isna().mean())
    assert contract.score_bins is not None
    assert sum(contract.score_bins.shares) == pytest.approx(1)
    assert len(contract.sample_inputs) == 3


def test_a_column_without_any_value_is_all_missing_in_the_reference() -> None:
    schema = Schema([Column(name="age", dtype="float32", missing=MissingRule.NAN)])
    (watched,) = monitored_columns(schema, {"age": np.full(3, np.nan, np.float32)}, ["age"])
    assert bins.of(watched).reference.tolist() == [0, 1]


def test_text_of_many_categories_is_not_watched(tmp_path: Path) -> None:
    for count, names in ((50, [*NUMBERS, "city"]), (51, NUMBERS)):
        sample = F.assign(city=[f"city {number % count}" for number in range(len(F))])
        watched = made(encoded(LogisticRegression(max_iter=5000)).fit(sample, LEAVES), sample, tmp_path)
        assert [column.name for column in watched.contract.monitored] == names


def test_columns_after_the_first_twenty_take_the_place_of_text_that_is_not_watched() -> None:
    numbers = [Column(name=f"f{number}", dtype="float32") for number in range(21)]
    columns = [Column(name="word", dtype="string"), *numbers]
    rows = pd.DataFrame({"word": [f"word {number}" for number in range(51)]} | {c.name: 1.0 for c in numbers})
    assert watched_names(Schema(columns), rows, None) == [column.name for column in numbers[:20]]


def test_unknown_text_is_compared_too_where_any_is_accepted(tmp_path: Path) -> None:
    model = encoded(LogisticRegression(max_iter=5000)).fit(F, LEAVES)
    core = made(model, F, tmp_path, categories={"city": None})
    assert core.contract.columns[3].categories is None
    strange = F.head(3).assign(city="Ulan Bator")
    assert np.abs(answers(core, strange)["probabilities"] - model.predict_proba(strange)).max() < 1e-5


def test_golden_requests_hold_the_truth_by_the_names_of_the_classes(tmp_path: Path) -> None:
    sample = F[NUMBERS].assign(left=LEAVES)
    model = xgb.XGBClassifier(**TREES).fit(F[NUMBERS], LEAVES)
    core = made(model, sample, tmp_path, truth="left", classes=["stays", "leaves"])
    golden = json.loads(gzip.decompress((tmp_path / "bundle" / "golden.json.gz").read_bytes()))
    assert len(golden["requests"]) == 500
    first = golden["requests"][0]
    assert first["truth"] == {"outcome": ["stays", "leaves"][LEAVES[0]]}
    core.predict(core.records(first["request"]["records"]))


def test_without_a_truth_there_are_no_golden_requests(tmp_path: Path) -> None:
    made(LinearRegression().fit(F[NUMBERS], WORTH), F[NUMBERS], tmp_path)
    assert json.loads(gzip.decompress((tmp_path / "bundle" / "golden.json.gz").read_bytes()))["requests"] == []
    card = (tmp_path / "bundle" / "card.md").read_text()
    assert card.startswith("# churn 3\n\nLinearRegression, a model of the task regression on 3 columns.\n")
    assert "| visits | int64 |  | any | refused |" in card


@pytest.mark.parametrize("classes", [2, 3])
def test_a_new_version_says_how_differently_it_answers(classes: int, tmp_path: Path) -> None:
    truth = LEAVES if classes == 2 else LEAVES + (F.spend > 100).to_numpy(int)
    old = made(encoded(LogisticRegression(), numbers=StandardScaler()).fit(F, truth), F, tmp_path / "old")
    new_model = encoded(xgb.XGBClassifier(**TREES)).fit(F, truth)
    new = made(new_model, F, tmp_path / "new", version="4", against=tmp_path / "old" / "bundle")
    found, (said, before) = new.contract.expectation, (answers(core, F) for core in (new, old))
    assert found is not None
    scores = [
        each["probabilities"][:, 1] if classes == 2 else each["probabilities"].max(axis=1) for each in (said, before)
    ]
    assert (found.against_version, found.pairs) == ("3", 500)
    assert found.flip_rate == float((said["label"] != before["label"]).mean()) > 0
    assert found.mean_score_shift == pytest.approx(float(np.mean(scores[0] - scores[1])), abs=1e-6)
    assert found.score_shift_variance == pytest.approx(float(np.var(scores[0] - scores[1], ddof=1)), rel=1e-4)


def test_values_have_no_expectation(tmp_path: Path) -> None:
    model = LinearRegression().fit(F[NUMBERS], WORTH)
    made(model, F[NUMBERS], tmp_path / "old")
    new = made(model, F[NUMBERS], tmp_path / "new", version="4", against=tmp_path / "old" / "bundle")
    assert new.contract.expectation is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": "3"}, "is version 3 as well; give the new one another"),
        ({"name": "other"}, "is of another name, task or classes"),
        ({"classes": ["goes", "stays"]}, "is of another name, task or classes"),
        ({"against": Path("nowhere")}, "The bundle to compare with cannot be served"),
    ],
)
def test_what_cannot_be_compared_is_no_bundle(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(F[NUMBERS], LEAVES)
    made(model, F[NUMBERS], tmp_path / "old")
    given = {"version": "4", "against": tmp_path / "old" / "bundle", **changes}
    with pytest.raises(ExportError, match=sentence):
        made(model, F[NUMBERS], tmp_path / "new", **given)
    assert not (tmp_path / "new" / "bundle").exists()


def test_a_version_that_takes_other_rows_is_told(tmp_path: Path) -> None:
    made(encoded(LogisticRegression(max_iter=500)).fit(F, LEAVES), F, tmp_path / "old")
    model = LogisticRegression(max_iter=500).fit(F[NUMBERS], LEAVES)
    with pytest.raises(ExportError, match=r"Version 3 does not take the sample rows: .*city"):
        made(model, F[NUMBERS], tmp_path / "new", version="4", against=tmp_path / "old" / "bundle")


def test_xgboost_is_left_out_where_it_never_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover, "crossover", lambda _: None)
    core = made(encoded(xgb.XGBClassifier(**TREES)).fit(F, LEAVES), F, tmp_path)
    assert core.runtime.names == ("onnx",)
    assert {"model.ubj", "preprocess.onnx"}.isdisjoint(path.name for path in (tmp_path / "bundle").iterdir())


class Twisted(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Answers otherwise than what it is written as."""

    def predict_proba(self, x: Any) -> Any:
        p = super().predict_proba(x)
        return np.column_stack([p[:, 0] - 1e-4, p[:, 1] + 1e-4])


def test_a_model_that_answers_otherwise_in_onnx_is_refused(tmp_path: Path) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

    update_registered_converter(
        Twisted,
        "TestsTwisted",
        calculate_linear_classifier_output_shapes,
        convert_sklearn_linear_classifier,
        options={
            "zipmap": [True, False],
            "nocl": [True, False],
            "raw_scores": [True, False],
            "output_class_labels": [True, False],
        },
    )
    with pytest.raises(ExportError, match=r"Twisted is not the fitted one: through onnx .* off by up to 0.0001"):
        made(Twisted(max_iter=5000).fit(F[NUMBERS], LEAVES), F[NUMBERS], tmp_path)
    assert list(tmp_path.iterdir()) == []


X, Y = F[NUMBERS], LEAVES
WORDS = F.assign(city=[f"city {number}" for number in range(len(F))])


@pytest.mark.parametrize(
    ("model", "sample", "changes", "sentence"),
    [
        (lambda: SVC().fit(X, Y), X, {}, "SVC gives no probabilities (it has no predict_proba)."),
        (LogisticRegression, X, {}, "LogisticRegression is not fitted."),
        (lambda: "a model", X, {}, "str is neither an XGBoost model nor a scikit-learn estimator."),
        (lambda: StandardScaler().fit(X), X, {}, "StandardScaler is neither a classifier nor a regressor."),
        (
            lambda: LinearRegression().fit(X, np.column_stack([Y, Y])),
            X,
            {},
            "LinearRegression answers 2 values a row, and one is served.",
        ),
        (
            lambda: xgb.train({"booster": "gblinear", "objective": "reg:squarederror"}, xgb.DMatrix(X, Y), 3),
            X,
            {},
            "XGBoost's gblinear cannot be exported; gbtree can.",
        ),
        (
            lambda: xgb.train({"objective": "binary:hinge"}, xgb.DMatrix(X, Y), 3),
            X,
            {},
            "XGBoost's objective binary:hinge answers neither probabilities nor one value.",
        ),
        (
            lambda: xgb.XGBClassifier(enable_categorical=True, **TREES).fit(F.astype({"city": "category"}), Y),
            F.astype({"city": "category"}),
            {},
            "XGBoost's own categorical columns cannot be exported; encode them in a Pipeline.",
        ),
        (
            lambda: make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(X, Y),
            X,
            {},
            "Pipeline of FunctionTransformer, LinearRegression cannot be written as ONNX: FunctionTransformer is not",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            F,
            {},
            "The frame has the column city, which the model was not fitted on.",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            X[["age"]],
            {},
            "The frame lacks the column visits, which the model was",
        ),
        (lambda: LinearRegression().fit(X, Y), X[NUMBERS[::-1]], {}, "The frame's columns stand in another order than"),
        (lambda: LinearRegression().fit(X, Y), X.head(0), {}, "The frame has no rows or no columns."),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"ranges": {"aeg": (0, 1)}},
            "ranges names the column aeg, which the",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"monitored": ["age", "visit"]},
            "monitored names the column visit, which the frame lacks; did you mean visits?",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"monitored": ["height"]},
            "monitored names the column height, which the frame lacks.",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"monitored": ["age"] * 21},
            "21 columns are to be monitored, and at most 20 can be.",
        ),
        (
            lambda: encoded(LogisticRegression(max_iter=5000)).fit(WORDS, Y),
            WORDS,
            {"monitored": ["age", "city"]},
            "The column city holds 500 categories, and text of more than 50 cannot be monitored.",
        ),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"truth": "aeg"},
            "truth names the column aeg, which the frame lacks.",
        ),
        (lambda: LinearRegression().fit(X, Y), X, {"classes": ["a", "b"]}, "A regressor has no classes."),
        (lambda: LogisticRegression(max_iter=5000).fit(X, Y), X, {"classes": ["a"]}, "The model has 2 classes, which"),
        (lambda: LinearRegression().fit(X, Y), X, {"rows": 9999}, "Parity needs at least 10,000 rows, not 9,999."),
        (lambda: LinearRegression().fit(X, Y), X, {"name": "A Name"}, "The contract cannot be written: name:"),
        (
            lambda: LinearRegression().fit(X, Y),
            X,
            {"dtypes": {"age": "date"}},
            "The column age cannot be described: dtype",
        ),
        (
            lambda: encoded(LogisticRegression(max_iter=5000)).fit(F, Y),
            F.assign(city=F.city.where(F.age > 20)),
            {},
            "The column city holds text, and text cannot be missing; name what stands for it.",
        ),
        (
            lambda: HistGradientBoostingRegressor().fit(X, Y),
            X.assign(age=X.age.where(X.age > 20)),
            {"missing": {"age": "refuse"}},
            "The column age is to refuse missing values, and the frame has some.",
        ),
        (
            lambda: LogisticRegression(max_iter=5000).fit(X, Y),
            X.assign(left="maybe"),
            {"truth": "left"},
            "The truth 'maybe' is none of the model's classes.",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_with_a_sentence(
    tmp_path: Path, model: Any, sample: Any, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ExportError) as refused:
        made(model(), sample, tmp_path, **changes)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith((".", "?"))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.txt").write_text("years")
    with pytest.raises(ExportError, match=r"holds no contract.json"):
        made(LinearRegression().fit(X, Y), X, tmp_path)
    assert (tmp_path / "bundle" / "thesis.txt").read_text() == "years"


def test_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102  it is our own guide
    record = json.loads(re.findall(r"/predict -d '(.*?)'\n", text)[0])
    expected = names["model"].predict_proba(pd.DataFrame(record["records"]))[0]
    assert np.abs(np.array(names["answer"]["probabilities"][0]) - expected).max() < 1e-5
    assert names["answer"]["label"] == [[["stays", "leaves"][expected.argmax()]]]
    contract = Contract.model_validate_json((tmp_path / "bundles" / "churn" / "contract.json").read_bytes())
    assert contract.columns[0].unit == "years"
    told = re.findall(r"```text\n(.*?)\n```", text, re.DOTALL)[0]
    good = record["records"][0]
    with pytest.raises(InvalidInput) as refused:
        names["core"].records([good, good, good, {**good, "city": "Pariss"}])
    assert str(refused.value) == told
