"""The contract of a bundle: everything serving has to know of a model, in one file, and nothing it has to guess.

Training writes ``contract.json`` once and serving only reads it. Fields that describe what was not measured for a
model are ``None``; a reader must treat that as "not known", never as zero.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION: Final = 1
CONTRACT_FILE: Final = "contract.json"

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = str | float | int | bool | None


class _Part(BaseModel):
    """Closed and frozen: a contract with a field this code does not know is from another schema version."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Task(StrEnum):
    """What the model's numbers mean."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class MissingRule(StrEnum):
    """What to do with a column that is absent, null or NaN."""

    REFUSE = "refuse"
    NAN = "nan"


class Column(_Part):
    """One input column as the caller names it, and the OIP tensor that carries it.

    Attributes:
        dtype: numpy-style name; ``string`` travels as BYTES.
        unit: physical unit of the values, or None for a pure number or a name.
        range: lowest and highest accepted value, both inclusive; None for no bound.
        categories: accepted values; None for no list (or, for ``battle``, the dex decides).
        missing: the rule for an absent value, null or NaN.
    """

    name: str
    dtype: Literal["string", "float32", "float64", "int64", "bool"]
    unit: str | None = None
    range: tuple[float, float] | None = None
    categories: list[str] | None = None
    missing: MissingRule = MissingRule.REFUSE
    optional: bool = False


class TensorLayout(StrEnum):
    """How columns are laid out as OIP input tensors."""

    COLUMNS = "columns"
    """One tensor of shape [n, 1] a column, named as the column."""
    MATRIX = "matrix"
    """One FP32 tensor ``input`` of shape [n, columns]."""


class Output(_Part):
    """One OIP output tensor; ``columns`` is 1 for a shape of [n, 1]."""

    name: Literal["probabilities", "label", "value"]
    datatype: Literal["FP32", "FP64", "BYTES", "INT64"]
    columns: Annotated[int, Field(ge=1)] = 1


class Calibration(_Part):
    """Maps the raw probability of the positive class to the one that is answered, after either runtime.

    ``logistic``: sigmoid(slope * logit(p) + intercept) (Platt 1999, on the logit). ``isotonic``: piecewise linear
    through (x, y), constant outside (Zadrozny and Elkan 2002). Both keep p = 0.5 where their parameters say so only.
    """

    method: Literal["none", "logistic", "isotonic"] = "none"
    slope: float = 1.0
    intercept: float = 0.0
    x: list[float] = []
    y: list[Probability] = []

    @model_validator(mode="after")
    def _isotonic_is_a_function(self) -> Self:
        if self.method != "isotonic":
            return self
        if len(self.x) != len(self.y) or len(self.x) < 2:
            raise ValueError("isotonic calibration needs at least two points, as many x as y")
        if any(a >= b for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("isotonic calibration needs strictly increasing x")
        if any(a > b for a, b in zip(self.y, self.y[1:], strict=False)):
            raise ValueError("isotonic calibration needs non-decreasing y")
        return self


class RuntimePlan(_Part):
    """Which runtime scores a batch, as measured when the bundle was exported.

    Attributes:
        crossover_rows: batches of this many rows and more go to XGBoost; None where there is no ``model.ubj``.
        threads: threads either runtime may use.
        input_dtype: dtype of the ONNX input tensor and of the feature matrix.
        onnx_inputs: what the graph takes: one ``matrix`` [n, features], or the contract's ``columns``, each as a tensor
            [n, 1] of the column's name.
        onnx_input: name of the ONNX input tensor of shape [n, features]; nothing of ``columns``.
        onnx_output: name of the ONNX output tensor read: [n, classes] probabilities or [n, 1] values.
        ubj_input: what the booster is fed: the feature matrix itself, or the output of the ONNX preprocessing, the one
            tensor that ``preprocess.onnx`` makes of the same inputs.
    """

    crossover_rows: Annotated[int, Field(ge=1)] | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    input_dtype: Literal["float32", "float64"] = "float32"
    onnx_inputs: Literal["matrix", "columns"] = "matrix"
    onnx_input: str = "input"
    onnx_output: str = "probabilities"
    ubj_input: Literal["features", "onnx_preprocessing"] = "features"


class ParitySample(_Part):
    """Rows that serving scores before it says it is ready, each through every runtime of the bundle.

    Attributes:
        rows: values in the order of ``Contract.columns``, one list a row.
        expected: the answered probability of the positive class (binary), of each class, or the value, a row.
        tolerance: largest accepted absolute difference.
        compared_rows: how many rows the export compared three ways.
        max_difference: the largest difference that comparison saw.
    """

    rows: Annotated[list[list[Scalar]], Field(min_length=1)]
    expected: Annotated[list[Annotated[list[float], Field(min_length=1)]], Field(min_length=1)]
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-5
    compared_rows: Annotated[int, Field(ge=0)] = 0
    max_difference: Annotated[float, Field(ge=0)] = 0.0


class MonitoredColumn(_Part):
    """A column watched for drift: a histogram with a reference, built from one observation a request.

    ``edges`` are the inner edges of numeric bins (len(shares) - 1 of them); ``categories`` name the bins otherwise.
    """

    name: str
    edges: list[float] | None = None
    categories: list[str] | None = None
    shares: list[Probability]


class ScoreBins(_Part):
    """Inner bin edges of the score and the reference share of each bin; a regressor's score is its value."""

    edges: list[float]
    shares: list[Probability]


class LiveReference(_Part):
    """The offline figure that live feedback is held against: of what is recommended, not of random pairings."""

    accuracy: Probability
    brier: Probability
    from_outcomes: Annotated[int, Field(ge=1)]
    described_as: str


class Expectation(_Part):
    """How differently this version may answer from another one, as the gate measured on paired requests."""

    against_version: str
    pairs: Annotated[int, Field(ge=1)]
    flip_rate: Probability
    mean_score_shift: Annotated[float, Field(ge=-1, le=1)]
    score_shift_variance: Annotated[float, Field(ge=0)]


class Provenance(_Part):
    """Where the model came from; every field can be followed back to a file, a commit or a run."""

    run_id: str
    git_commit: str
    dataset_digest: str
    dataset_rows: Annotated[int, Field(ge=0)]
    tables_digest: str | None = None
    algorithm: str
    libraries: dict[str, str]
    created: datetime


class Contract(_Part):
    """``contract.json``. Frozen, closed, and complete enough to serve the model without asking anyone."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=40)]
    adapter: Literal["battle", "tabular"]
    task: Task
    columns: Annotated[list[Column], Field(min_length=1)]
    layout: TensorLayout = TensorLayout.COLUMNS
    outputs: Annotated[list[Output], Field(min_length=1)]
    classes: list[str] | None = None
    features: list[str]
    features_digest: Sha256 | None = None
    symmetrisation: Literal["none", "canonical_order"] = "none"
    calibration: Calibration = Calibration()
    runtime: RuntimePlan
    parity: ParitySample
    observation: str
    monitored: Annotated[list[MonitoredColumn], Field(max_length=20)] = []
    score_bins: ScoreBins | None = None
    live_reference: LiveReference | None = None
    expectation: Expectation | None = None
    sample_inputs: list[dict[str, Scalar | list[str]]]
    explanation: str | None = None
    metrics: dict[str, float]
    provenance: Provenance
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        width = len(self.columns)
        if any(len(row) != width for row in self.parity.rows):
            raise ValueError("a parity row has another number of values than there are columns")
        if len(self.parity.rows) != len(self.parity.expected):
            raise ValueError("parity rows and expected answers differ in number")
        if self.task is not Task.REGRESSION and not self.classes:
            raise ValueError("a classifier needs the names of its classes")
        return self
