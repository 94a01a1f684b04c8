"""The Open Inference Protocol over REST: requests as JSON and as binary tensors, and their answers."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from loadtests.requests import Pairing
from loadtests.users.answers import Scored, WrongAnswer

JSON_LENGTH: Final = "Inference-Header-Content-Length"
"""Header that says how many bytes of a body are JSON; the tensors follow them."""
_LENGTH: Final = struct.Struct("<I")


class Message(NamedTuple):
    """A body and the headers it needs."""

    body: bytes
    headers: dict[str, str]


def as_json(ident: str, rows: Sequence[Pairing]) -> Message:
    """An inference request of n rows: four BYTES tensors [n, 1], their values in the JSON."""
    inputs = [{**_head(name, len(rows)), "data": values} for name, values in _columns(rows)]
    return Message(json.dumps({"id": ident, "inputs": inputs}).encode(), {"Content-Type": "application/json"})


def as_binary(ident: str, rows: Sequence[Pairing]) -> Message:
    """The same with the tensors after the JSON, in and out."""
    inputs, tensors = [], []
    for name, values in _columns(rows):
        tensors.append(pack(values))
        inputs.append({**_head(name, len(rows)), "parameters": {"binary_data_size": len(tensors[-1])}})
    head = json.dumps({"id": ident, "inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return Message(b"".join([head, *tensors]), headers)


def pack(values: Sequence[str]) -> bytes:
    """A BYTES tensor: each value after its length, four bytes, the lowest first."""
    encoded = [value.encode() for value in values]
    return b"".join(part for value in encoded for part in (_LENGTH.pack(len(value)), value))


def scored(body: bytes, headers: Mapping[str, str]) -> Scored:
    """Read an answer.

    Args:
        body: all of it.
        headers: by their names, in any case.

    Raises:
        WrongAnswer: it is not JSON, lacks a field, or its tensors do not fill the body.
    """
    length = {name.lower(): value for name, value in headers.items()}.get(JSON_LENGTH.lower())
    try:
        at = len(body) if length is None else int(length)
        answer = json.loads(body[:at])
        tensors = _tensors(answer["outputs"], body[at:])
        output = next(output for output in answer["outputs"] if output["name"] == "probabilities")
        given = answer.get("parameters", {}).get("prediction_ids", "")
        return Scored(
            ident=answer["id"],
            model=answer["model_name"],
            version=answer["model_version"],
            shape=output["shape"],
            probabilities=_values(output, tensors),
            prediction_ids=given.split(",") if given else [],
        )
    except WrongAnswer:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, struct.error) as error:
        raise WrongAnswer("an answer that cannot be read", f"{error!r} in {body[:200]!r}") from error


def _values(output: Any, tensors: Mapping[str, bytes]) -> Sequence[float]:
    packed = tensors.get("probabilities")
    if packed is None:
        found: Sequence[float] = output["data"]
        return found
    if output["datatype"] != "FP32":
        raise WrongAnswer("probabilities of another type than FP32", str(output["datatype"]))
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def _tensors(outputs: Any, rest: bytes) -> dict[str, bytes]:
    found = {}
    for output in outputs:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is not None:
            found[output["name"]], rest = rest[:size], rest[size:]
    if rest:
        raise WrongAnswer("bytes after the last tensor", f"{len(rest)} bytes")
    return found


def _columns(rows: Sequence[Pairing]) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(Pairing._fields, zip(*rows, strict=True), strict=True))


def _head(name: str, rows: int) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [rows, 1]}
