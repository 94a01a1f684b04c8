"""What the protocol tells of this server and of its model."""

from collections.abc import Sequence
from typing import Any, Final

from bentos.core import Core
from bentos.tensor import TensorSpec

NAME: Final = "predictiondex"
VERSION: Final = "0.1.0"
"""That of our distribution: the container holds the code without its metadata."""
EXTENSIONS: Final = ("binary_tensor_data", "parameters")
"""``parameters``: a request may carry our own, ``prediction_ids``."""
PLATFORM: Final = "onnxruntime_onnx"
"""Every bundle has its model as ONNX, whatever scores large batches."""


def server() -> dict[str, Any]:
    """The server's metadata."""
    return {"name": NAME, "version": VERSION, "extensions": list(EXTENSIONS)}


def model(core: Core) -> dict[str, Any]:
    """The model's metadata; -1 stands for any number of rows."""
    return {
        "name": core.contract.name,
        "versions": [core.contract.version],
        "platform": PLATFORM,
        "inputs": _tensors(core.adapter.inputs),
        "outputs": _tensors(core.outputs),
    }


def _tensors(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]
