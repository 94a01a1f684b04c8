"""Bodies of requests for the same rows, and the probabilities read from the answers, a codec for each protocol."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from loadtests.bench.model import Floats
from loadtests.bench.wire import decode_infer, encode_infer

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_JSON: Final = {"Content-Type": "application/json"}
_OUTPUTS: Final = ("probabilities", "predict", "predict_proba", "output-0")


@dataclass(frozen=True)
class Payload:
    """One request.

    Attributes:
        body: its bytes.
        headers: HTTP headers; empty for gRPC.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Codec:
    """How rows are sent and probabilities come back.

    Attributes:
        encode: float32 rows [n, 133] to a request.
        decode: an answer's body and headers (names in lower case) to the probabilities of class 1 [n]. Raises
            ValueError or a subclass, or LookupError, when the answer is not of this protocol.
    """

    encode: Callable[[Floats], Payload]
    decode: Callable[[bytes, Mapping[str, str]], Floats]


def class_one(values: Any) -> Floats:
    """Probabilities of class 1 [n] from those [n], or from those of both classes [n, 2]."""
    array = np.asarray(values, dtype=np.float32)
    return array[:, -1] if array.ndim == 2 else array.ravel()


def _tensor(rows: Floats) -> dict[str, Any]:
    return {"name": "input", "shape": list(rows.shape), "datatype": "FP32"}


def _pick(outputs: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    for index, output in enumerate(outputs):
        if output["name"] in _OUTPUTS:
            return index, output
    raise LookupError(f"No output of the names {', '.join(_OUTPUTS)} among {[entry['name'] for entry in outputs]}.")


def _oip_json(rows: Floats) -> Payload:
    body = {"inputs": [{**_tensor(rows), "data": rows.ravel()}]}
    return Payload(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), _JSON)


def _read_oip_json(body: bytes, _: Mapping[str, str]) -> Floats:
    output = _pick(json.loads(body)["outputs"])[1]
    return class_one(np.array(output["data"], np.float32).reshape(output["shape"]))


def _oip_binary(rows: Floats) -> Payload:
    raw = rows.tobytes()
    inputs = [{**_tensor(rows), "parameters": {"binary_data_size": len(raw)}}]
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return Payload(header + raw, headers)


def _read_oip_binary(body: bytes, headers: Mapping[str, str]) -> Floats:
    length = int(headers[HEADER_LENGTH.lower()])
    outputs = json.loads(body[:length])["outputs"]
    wanted, output = _pick(outputs)
    sizes = [entry["parameters"]["binary_data_size"] for entry in outputs]
    begin = length + sum(sizes[:wanted])
    values = np.frombuffer(body[begin : begin + sizes[wanted]], np.float32)
    return class_one(values.reshape(output["shape"]))


def _read_oip_grpc(body: bytes, _: Mapping[str, str]) -> Floats:
    outputs = decode_infer(body)
    wanted = _pick([{"name": name} for name, _values in outputs])[0]
    return class_one(outputs[wanted][1])


OIP_JSON: Final = Codec(_oip_json, _read_oip_json)
OIP_BINARY: Final = Codec(_oip_binary, _read_oip_binary)
OIP_GRPC: Final = Codec(lambda rows: Payload(encode_infer(rows)), _read_oip_grpc)
BENTOML: Final = Codec(
    lambda rows: Payload(orjson.dumps({"rows": rows}, option=orjson.OPT_SERIALIZE_NUMPY), _JSON),
    lambda body, _: class_one(json.loads(body)),
)
FASTAPI: Final = Codec(BENTOML.encode, lambda body, _: class_one(json.loads(body)["probabilities"]))
MLFLOW: Final = Codec(
    lambda rows: Payload(orjson.dumps({"inputs": rows}, option=orjson.OPT_SERIALIZE_NUMPY), _JSON),
    lambda body, _: class_one(json.loads(body)["predictions"]),
)
