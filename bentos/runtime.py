"""The two runtimes of a model, and the rule that picks one for a batch.

ONNX Runtime answers one row thirty times faster than XGBoost, XGBoost a thousand rows three times faster than ONNX
Runtime; where they cross is measured when the bundle is exported (``contract.runtime.crossover_rows``).
"""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bentos.bundle import MODEL_ONNX, MODEL_UBJ, Bundle
from bentos.contract import Task
from bentos.errors import ContractError, DigestError

if TYPE_CHECKING:
    import xgboost

Name = Literal["onnx", "xgboost"]
Features = NDArray[np.float32] | NDArray[np.float64]
_TENSOR_TYPE: Final = {"float32": "tensor(float)", "float64": "tensor(double)"}
_ERRORS_ONLY: Final = 3  # ONNX Runtime's log severity


class Runtime:
    """Scores feature matrices with the model files of a bundle.

    Attributes:
        names: the runtimes this bundle has, ``onnx`` always.

    Raises:
        BundleError: a model file cannot be loaded, or the contract does not fit it.
    """

    names: tuple[Name, ...]

    def __init__(self, bundle: Bundle) -> None:
        plan = bundle.contract.runtime
        self._binary = bundle.contract.task is Task.BINARY
        self._dtype = np.dtype(plan.input_dtype)
        self._input, self._output = plan.onnx_input, [plan.onnx_output]
        self._session = _session(bundle, plan.threads)
        self._check_tensors(len(bundle.contract.features))
        self._booster: xgboost.Booster | None = None
        self._crossover = plan.crossover_rows
        self.names = ("onnx",)
        if MODEL_UBJ in bundle.contract.files:
            if plan.ubj_input != "features":
                raise ContractError(f"This server cannot feed {MODEL_UBJ} from {plan.ubj_input}.")
            self._booster = _booster(bundle, plan.threads)
            self.names = ("onnx", "xgboost")
        elif self._crossover is not None:
            raise ContractError(f"The contract has a crossover to XGBoost but lists no {MODEL_UBJ}.")

    def predict(self, x: Features) -> NDArray[np.float64]:
        """Score x [n, features] with the faster runtime for n rows.

        Returns:
            Raw probability of the positive class [n] for a binary task, [n, classes] or [n, 1] otherwise.
        """
        large = self._crossover is not None and len(x) >= self._crossover
        return self.predict_with("xgboost" if large else "onnx", x)

    def predict_with(self, name: Name, x: Features) -> NDArray[np.float64]:
        """Score x [n, features] with one runtime, as ``predict`` does; ``name`` must be one of ``names``."""
        matrix = np.ascontiguousarray(x, self._dtype)
        if name == "xgboost" and self._booster is not None:
            raw = self._booster.inplace_predict(matrix)
        else:
            raw = self._session.run(self._output, {self._input: matrix})[0]
        return self._shaped(np.asarray(raw, np.float64))

    def _shaped(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Both runtimes in one shape: converters answer [n, 2], [n, 1] or [n] for the same binary model."""
        if self._binary:
            return raw[:, -1] if raw.ndim > 1 else raw
        return raw.reshape(len(raw), -1)

    def _check_tensors(self, features: int) -> None:
        inputs = [tensor.name for tensor in self._session.get_inputs()]
        outputs = [tensor.name for tensor in self._session.get_outputs()]
        if inputs != [self._input] or self._output[0] not in outputs:
            raise ContractError(
                f"{MODEL_ONNX} maps {', '.join(inputs)} to {', '.join(outputs)}, "
                f"and the contract says {self._input} to {self._output[0]}."
            )
        tensor = self._session.get_inputs()[0]
        if tensor.type != _TENSOR_TYPE[self._dtype.name]:
            raise ContractError(f"{MODEL_ONNX} takes {tensor.type}, and the contract says {self._dtype.name}.")
        width = tensor.shape[-1] if tensor.shape else None
        if isinstance(width, int) and width != features:
            raise ContractError(f"{MODEL_ONNX} takes {width} features, and the contract lists {features}.")


def _session(bundle: Bundle, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    model = bundle.path(MODEL_ONNX).read_bytes()
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no common base but Exception, and its messages name files of this machine.
    except Exception as error:
        raise DigestError(f"ONNX Runtime cannot load {MODEL_ONNX}: {type(error).__name__}.") from error


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
