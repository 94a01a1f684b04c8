"""The typed REST routes: bodies that a pydantic model describes, and sentences for what it refuses."""

import difflib
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from bentos.battle.schemas import BattleRequest, ModelVersion
from bentos.core import Core, Prediction
from bentos.errors import InvalidInput
from bentos.http import Request, Response
from bentos.oip.json import check_nesting
from bentos.oip.json import load as loads
from bentos.routes import WRITE, Job, Route

_MOST_DETAILS: Final = 20
_LONGEST_FIELD: Final = 64
"""Characters of a field's name that an answer repeats."""
_LONGEST_TYPO: Final = 32
"""Characters of a field's name that the nearest one is looked for."""
BATTLE_BYTES: Final = 32 << 10
"""Longest body of a duel: two names and a hundred attacks take a tenth of it."""
Model = TypeVar("Model", bound=BaseModel)


class RecordsRequest(BaseModel):
    """Rows by the names of their columns."""

    model_config = ConfigDict(extra="forbid")

    records: list[Any] = Field(
        min_length=1, description="One object a row, with a value for each column of the contract."
    )
    prediction_ids: StrictBool | None = Field(
        default=None,
        description="Whether each row gets a prediction id; left out, requests of up to 64 rows get them.",
    )


class RecordAnswer(BaseModel):
    """What the model says of one row."""

    label: str | None = Field(default=None, description="The likeliest class; classifiers only.")
    probabilities: dict[str, float] | None = Field(
        default=None, description="The probability of each class, in [0, 1]; classifiers only."
    )
    value: float | None = Field(default=None, description="The predicted value; regressors only.")
    prediction_id: str | None = Field(default=None, description="Names this answer in feedback.")


class RecordsAnswer(BaseModel):
    """One prediction a record, in their order."""

    predictions: list[RecordAnswer]
    model: ModelVersion


class Typed:
    """``POST /predict`` for any model, and ``POST /predict/battle`` for one of duels."""

    def __init__(self, core: Core, nesting: int) -> None:
        self._core = core
        self._nesting = nesting
        self._model = ModelVersion(name=core.contract.name, version=core.contract.version).model_dump()

    def routes(self) -> dict[str, Route]:
        """By path."""
        routes = {"/predict": Route("/predict", WRITE, prepare=self.records)}
        if self._core.contract.adapter == "battle":
            routes["/predict/battle"] = Route("/predict/battle", WRITE, prepare=self.battle, most_bytes=BATTLE_BYTES)
        return routes

    def battle(self, request: Request) -> Job:
        """All pairings of a duel; raises RequestError."""
        core = self._core
        asked = parse(BattleRequest, request.body, self._nesting)
        duel = core.duel(asked.pokemon_a, asked.pokemon_b, asked.available_moves_a, asked.available_moves_b)
        return Job(len(duel.moves_a) * len(duel.moves_b), partial(core.rank, duel), _ranking)

    def records(self, request: Request) -> Job:
        """Records of named columns; raises RequestError."""
        core = self._core
        asked = parse(RecordsRequest, request.body, self._nesting)
        rows = core.records(asked.records)
        return Job(rows.n, partial(core.predict, rows, ids=asked.prediction_ids), self._predictions)

    def _predictions(self, prediction: Prediction) -> Response:
        answers: list[dict[str, Any]] = [{} for _ in range(prediction.rows)]
        for tensor in prediction.outputs:
            values = tensor.data.tolist()
            for answer, value in zip(answers, values, strict=True):
                if tensor.name == "probabilities":
                    answer["probabilities"] = dict(zip(self._core.contract.classes or [], value, strict=True))
                else:
                    answer[tensor.name] = value[0]
        for answer, ident in zip(answers, prediction.ids, strict=False):
            answer["prediction_id"] = ident
        return Response(200, orjson.dumps({"predictions": answers, "model": self._model}))


def _ranking(prediction: Prediction) -> Response:
    assert prediction.answer is not None  # noqa: S101  for the type checker: a ranked duel has one
    return Response(200, prediction.answer.model_dump_json().encode())


def load(body: bytes, nesting: int) -> Any:
    """Read JSON whose arrays and objects lie at most ``nesting`` deep in each other.

    Raises:
        RequestError: it is not JSON.
        InvalidInput: it is nested deeper.
    """
    value = loads(body, nesting)
    check_nesting(body, nesting)
    return value


def parse(model: type[Model], body: bytes, nesting: int) -> Model:
    """Read a JSON body into a model.

    Raises:
        RequestError: it is not JSON.
        InvalidInput: it does not fit the model; ``details`` has one entry a fault.
    """
    value = load(body, nesting)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(model, error) from error


def invalid(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    """What pydantic refuses, in one sentence about the first fault and one detail for each of the first 20."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    details = []
    for fault in faults[:_MOST_DETAILS]:
        field = ".".join(str(part)[:_LONGEST_FIELD] for part in fault["loc"])
        shown = field[:_LONGEST_FIELD]
        details.append({"field": shown, "problem": _problem(model, fault["type"], field, fault["msg"])})
    problem = details[0]["problem"]
    if len(faults) > _MOST_DETAILS:
        problem += f" (One of {len(faults)} faults; the first {_MOST_DETAILS} are in the details.)"
    elif len(faults) > 1:
        problem += f" ({len(faults) - 1} more in the details.)"
    return InvalidInput(problem, details)


def _problem(model: type[BaseModel], kind: str, field: str, message: str) -> str:
    shown = field[:_LONGEST_FIELD]
    if not field:
        return "The body must be a JSON object."
    if kind == "missing":
        return f"The field {shown} is missing."
    if kind == "extra_forbidden":
        known = list(model.model_fields) if len(field) <= _LONGEST_TYPO else []
        near = difflib.get_close_matches(field, known, n=1)
        return f"There is no field {shown!r}." + (f" Did you mean {near[0]}?" if near else "")
    return f"{shown}: {message}."
