"""The part of the document about the Open Inference Protocol."""

from typing import Any, Final

from bentos.core import Core
from bentos.oip import metadata
from bentos.oip.routes import Oip
from bentos.openapi.answers import answer_of, complete_row
from bentos.openapi.parts import (
    BOOL,
    OPEN,
    READ,
    TEXT,
    WRITE,
    Schema,
    content,
    fields,
    headers,
    operation,
    parameter,
    write,
)
from bentos.state import State
from bentos.tensor import DTYPES, TensorSpec

_TAG: Final = "Open Inference Protocol v2"
_NESTING: Final = 32
_BINARY: Final = (
    "A tensor's values are a list named data or, by the binary tensor data extension, bytes behind the JSON text: "
    "its parameter binary_data_size says how many, in the order of the tensors, and the header "
    "Inference-Header-Content-Length where the text ends. They are little-endian, row by row, unpadded; an element of "
    "BYTES is its length in four bytes and its UTF-8. Outputs come the same way where the parameter binary_data of one "
    "or binary_data_output of the request is true; the answer is application/octet-stream then."
)
_OCTETS: Final = "application/octet-stream"


def server() -> Schema:
    """The server's routes, by path."""
    about = fields(name=TEXT, version=TEXT, extensions={"type": "array", "items": TEXT})
    known = operation("server", "What this server is.", content(about, metadata.server()), errors=READ, tag=_TAG)
    live = operation("live", "Whether it runs.", content(fields(live=BOOL), {"live": True}), errors=OPEN, tag=_TAG)
    ready = operation(
        "ready", "Whether it answers.", content(fields(ready=BOOL), {"ready": True}), errors=OPEN, tag=_TAG
    )
    return {
        "/v2": {"get": known},
        "/v2/health/live": {"get": {**live, "security": []}},
        "/v2/health/ready": {"get": {**ready, "security": []}},
    }


def model(core: Core) -> Schema:
    """The model's routes, with its version named and without, by path."""
    contract = core.contract
    paths: Schema = {}
    for path, suffix, fixed in (
        ("/v2/models/{name}", "", {"name": contract.name}),
        ("/v2/models/{name}/versions/{version}", "Version", {"name": contract.name, "version": contract.version}),
    ):
        named = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}
            for name, value in fixed.items()
        ]
        infer = _infer(core, f"infer{suffix}")
        infer["parameters"] = [*named, *infer["parameters"]]
        paths[path] = {"get": {**_about(core, f"model{suffix}"), "parameters": named}}
        paths[path + "/ready"] = {"get": {**_ready(core, f"modelReady{suffix}"), "parameters": named, "security": []}}
        paths[path + "/infer"] = {"post": infer}
    return paths


def _about(core: Core, name: str) -> Schema:
    tensors = {
        "type": "array",
        "items": fields(name=TEXT, datatype=TEXT, shape={"type": "array", "items": {"type": "integer"}}),
    }
    about = fields(name=TEXT, versions={"type": "array", "items": TEXT}, platform=TEXT, inputs=tensors, outputs=tensors)
    answer = content(about, metadata.model(core))
    return operation(name, "What the model takes and gives.", answer, errors=(404, *READ), tag=_TAG)


def _ready(core: Core, name: str) -> Schema:
    answer = content(fields(name=TEXT, ready=BOOL), {"name": core.contract.name, "ready": True})
    return operation(name, "Whether it answers.", answer, errors=(404, *OPEN), tag=_TAG)


def _infer(core: Core, name: str) -> Schema:
    example = _example(core)
    route = f"/v2/models/{core.contract.name}/infer"
    prepare = Oip(State(), nesting=_NESTING).routes(core)[route].prepare
    answer = None if example is None or prepare is None else answer_of(prepare, example)
    made = write(
        name,
        "Score tensors.",
        content(_answered(), answer),
        body=content(_asked(core), example),
        tag=_TAG,
        errors=(404, 504, *WRITE),
    )
    made["description"] = _BINARY
    made["parameters"] += [parameter("json-length"), parameter("accept-encoding")]
    made["requestBody"]["content"][_OCTETS] = {}
    made["responses"]["200"]["content"][_OCTETS] = {}
    made["responses"]["200"]["headers"] = headers("Inference-Header-Content-Length", "Content-Encoding")
    return made


def _answered() -> Schema:
    tensor = fields(name=TEXT, datatype={"enum": list(DTYPES)}, shape={"type": "array", "items": {"type": "integer"}})
    tensor["properties"] |= {
        "data": {"type": "array", "description": "The values, flat, row by row; missing where they are bytes."},
        "parameters": fields(binary_data_size={"type": "integer", "minimum": 0}),
    }
    answered = fields(model_name=TEXT, model_version=TEXT, outputs={"type": "array", "items": tensor})
    answered["properties"] |= {
        "id": {**TEXT, "description": "That of the request."},
        "parameters": fields(prediction_ids={**TEXT, "description": "One a row, joined by commas."}),
    }
    return answered


def _asked(core: Core) -> Schema:
    inputs = core.adapter.inputs
    flag = {"type": ["boolean", "null"]}
    parameters = {
        "type": ["object", "null"],
        "properties": {
            "prediction_ids": {**flag, "description": "Whether each row gets a prediction id."},
            "timeout": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "Microseconds from the request's arrival after which nobody waits for the answer; 0 for "
                "no such time.",
            },
            "binary_data_output": {**flag, "description": "Whether outputs that do not say otherwise are bytes."},
        },
    }
    output = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"enum": [spec.name for spec in core.outputs]},
            "parameters": {"type": ["object", "null"], "properties": {"binary_data": flag}},
        },
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": parameters,
            "inputs": {
                "type": "array",
                "minItems": len(inputs),
                "maxItems": len(inputs),
                "items": {"anyOf": [_tensor(spec) for spec in inputs]},
            },
            "outputs": {
                "type": ["array", "null"],
                "items": output,
                "description": "Those that are wanted, each once; all where it is left out, null or empty.",
            },
        },
    }


def _tensor(spec: TensorSpec) -> Schema:
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype, "description": f"One of {', '.join(DTYPES)} in the protocol."},
            "shape": {
                "type": "array",
                "prefixItems": [
                    {"type": "integer", "minimum": 1} if size < 0 else {"const": size} for size in spec.shape
                ],
                "minItems": len(spec.shape),
                "maxItems": len(spec.shape),
            },
            "data": {"type": "array", "description": "The values, flat or nested as the shape says."},
        },
    }


def _example(core: Core) -> Schema | None:
    """A request of one row."""
    row = complete_row(core.contract)
    if row is None:
        return None
    inputs = core.adapter.inputs
    # One tensor a column, or all columns in one.
    values: list[list[Any]] = (
        [[value] for value in row] if len(inputs) == len(row) else [[float(value) for value in row]]
    )
    return {
        "inputs": [
            {"name": spec.name, "datatype": spec.datatype, "shape": [1, len(each)], "data": each}
            for spec, each in zip(inputs, values, strict=True)
        ]
    }
