"""The document put together."""

from functools import lru_cache

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bentos.battle.schemas import BattleAnswer, BattleRequest
from bentos.core import Core
from bentos.feedback import FeedbackAnswer, FeedbackItem, FeedbackList
from bentos.oip.metadata import NAME, VERSION
from bentos.openapi import protocol, typed
from bentos.openapi.parts import EVERYWHERE, HEADERS, PARAMETERS, REF, ErrorBody, Schema, parameter, responses
from bentos.typed import RecordsAnswer

_TAGS = {
    "duels": "Which attack wins.",
    "predictions": "Rows of named columns, and what came of them.",
    "Open Inference Protocol v2": "The standard protocol, with its binary tensor data extension.",
    "documents": "This document and what shows it.",
}


@lru_cache(maxsize=2)
def text(core: Core) -> bytes:
    """The document as JSON."""
    return orjson.dumps(document(core), option=orjson.OPT_INDENT_2)


def document(core: Core) -> Schema:
    """The document, version 3.1, of the routes that a core is served at."""
    contract = core.contract
    battle = contract.adapter == "battle"
    paths: Schema = {
        **(typed.duels(core) if battle else {}),
        **typed.predictions(core),
        **protocol.server(),
        **protocol.model(core),
        **typed.documents(),
    }
    everywhere = [parameter(name) for name in EVERYWHERE]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"PredictionDex: {contract.name}",
            "version": contract.version,
            "description": f"Version {contract.version} of the model {contract.name}, served by {NAME} {VERSION}. "
            "What answers GET answers HEAD too. Every error has the body of ErrorBody, whose code is a stable word.",
        },
        "tags": [{"name": name, "description": said} for name, said in _TAGS.items() if battle or name != "duels"],
        "paths": {path: {"parameters": everywhere, **methods} for path, methods in paths.items()},
        "components": {
            "schemas": _schemas(battle=battle),
            "responses": responses(),
            "headers": HEADERS,
            "parameters": PARAMETERS,
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        # Keys are an option of the server, and so is naming one here.
        "security": [{}, {"key": []}],
    }


def _schemas(*, battle: bool) -> Schema:
    asked: list[type[BaseModel]] = [FeedbackItem, FeedbackList, *([BattleRequest] if battle else [])]
    answered: list[type[BaseModel]] = [
        ErrorBody, FeedbackAnswer, RecordsAnswer, *([BattleAnswer] if battle else [])
    ]  # fmt: skip
    pairs = [(model, "validation") for model in asked] + [(model, "serialization") for model in answered]
    _, made = models_json_schema(pairs, ref_template=REF)  # type: ignore[arg-type]  # literals in a list
    schemas: Schema = made["$defs"]
    # Anything may stand there: what is no such item is refused by itself, and the others are taken.
    listed = schemas[FeedbackList.__name__]["properties"]["feedback"]
    listed["items"] = {"description": "A FeedbackItem; each is judged by itself."}
    return schemas
