"""The two runtimes of a model, and the rule that picks one for a batch.

ONNX Runtime answers one row thirty times faster than XGBoost, XGBoost a thousand rows three times faster than ONNX
Runtime; where they cross is measured when the bundle is exported (``contract.runtime.crossover_rows``).
"""

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bentos.adapter import Features, Feed, Scores
from bentos.bundle import MODEL_ONNX, MODEL_UBJ, Bundle
from bentos.contract import Task
from bentos.errors import ContractError, DigestError

if TYPE_CHECKING:
    import xgboost

Name = Literal["onnx", "xgboost"]
PREPROCESS_ONNX: Final = "preprocess.onnx"
_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(np.object_),
}
_ERRORS_ONLY: Final = 3  # ONNX Runtime's log severity


class Runtime:
    """Scores rows with the model files of a bundle.

    Attributes:
        names: the runtimes this bundle has, ``onnx`` always.

    Raises:
        BundleError: a model file cannot be loaded, or the contract does not fit it.
    """

    names: tuple[Name, ...]

    def __init__(self, bundle: Bundle) -> None:
        plan = bundle.contract.runtime
        self._one_score = bundle.contract.task is not Task.MULTICLASS
        self._model = _Graph(bundle, MODEL_ONNX, plan.onnx_output)
        self._preprocess: _Graph | None = None
        self._booster: xgboost.Booster | None = None
        self._crossover = plan.crossover_rows
        self.names = ("onnx",)
        if MODEL_UBJ in bundle.contract.files:
            if plan.ubj_input == "onnx_preprocessing":
                self._preprocess = _Graph(bundle, PREPROCESS_ONNX)
            elif plan.onnx_inputs != "matrix":
                raise ContractError(f"This server cannot feed {MODEL_UBJ} with {plan.onnx_inputs}.")
            self._booster = _booster(bundle, plan.threads)
            self.names = ("onnx", "xgboost")
        elif self._crossover is not None:
            raise ContractError(f"The contract has a crossover to XGBoost but lists no {MODEL_UBJ}.")

    def predict(self, x: Features | Feed) -> Scores:
        """Score n rows with the runtime that is faster for so many.

        Args:
            x: the matrix [n, features], or columns by name, each [n, 1], where the contract says so.

        Returns:
            Raw scores: P(class 1) [n] (binary), P of each class [n, classes] (multiclass), or values [n] (regression).
        """
        if self._booster is None or self._crossover is None:
            return self._shaped(self._model.run(x))
        rows = len(x) if isinstance(x, np.ndarray) else len(next(iter(x.values())))
        return self.predict_with("onnx" if rows < self._crossover else "xgboost", x)

    def predict_with(self, name: Name, x: Features | Feed) -> Scores:
        """Score x with one runtime, as ``predict`` does; ``name`` must be one of ``names``."""
        if name == "onnx" or self._booster is None:
            return self._shaped(self._model.run(x))
        matrix = self._model.matrix(x) if self._preprocess is None else self._preprocess.run(x)
        return self._shaped(self._booster.inplace_predict(matrix))

    def _shaped(self, raw: NDArray[Any]) -> Scores:
        """Both runtimes in one shape: converters answer [n, 2], [n, 1] or [n] for the same binary model."""
        if self._one_score and raw.ndim > 1:
            raw = raw[:, -1]
        return raw.astype(np.float64)


class _Graph:
    """A session and the inputs it takes."""

    def __init__(self, bundle: Bundle, file: str, output: str | None = None) -> None:
        plan = bundle.contract.runtime
        session = _session(bundle, file, plan.threads)
        given = {tensor.name: tensor for tensor in session.get_inputs()}
        made = [tensor.name for tensor in session.get_outputs()]
        columns = [column.name for column in bundle.contract.columns]
        wanted = [plan.onnx_input] if plan.onnx_inputs == "matrix" else columns
        if set(wanted) != given.keys() or (output not in made if output else len(made) != 1):
            raise ContractError(
                f"{file} maps {', '.join(given)} to {', '.join(made)}, "
                f"and the contract says {', '.join(wanted)} to {output or 'one tensor'}."
            )
        strange = next((tensor.type for tensor in given.values() if tensor.type not in _DTYPES), None)
        if strange:
            raise ContractError(f"{file} takes {strange}, which this server does not make.")
        self._inputs = [(name, _DTYPES[given[name].type]) for name in wanted]
        self._outputs = [output or made[0]]
        # The public method looks at the names and the owners of the inputs again, for a fifth of a row's time.
        self._run = getattr(session, "_sess", session).run
        self._name, self._dtype = self._inputs[0]
        self._takes_matrix = plan.onnx_inputs == "matrix"
        if self._takes_matrix:
            self._check_matrix(file, given[self._name], bundle)

    def _check_matrix(self, file: str, tensor: Any, bundle: Bundle) -> None:
        dtype, features = bundle.contract.runtime.input_dtype, len(bundle.contract.features)
        if self._dtype != np.dtype(dtype):
            raise ContractError(f"{file} takes {tensor.type}, and the contract says {dtype}.")
        width = tensor.shape[-1] if tensor.shape else None
        if isinstance(width, int) and width != features:
            raise ContractError(f"{file} takes {width} features, and the contract lists {features}.")

    def matrix(self, x: Any) -> NDArray[Any]:
        """The matrix as the graph takes it; nothing is copied where it is so already."""
        return np.ascontiguousarray(x, self._dtype)

    def run(self, x: Any) -> NDArray[Any]:
        if not self._takes_matrix:
            feed = {name: np.ascontiguousarray(x[name], dtype) for name, dtype in self._inputs}
        elif x.dtype == self._dtype and x.flags.c_contiguous:
            feed = {self._name: x}
        else:
            feed = {self._name: np.ascontiguousarray(x, self._dtype)}
        # For one row of 133 floats this call takes 11 µs; run_with_iobinding takes 13, or 10 with buffers bound
        # beforehand, which threads could not share.
        raw: NDArray[Any] = self._run(self._outputs, feed, None)[0]
        return raw


def _session(bundle: Bundle, file: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Idle threads of a pool would spin through time that other requests need. Arena and memory patterns are left as
    # they are: one row took as long without them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    model = bundle.path(file).read_bytes()
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no common base but Exception, and its messages name files of this machine.
    except Exception as error:
        raise DigestError(f"ONNX Runtime cannot load {file}: {type(error).__name__}.") from error


def _booster(bundle: Bundle, threads: int) -> "xgboost.Booster":
    # Half a second and 38 MiB that a bundle without a booster does not pay.
    import xgboost  # noqa: PLC0415

    model = bytearray(bundle.path(MODEL_UBJ).read_bytes())
    if not model:
        # XGBoost aborts the process on it.
        raise DigestError(f"XGBoost cannot load {MODEL_UBJ}: it is empty.")
    booster = xgboost.Booster()
    try:
        booster.load_model(model)
    except xgboost.core.XGBoostError as error:
        raise DigestError(f"XGBoost cannot load {MODEL_UBJ}.") from error
    booster.set_param({"nthread": threads})
    return booster
