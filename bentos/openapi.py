"""The OpenAPI document of every REST route, made from the models that read the requests and from the contract."""

from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bentos.battle.schemas import BattleAnswer, BattleRequest
from bentos.contract import Column, Contract, MissingRule
from bentos.core import Core
from bentos.feedback import FeedbackAnswer, FeedbackItem, FeedbackList
from bentos.oip.metadata import NAME, VERSION
from bentos.tensor import DTYPES, TensorSpec
from bentos.typed import RecordsAnswer

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_KINDS: Final[dict[str, Schema]] = {
    "string": {"type": "string"},
    "float32": {"type": "number"},
    "float64": {"type": "number"},
    "int64": {"type": "integer", "format": "int64"},
    "bool": {"type": "boolean"},
}
_ERRORS: Final = {
    400: "The body is not what its headers say, or not JSON.",
    401: "An API key is needed, and none that is known came.",
    404: "There is no such model or version.",
    405: "The route does not answer this method.",
    408: "The request did not arrive in time.",
    413: "The body is too long, or has too many rows.",
    415: "The body is announced in a format or packing that is not read.",
    422: "A value is of the wrong type, out of range, unknown, or missing.",
    431: "The head of the request is too long.",
    500: "The server failed; its log has more under the id in the answer.",
    503: "The model is loading, the server is stopping, or too much is in flight; come back after Retry-After.",
    504: "The time that the request allows has passed.",
}
_READ: Final = (401, 405, 408, 431, 500, 503)
_ASK: Final = (400, 401, 405, 408, 413, 415, 422, 431, 500, 503, 504)


class ErrorBody(BaseModel):
    """The body of every error."""

    error: str
    code: str
    details: list[dict[str, Any]]


@lru_cache(maxsize=2)
def text(core: Core) -> bytes:
    """The document as JSON."""
    return orjson.dumps(document(core), option=orjson.OPT_INDENT_2)


def document(core: Core) -> Schema:
    """The document, version 3.1, of the routes that a core is served at."""
    contract = core.contract
    battle = contract.adapter == "battle"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"PredictionDex: {contract.name}",
            "version": contract.version,
            "description": f"Version {contract.version} of the model {contract.name}, served by {NAME} {VERSION}.",
        },
        "paths": {
            **(_battle() if battle else {}),
            "/predict": {"post": _predict(contract)},
            "/feedback": {"post": _feedback(contract)},
            **_server(),
            **_model(core),
        },
        "components": {
            "schemas": _components(battle=battle),
            "responses": {str(status): _error(status, text) for status, text in _ERRORS.items()},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "security": [{}, {"key": []}],
    }


def _components(*, battle: bool) -> Schema:
    asked: list[type[BaseModel]] = [FeedbackItem, FeedbackList, *([BattleRequest] if battle else [])]
    answered: list[type[BaseModel]] = [
        ErrorBody, FeedbackAnswer, RecordsAnswer, *([BattleAnswer] if battle else [])
    ]  # fmt: skip
    pairs = [(model, "validation") for model in asked] + [(model, "serialization") for model in answered]
    _, made = models_json_schema(pairs, ref_template=_REF)  # type: ignore[arg-type]  # literals in a list
    schemas: Schema = made["$defs"]
    # Anything may stand there: what is no such item is refused by itself, and the others are taken.
    listed = schemas[FeedbackList.__name__]["properties"]["feedback"]
    listed["items"] = {"description": "A FeedbackItem; each is judged by itself."}
    return schemas


def _operation(
    name: str,
    summary: str,
    answer: Schema,
    *,
    errors: tuple[int, ...],
    tag: str,
    body: Schema | None = None,
    **more: Any,
) -> Schema:
    made: Schema = {"operationId": name, "summary": summary, "tags": [tag], **more}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": body}}
    made["responses"] = {
        "200": {"description": "The answer.", "content": {"application/json": answer}},
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in errors},
    }
    return made


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": _REF.format(model=model.__name__)}


def _error(status: int, text: str) -> Schema:
    example = {"error": text, "code": "stable_word", "details": []}
    return {
        "description": text,
        "content": {"application/json": {"schema": _ref(ErrorBody), "example": {**example, "code": _WORDS[status]}}},
    }


_WORDS: Final = {
    400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 408: "too_slow",
    413: "payload_too_large", 415: "unsupported_media_type", 422: "invalid_input", 431: "headers_too_large",
    500: "internal", 503: "not_ready", 504: "deadline_exceeded",
}  # fmt: skip


def _battle() -> Schema:
    body = {
        "schema": _ref(BattleRequest),
        "example": {
            "pokemon_a": "pikachu",
            "pokemon_b": "blastoise",
            "available_moves_a": ["thunderbolt", "irontail"],
            "available_moves_b": ["surf", "icebeam"],
        },
    }
    answer = {"schema": _ref(BattleAnswer)}
    ours = _operation(
        "predictBattle",
        "Rank the attacks of a Pokémon against another one.",
        answer,
        errors=_ASK,
        tag="duels",
        body=body,
    )
    bento = _operation(
        "bentoPredictBattle", "The same through BentoML's service.", answer, errors=_ASK, tag="duels", body=body
    )
    return {"/predict/battle": {"post": ours}, "/bento/predict_battle": {"post": bento}}


def _predict(contract: Contract) -> Schema:
    record = {
        "type": "object",
        "additionalProperties": False,
        "required": [column.name for column in contract.columns if _needed(column)],
        "properties": {column.name: _column(column) for column in contract.columns},
    }
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["records"],
        "properties": {
            "records": {"type": "array", "minItems": 1, "items": record, "description": "One object a row."},
            "prediction_ids": {
                "type": ["boolean", "null"],
                "description": "Whether each row gets a prediction id; left out, requests of up to 64 rows get them.",
            },
        },
    }
    row = _complete_row(contract)
    example = {column.name: value for column, value in zip(contract.columns, row or [], strict=False)}
    body: Schema = {"schema": schema, **({"example": {"records": [example]}} if row else {})}
    return _operation(
        "predict",
        "Score rows given by the names of their columns.",
        {"schema": _ref(RecordsAnswer)},
        errors=_ASK,
        tag="predictions",
        body=body,
    )


def _needed(column: Column) -> bool:
    return not column.optional and column.missing is MissingRule.REFUSE


def _column(column: Column) -> Schema:
    schema = dict(_KINDS[column.dtype])
    if column.categories is not None:
        schema["enum"] = list(column.categories)
    if column.range is not None:
        schema["minimum"], schema["maximum"] = column.range
    if column.unit is not None:
        schema["description"] = f"In {column.unit}."
    return schema if _needed(column) else {"anyOf": [schema, {"type": "null"}]}


def _feedback(contract: Contract) -> Schema:
    outcome: Any = "a" if contract.adapter == "battle" else contract.classes[0] if contract.classes else 1.5
    example: Schema = {"prediction_id": "from an answer", "outcome": outcome}
    if contract.adapter == "battle":
        example |= {"move_a": "thunderbolt", "move_b": "surf"}
    body = {"schema": {"anyOf": [_ref(FeedbackItem), _ref(FeedbackList)]}, "example": example}
    return _operation(
        "feedback",
        "Tell what came of predictions.",
        {"schema": _ref(FeedbackAnswer)},
        errors=_ASK,
        tag="predictions",
        body=body,
    )


def _object(**properties: Schema) -> Schema:
    return {"schema": {"type": "object", "required": list(properties), "properties": properties}}


_TEXT: Final = {"type": "string"}
_BOOL: Final = {"type": "boolean"}
_OIP: Final = "Open Inference Protocol v2"


def _server() -> Schema:
    about = _object(name=_TEXT, version=_TEXT, extensions={"type": "array", "items": _TEXT})
    return {
        "/v2": {"get": _operation("server", "What this server is.", about, errors=_READ, tag=_OIP)},
        "/v2/health/live": {
            "get": _operation("live", "Whether it runs.", _object(live=_BOOL), errors=_READ, tag=_OIP, security=[])
        },
        "/v2/health/ready": {
            "get": _operation("ready", "Whether it answers.", _object(ready=_BOOL), errors=_READ, tag=_OIP, security=[])
        },
    }


def _model(core: Core) -> Schema:
    contract = core.contract
    paths: Schema = {}
    for path, suffix, fixed in (
        ("/v2/models/{name}", "", {"name": contract.name}),
        ("/v2/models/{name}/versions/{version}", "Version", {"name": contract.name, "version": contract.version}),
    ):
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [value]}}
            for name, value in fixed.items()
        ]
        shared: Schema = {"parameters": parameters}
        tensors = {"type": "array", "items": {"type": "object"}}
        about = _object(name=_TEXT, versions={"type": "array", "items": _TEXT}, inputs=tensors, outputs=tensors)
        errors = (404, *_READ)
        paths[path] = {
            "get": _operation(
                f"model{suffix}", "What the model takes and gives.", about, errors=errors, tag=_OIP, **shared
            )
        }
        ready = _object(name=_TEXT, ready=_BOOL)
        paths[path + "/ready"] = {
            "get": _operation(
                f"modelReady{suffix}", "Whether it answers.", ready, errors=errors, tag=_OIP, security=[], **shared
            )
        }
        paths[path + "/infer"] = {"post": _infer(core, f"infer{suffix}", shared)}
    return paths


def _infer(core: Core, name: str, shared: Schema) -> Schema:
    inputs = core.adapter.inputs
    parameters = {"type": ["object", "null"], "description": "prediction_ids, timeout (µs), binary_data_output."}
    asked = {
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
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"enum": [spec.name for spec in core.outputs]},
                        "parameters": {"type": ["object", "null"]},
                    },
                },
            },
        },
    }
    answered = _object(
        model_name=_TEXT,
        model_version=_TEXT,
        outputs={"type": "array", "items": {"type": "object", "required": ["name", "datatype", "shape"]}},
    )
    body: Schema = {"schema": asked}
    example = _example(core)
    if example is not None:
        body["example"] = example
    return _operation(name, "Score tensors.", answered, errors=(404, *_ASK), tag=_OIP, body=body, **shared)


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


def _complete_row(contract: Contract) -> list[Any] | None:
    """A row of the parity sample that lacks nothing."""
    rows = contract.parity.rows
    return next((row for row in rows if all(value is not None and value == value for value in row)), None)  # noqa: PLR0124


def _example(core: Core) -> Schema | None:
    """A request of one row."""
    row = _complete_row(core.contract)
    if row is None:
        return None
    inputs = core.adapter.inputs
    if len(inputs) == len(row):
        tensors = [
            {"name": spec.name, "datatype": spec.datatype, "shape": [1, 1], "data": [value]}
            for spec, value in zip(inputs, row, strict=True)
        ]
        return {"inputs": tensors}
    spec = inputs[0]
    return {
        "inputs": [
            {
                "name": spec.name,
                "datatype": spec.datatype,
                "shape": [1, len(row)],
                "data": [float(value) for value in row],
            }
        ]
    }
