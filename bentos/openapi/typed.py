"""The part of the document about our own routes: duels, records, feedback, and the documents themselves."""

from typing import Any, Final

from bentos.battle.schemas import BattleAnswer, BattleRequest
from bentos.contract import Column, Contract, MissingRule
from bentos.core import Core
from bentos.docs import Docs
from bentos.feedback import FeedbackAnswer, FeedbackItem, FeedbackList
from bentos.openapi.answers import answer_of, complete_row
from bentos.openapi.parts import EXAMPLE_ID, READ, TEXT, Schema, content, operation, ref, write
from bentos.typed import RecordsAnswer, Typed

_KINDS: Final[dict[str, Schema]] = {
    "string": {"type": "string"},
    "float32": {"type": "number"},
    "float64": {"type": "number"},
    "int64": {"type": "integer", "format": "int64"},
    "bool": {"type": "boolean"},
}
_DUEL: Final = {
    "pokemon_a": "pikachu",
    "pokemon_b": "blastoise",
    "available_moves_a": ["thunderbolt", "irontail"],
    "available_moves_b": ["surf", "icebeam"],
}
_ASSET: Final = "/static_content/{file}"
_NESTING: Final = 32


def duels(core: Core) -> Schema:
    """The routes of a model of duels, by path."""
    body = content(ref(BattleRequest), _DUEL)
    answer = content(ref(BattleAnswer), answer_of(Typed(core, _NESTING).battle, _DUEL))
    return {
        "/predict/battle": {
            "post": write(
                "predictBattle", "Rank the attacks of a Pokémon against another one.", answer, body=body, tag="duels"
            )
        },
        "/bento/predict_battle": {
            "post": write("bentoPredictBattle", "The same through BentoML's service.", answer, body=body, tag="duels")
        },
    }


def predictions(core: Core) -> Schema:
    """The routes of any model, by path."""
    return {"/predict": {"post": _predict(core)}, "/feedback": {"post": _feedback(core.contract)}}


def documents() -> Schema:
    """This document and what shows it, by path."""
    described = {"type": "object", "required": ["openapi", "info", "paths"]}
    routes = Docs(bytes).routes()
    files = [path.removeprefix("/static_content/") for path, route in routes.items() if route.template == _ASSET]
    page = operation(
        "docs",
        "The page that shows this document, without the internet.",
        content(TEXT, "<!doctype html>…"),
        errors=READ,
        tag="documents",
        kind="text/html",
    )
    asset = operation(
        "staticContent",
        "A file of that page.",
        content(TEXT, "…"),
        errors=(404, *READ),
        tag="documents",
        kind="text/css",
    )
    asset["responses"]["200"]["content"]["text/javascript"] = content(TEXT, "…")
    asset["parameters"] = [
        {
            "name": "file",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "enum": files},
        }
    ]
    ours = operation("openapi", "This document.", content(described, _document("3.1.0")), errors=READ, tag="documents")
    bento = operation(
        "bentoDocument",
        "BentoML's document of its own service.",
        content(described, _document("3.0.2")),
        errors=READ,
        tag="documents",
    )
    return {
        "/docs": {"get": page},
        _ASSET: {"get": asset},
        "/openapi.json": {"get": ours},
        "/docs.json": {"get": bento},
    }


def _document(version: str) -> Schema:
    return {"openapi": version, "info": {"title": "…", "version": "1"}, "paths": {}}


def _predict(core: Core) -> Schema:
    contract = core.contract
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
            "records": {
                "type": "array",
                "minItems": 1,
                "items": record,
                "description": f"One object a row, up to {core.most_rows}.",
            },
            "prediction_ids": {
                "type": ["boolean", "null"],
                "description": "Whether each row gets a prediction id; left out, requests of up to 64 rows get them.",
            },
        },
    }
    row = complete_row(contract)
    example = row and {"records": [dict(zip([column.name for column in contract.columns], row, strict=True))]}
    return write(
        "predict",
        "Score rows given by the names of their columns.",
        content(ref(RecordsAnswer), example and answer_of(Typed(core, _NESTING).records, example)),
        body=content(schema, example),
        tag="predictions",
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
    example: Schema = {"prediction_id": EXAMPLE_ID, "outcome": outcome}
    if contract.adapter == "battle":
        example |= {"move_a": "thunderbolt", "move_b": "surf"}
    counted = {"accepted": 1, "results": [{"prediction_id": EXAMPLE_ID, "status": "counted", "error": None}]}
    return write(
        "feedback",
        "Tell what came of predictions.",
        content(ref(FeedbackAnswer), counted),
        body=content({"anyOf": [ref(FeedbackItem), ref(FeedbackList)]}, example),
        tag="predictions",
    )
