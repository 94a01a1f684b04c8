"""Exports any tabular model as a bundle that serving runs, from a notebook or a script.

    from training.tabular import export

    export(model, frame, name="churn", version="1", out=Path("bundle"))

``model`` is fitted: an XGBoost ``Booster``, ``XGBClassifier`` or ``XGBRegressor``, a scikit-learn classifier or
regressor, or a ``Pipeline``, also one that encodes text columns or ends in XGBoost. ``frame`` holds rows such as
serving will see.

Refused, with one sentence: a model that is not fitted, has no probabilities or answers several values; XGBoost's own
categorical columns, ``dart`` and ``gblinear``, and its objectives other than ``binary:logistic``, ``multi:softprob``,
``reg:*`` and ``count:*``; a step that no ONNX converter knows, such as a ``FunctionTransformer``; text that may be
missing; and whatever does not answer alike in ONNX on the rows drawn.
"""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bentos.adapter import Features, Feed
from bentos.bundle import MODEL_ONNX, MODEL_UBJ, Bundle
from bentos.contract import (
    CONTRACT_FILE,
    Contract,
    Output,
    ParitySample,
    Provenance,
    RuntimePlan,
    Task,
    TensorLayout,
)
from bentos.errors import BundleError
from bentos.runtime import PREPROCESS_ONNX, Runtime
from bentos.tabular import TabularAdapter
from training import convert, crossover, provenance
from training.export import CARD, GOLDEN, LEAST_ROWS, TOLERANCE, ExportError
from training.folder import replacing
from training.tabular_card import card
from training.tabular_expectation import expectation
from training.tabular_frame import Schema, Told, draw, rebuilt, records, typed
from training.tabular_golden import golden
from training.tabular_model import Model
from training.tabular_onnx import INPUT, Graphs, Precision, graphs
from training.tabular_watch import monitored_columns, score_bins, watched_names

if TYPE_CHECKING:
    from bentos.core import Core

_SAMPLE_ROWS: Final = 64
_SAMPLE_INPUTS: Final = 3
_LIBRARIES: Final = ("numpy", "onnx", "onnxmltools", "onnxruntime", "pandas", "scikit-learn", "skl2onnx", "xgboost")
_OBSERVATION: Final = (
    "One observation a request: the monitored columns of one of its rows, drawn at random; the score is the "
    "probability of class 1 (of two), the greatest probability (of more), or the value."
)

Floats = NDArray[np.float64]


class _Rows(NamedTuple):
    """Rows as serving sees them, and what the original model says of them."""

    columns: dict[str, NDArray[Any]]
    answers: Floats


def export(
    model: Any,
    frame: Any,
    *,
    name: str,
    version: str,
    out: Path,
    classes: Sequence[str] | None = None,
    truth: str | None = None,
    dtypes: Mapping[str, str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    categories: Mapping[str, Sequence[str] | None] | None = None,
    units: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
    monitored: Sequence[str] | None = None,
    metrics: Mapping[str, float] | None = None,
    run_id: str = "none",
    against: Path | None = None,
    rows: int = LEAST_ROWS,
    seed: int = 1,
) -> Path:
    """Write the bundle ``out`` in one step; a bundle that was there before is replaced.

    Args:
        model: the fitted model; see the module for what it may be.
        frame: sample rows, a pandas frame or a matrix, whose columns are then f0, f1 and so on.
        name: name of the model: lower-case letters, digits and hyphens.
        version: its version.
        out: the folder.
        classes: names of the classes in the model's order; None for the model's own.
        truth: the column of ``frame`` that holds what came true: the class as the model names it, or the value. It is
            no input; the rows with it become golden requests.
        dtypes: data types of columns (``string``, ``float32``, ``float64``, ``int64``, ``bool``) where they are to
            differ from the frame's; floats have the precision that the graph computes in.
        ranges: lowest and highest value a column takes, both inclusive; others are unbounded.
        categories: values a text column takes; None for any. Not named, it takes those of the frame and of the model's
            own encoders.
        units: physical units of columns.
        missing: ``refuse`` or ``nan`` a column, for values that are missing; not named, a column takes them where the
            frame has any.
        optional: columns that a request may leave out.
        monitored: columns watched for drift, at most 20; None for the first 20. Text that holds more than 50 categories
            cannot be watched.
        metrics: offline figures by name.
        run_id: the MLflow run.
        against: bundle of the version that this one is to replace: how differently the two answer the sample rows is
            what a rollout then expects. None, or a regression, leaves it unknown.
        rows: how many rows the model and the runtimes are compared on, at least 10,000, drawn from ``frame``.
        seed: draws them.

    Returns:
        ``out``.

    Raises:
        ExportError: the model cannot be exported, the arguments do not fit the frame, or ``out`` holds other files.
    """
    if rows < LEAST_ROWS:
        raise ExportError(f"Parity needs at least {LEAST_ROWS:,} rows, not {rows:,}.")
    served = Model.of(model, classes)
    given, outcomes = _split(frame, truth)
    told = Told(
        dtypes=dtypes or {},
        ranges=ranges or {},
        categories=categories or {},
        units=units or {},
        missing=missing or {},
        optional=optional,
    )
    schema = Schema.of(given, served, told)
    about = _About(name, version, dict(metrics or {}), run_id, watched_names(schema, given, monitored))
    with replacing(out, CONTRACT_FILE, ExportError) as folder:
        contract = _proved(served, schema, given, folder, about=about, rows=rows, seed=seed)
        core = _finish(contract, folder, golden(served, schema, given, outcomes))
        if against is not None:
            # Text and numbers as a contract's columns have them, and not what the model takes: so both read them.
            found = expectation(core, against, typed(schema.with_precision(contract.runtime.input_dtype), given))
            _seal(core.contract.model_copy(update={"expectation": found}), folder)
    return out


class _About(NamedTuple):
    name: str
    version: str
    metrics: dict[str, float]
    run_id: str
    monitored: list[str]


def _split(frame: Any, truth: str | None) -> tuple[pd.DataFrame, Any]:
    if not isinstance(frame, pd.DataFrame):
        matrix = np.asarray(frame)
        if matrix.ndim != 2:
            raise ExportError("The sample rows are neither a frame nor a matrix.")
        frame = pd.DataFrame(matrix, columns=[f"f{number}" for number in range(matrix.shape[1])])
    frame = frame.rename(columns=str)
    if truth is not None and truth not in frame.columns:
        raise ExportError(f"truth names the column {truth}, which the frame lacks.")
    given = frame.drop(columns=[truth]) if truth is not None else frame
    if given.empty:
        raise ExportError("The frame has no rows or no columns.")
    if not given.columns.is_unique:
        raise ExportError("The frame has two columns of one name.")
    return given.reset_index(drop=True), None if truth is None else frame[truth].tolist()


def _proved(
    served: Model, schema: Schema, frame: pd.DataFrame, folder: Path, *, about: _About, rows: int, seed: int
) -> Contract:
    """Write the files in the first precision in which they answer as the model does; float32 is served faster."""
    refused: ExportError | None = None
    for precision in served.precisions:
        given = schema.with_precision(precision)
        columns = draw(given, frame, rows, seed)
        compared = _Rows(columns, served.answers(rebuilt(columns, frame)))
        if not np.isfinite(compared.answers).all():
            raise ExportError("The model answers some rows of the frame with something else than finite numbers.")
        try:
            files = _graphs(served, given, precision)
            for file in folder.iterdir():
                file.unlink()
            _write(files, folder)
            contract = _contract(served, given, frame, files, compared, about=about)
            return _compare(contract, folder, files, compared)
        except ExportError as error:
            refused = refused or error
    assert refused is not None  # noqa: S101  for the type checker: there is a precision at least
    raise refused


def _graphs(served: Model, schema: Schema, precision: Precision) -> Graphs:
    text = {column.name: column.dtype == "string" for column in schema.columns}
    try:
        return graphs(served.model, text, precision)
    # Converters raise whatever their parts raise: of this model nothing else can be said than that it went wrong.
    except Exception as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0][:200] if str(error).strip() else type(error).__name__
        raise ExportError(f"{served.algorithm} cannot be written as ONNX: {reason.rstrip('.')}.") from error


def _write(files: Graphs, folder: Path) -> None:
    texts = {MODEL_ONNX: files.model, PREPROCESS_ONNX: files.preprocess}
    if files.booster is not None:
        texts[MODEL_UBJ] = convert.to_ubj(files.booster)
    for file, text in texts.items():
        if text is not None:
            (folder / file).write_bytes(text)


def _contract(
    served: Model, schema: Schema, frame: pd.DataFrame, files: Graphs, compared: _Rows, *, about: _About
) -> Contract:
    """The contract as far as it is known before the comparison."""
    names = [column.name for column in schema.columns]
    has_text = any(column.dtype == "string" for column in schema.columns)
    matrix = not has_text and schema.precision == "float32"
    sample = typed(schema, frame)
    try:
        return Contract(
            name=about.name,
            version=about.version,
            adapter="tabular",
            task=served.task,
            columns=schema.columns,
            layout=TensorLayout.MATRIX if matrix else TensorLayout.COLUMNS,
            outputs=_outputs(served),
            classes=served.classes,
            features=names,
            features_digest=hashlib.sha256("\n".join(names).encode()).hexdigest(),
            runtime=RuntimePlan(
                input_dtype=schema.precision,
                onnx_inputs="columns" if has_text else "matrix",
                onnx_input=INPUT,
                onnx_output=files.output,
                ubj_input="features" if files.preprocess is None else "onnx_preprocessing",
            ),
            parity=_sample(served, schema, compared),
            observation=_OBSERVATION,
            monitored=monitored_columns(schema, sample, about.monitored),
            score_bins=score_bins(served.answers(rebuilt(sample, frame)), served.task),
            sample_inputs=records(schema, sample, range(min(_SAMPLE_INPUTS, len(frame)))),
            metrics=about.metrics,
            provenance=_provenance(about, served, frame),
            files=dict.fromkeys(files.names(), "0" * 64),
        )
    except ValueError as error:
        raise ExportError(f"The contract cannot be written: {_first(error)}") from error


def _first(error: ValueError) -> str:
    faults = error.errors() if hasattr(error, "errors") else []
    return f"{'.'.join(str(part) for part in faults[0]['loc'])}: {faults[0]['msg']}." if faults else str(error)


def _outputs(served: Model) -> list[Output]:
    if served.task is Task.REGRESSION:
        return [Output(name="value", datatype="FP32")]
    width = len(served.classes or [])
    return [Output(name="probabilities", datatype="FP32", columns=width), Output(name="label", datatype="BYTES")]


def _sample(served: Model, schema: Schema, compared: _Rows) -> ParitySample:
    """Rows spread evenly over the answers, from the lowest to the highest."""
    answers = compared.answers
    key = answers[:, -1] if answers.ndim > 1 else answers
    ranks = np.linspace(0, len(key) - 1, min(_SAMPLE_ROWS, len(key))).round().astype(int)
    chosen = np.argsort(key, kind="stable")[ranks].tolist()
    rows = [list(record.values()) for record in records(schema, compared.columns, chosen)]
    expected = answers[chosen].reshape(len(chosen), -1)
    if served.task is Task.BINARY:
        expected = expected[:, -1:]
    return ParitySample(rows=rows, expected=expected.tolist(), tolerance=TOLERANCE)


def _compare(contract: Contract, folder: Path, files: Graphs, compared: _Rows) -> Contract:
    """Compare the runtimes with the model on every row, and find their crossover."""
    bundle = Bundle(folder, contract)
    try:
        runtime = Runtime(bundle)
        x = TabularAdapter(bundle).columns(compared.columns).x
    except BundleError as error:
        raise ExportError(f"Serving would refuse the model: {error}") from error
    size = np.maximum(1.0, np.abs(compared.answers)) if contract.task is Task.REGRESSION else 1.0
    largest = 0.0
    for name in runtime.names:
        gap = np.abs(runtime.predict_with(name, x) - compared.answers) / size
        if not (gap <= TOLERANCE).all():
            raise ExportError(
                f"The exported {contract.provenance.algorithm} is not the fitted one: through {name} its answers are "
                f"off by up to {gap.max():.2g} on {len(gap):,} rows, and {TOLERANCE:.0e} is allowed."
            )
        largest = max(largest, float(gap.max()))
    rows = None if files.booster is None else _crossover(runtime, x, len(compared.answers))
    if rows is None:
        for file in (MODEL_UBJ, PREPROCESS_ONNX):
            (folder / file).unlink(missing_ok=True)
    parity = contract.parity.model_copy(update={"compared_rows": len(compared.answers), "max_difference": largest})
    changed: dict[str, Any] = {"crossover_rows": rows}
    if rows is None:
        changed["ubj_input"] = "features"
    return contract.model_copy(update={"parity": parity, "runtime": contract.runtime.model_copy(update=changed)})


def _crossover(runtime: Runtime, x: Features | Feed, n: int) -> int | None:
    batches = {count: _first_rows(x, count) for count in crossover.GRID}
    # What is timed are batches by their length, since rows may be columns of several types.
    timings = crossover.measure(
        lambda batch: runtime.predict_with("onnx", batches[len(batch)]),
        lambda batch: runtime.predict_with("xgboost", batches[len(batch)]),
        np.zeros(n, np.float32),
    )
    return crossover.crossover(timings)


def _first_rows(x: Features | Feed, count: int) -> Any:
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x[:count])
    return {name: np.ascontiguousarray(column[:count]) for name, column in x.items()}


def _provenance(about: _About, served: Model, frame: pd.DataFrame) -> Provenance:
    content = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
    return Provenance(
        run_id=about.run_id,
        git_commit=provenance.git_commit(),
        dataset_digest=hashlib.sha256(content).hexdigest(),
        dataset_rows=len(frame),
        algorithm=served.algorithm,
        libraries={library: importlib.metadata.version(library) for library in _LIBRARIES},
        created=datetime.now(UTC).replace(microsecond=0),
    )


def _finish(contract: Contract, folder: Path, requests: bytes) -> "Core":
    """Add card, golden requests and digests, and open the bundle as serving does."""
    from bentos.core import Core

    (folder / GOLDEN).write_bytes(requests)
    (folder / CARD).write_text(card(contract), encoding="utf-8")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    _seal(contract.model_copy(update={"files": digests}), folder)
    try:
        return Core.open(folder)
    except BundleError as error:
        raise ExportError(f"Serving would refuse the bundle: {error}") from error


def _seal(contract: Contract, folder: Path) -> None:
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json(indent=1) + "\n", encoding="utf-8")
