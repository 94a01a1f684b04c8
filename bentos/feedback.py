"""``POST /feedback``: what came of a prediction, scored against what its id says was answered.

Figures are those of the contract's ``live_reference``, so that both are of the same thing:

- binary, p = P(class 1): right where p ≥ 0.5 and class 1 came, or p < 0.5 and class 0 came. Brier score (p − y)², y = 1
  for class 1, else 0.
- a duel: the same for "A wins" with the recommended attack against the best reply to it. A draw is half a win and half
  a loss: half right, and the mean of both Brier scores.
- multiclass: right where the answered class came. Brier score Σ (p_k − y_k)² over all classes k, from 0 to 2, where an
  id holds them all.
- regression: squared error (value − outcome)², in the square of the target's unit.

Brier scores are those of G. W. Brier, Verification of forecasts expressed in terms of probability, Monthly Weather
Review 78 (1950); for two classes his sum is twice (p − y)², and the half of it is what everybody calls by his name.
"""

from collections.abc import Callable
from math import isfinite
from threading import Lock
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bentos.battle.adapter import BattleAdapter
from bentos.contract import Contract
from bentos.core import Core
from bentos.errors import InvalidInput, PredictionRefused, UnknownName
from bentos.ids import Ids, Kind, Signed, attack_mark
from bentos.typed import invalid, load

MOST_ITEMS: Final = 100
REMEMBERED: Final = 100_000
_NESTING: Final = 32
_LARGEST: Final = 1e100
"""Squared errors above it would in time leave nothing of a sum but infinity."""
_SHOWN_CLASSES: Final = 20
_SHOWN_CHARACTERS: Final = 64
_DUEL_OUTCOMES: Final = {"a": 1.0, "b": 0.0, "draw": 0.5}
_EXAMPLE_ID: Final = "FMf1ATEA0klrCAcGBQQDAgEZAAkAoYdPcMylLLMAAEA_rDHR-1Gj9tcIcEtX"

Result = Literal["correct", "wrong", "half", "scored", "other_pairing", "duplicate", "refused"]
"""What a metric counts an outcome as; ``scored`` is a regression's, which is neither right nor wrong."""
Status = Literal["counted", "duplicate", "other_pairing", "refused"]


class Sink(Protocol):
    """Where outcomes are counted."""

    def feedback(self, version: str, result: Result, brier: float | None, squared_error: float | None) -> None:
        """Count one outcome of a prediction of a version; that which has no score has None."""
        ...


class FeedbackItem(BaseModel):
    """What came of one prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prediction_id: str = Field(
        min_length=1, max_length=512, description="From the answer, as it came.", examples=[_EXAMPLE_ID]
    )
    outcome: Annotated[str, Field(max_length=256)] | Annotated[float, Field(allow_inf_nan=False)] = Field(
        description='The name of the class that came; of a duel "a", "b" or "draw"; of a regression the number.',
        examples=["a", "draw", 41.5],
    )
    move_a: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Duels only, and needed there: the attack A used, by engine id or English name.",
        examples=["thunderbolt"],
    )
    move_b: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Duels only, and needed there: the attack B used.", examples=["surf"]
    )


class FeedbackList(BaseModel):
    """What came of several predictions; each is judged by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    feedback: list[FeedbackItem] = Field(min_length=1, max_length=MOST_ITEMS, description="1 to 100 outcomes.")


class FeedbackResult(BaseModel):
    """What became of one outcome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prediction_id: str | None = Field(description="As it was sent; null where none was.", examples=[_EXAMPLE_ID])
    status: Status = Field(
        description="counted: scored. duplicate: an outcome of this prediction was taken before, and this one changes "
        "nothing. other_pairing: other attacks were used than the recommended one and the best reply to it, or the "
        "prediction recommended none; counted apart. refused: see error."
    )
    error: str | None = Field(default=None, description="Why it was refused, in one sentence; else null.")


class FeedbackAnswer(BaseModel):
    """What became of the outcomes of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepted: int = Field(ge=0, le=MOST_ITEMS, description="How many were not refused.", examples=[1])
    results: list[FeedbackResult] = Field(description="One an outcome, in their order.")


class _Score(NamedTuple):
    result: Result
    brier: float | None = None
    squared_error: float | None = None


class _Seen:
    """Remembers at least half of ``most`` numbers, the last ones, and at most all of them."""

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._new: set[int] = set()
        self._old: set[int] = set()
        self._lock = Lock()

    def add(self, number: int) -> bool:
        """Whether it is remembered for the first time."""
        with self._lock:
            if number in self._new or number in self._old:
                return False
            self._new.add(number)
            if len(self._new) >= self._half:
                self._old, self._new = self._new, set()
            return True


class Feedback:
    """Answers ``POST /feedback``; safe to use from several threads.

    Args:
        contract: of the model that feedback is taken for.
        ids: reads prediction ids.
        sink: counts.
        attack: engine id of an attack by any of its names, raises UnknownName; None knows engine ids only.
        nesting: how deep arrays and objects of a body may lie in each other.
        remembered: predictions whose outcome is remembered, so that it is counted once; at least half of them.
    """

    def __init__(
        self,
        contract: Contract,
        ids: Ids,
        sink: Sink,
        *,
        attack: Callable[[str], str] | None = None,
        nesting: int = _NESTING,
        remembered: int = REMEMBERED,
    ) -> None:
        self._contract = contract
        self._classes = {name: number for number, name in enumerate(contract.classes or ())}
        self._ids = ids
        self._sink = sink
        self._attack = attack
        self._nesting = nesting
        self._seen = _Seen(remembered)

    @classmethod
    def of(cls, core: Core, sink: Sink, *, nesting: int = _NESTING) -> "Feedback":
        """For the predictions of a core, and of any other that signs with the same keys."""
        adapter = core.adapter
        if not isinstance(adapter, BattleAdapter):
            return cls(core.contract, core.ids, sink, nesting=nesting)
        dex = adapter.dex

        def attack(name: str) -> str:
            engine_id: str = dex.attack_ids[dex.attack(name)]
            return engine_id

        return cls(core.contract, core.ids, sink, attack=attack, nesting=nesting)

    def answer(self, body: bytes, *, counted: bool = True) -> bytes:
        """Take the JSON of one ``FeedbackItem`` or of a ``FeedbackList``; gives that of a ``FeedbackAnswer``.

        Args:
            body: the JSON.
            counted: whether the outcomes count as live ones; those that are no users' do not.

        Raises:
            RequestError: the body is not JSON, or nested too deep.
            InvalidInput: it is neither of the two, or the one outcome that it holds is refused.
            PredictionRefused: the id of the one outcome that it holds was not signed here or is too old.
        """
        given = load(body, self._nesting)
        if isinstance(given, dict) and "feedback" in given:
            results = [self._listed(item, counted=counted) for item in _listed(given)]
        else:
            results = [_result(given, self._take(given, counted=counted))]
        accepted = sum(result["status"] != "refused" for result in results)
        return orjson.dumps({"accepted": accepted, "results": results})

    def _listed(self, given: Any, *, counted: bool) -> dict[str, str | None]:
        try:
            return _result(given, self._take(given, counted=counted))
        except InvalidInput as error:
            # Without details beside it, the sentence must not point to them.
            first = error.details[0] if error.details else {}
            return _result(given, "refused", first.get("problem", str(error)))

    def _take(self, given: Any, *, counted: bool) -> Status:
        sink = self._sink.feedback if counted else _nobody
        version = self._contract.version
        try:
            item = _validated(given)
            signed = self._ids.read(self._contract, item.prediction_id)
            version = signed.version
            score = self._score(item, signed)
        except InvalidInput:
            sink(version, "refused", None, None)
            raise
        # What does not count must not be in the way of the outcome that does.
        if counted and not self._seen.add(signed.nonce):
            sink(version, "duplicate", None, None)
            return "duplicate"
        sink(version, *score)
        return "other_pairing" if score.result == "other_pairing" else "counted"

    def _score(self, item: FeedbackItem, signed: Signed) -> _Score:
        if not all(map(isfinite, signed.scores)):
            raise PredictionRefused("The model's answer was no number, so no outcome can be held against it.")
        if signed.kind in {Kind.DUEL, Kind.PAIRING}:
            return self._duel(item, signed)
        if item.move_a is not None or item.move_b is not None:
            raise InvalidInput("move_a and move_b belong to duels, and this model answers none.", [{"field": "move_a"}])
        if signed.kind is Kind.REGRESSION:
            return _regression(item, signed.scores[0])
        came = self._class(item.outcome)
        if signed.kind is Kind.BINARY:
            return _binary(signed.scores[0], float(came))
        return _multiclass(signed, came, len(self._classes))

    def _duel(self, item: FeedbackItem, signed: Signed) -> _Score:
        won = _DUEL_OUTCOMES.get(item.outcome) if isinstance(item.outcome, str) else None
        if won is None:
            raise InvalidInput('The outcome of a duel is "a", "b" or "draw".', [{"field": "outcome"}])
        if signed.attacks is None:
            return _Score("other_pairing")
        for field, attack in (("move_a", item.move_a), ("move_b", item.move_b)):
            if attack is None:
                raise InvalidInput(f"The field {field} is missing: a duel's outcome needs both attacks.", _at(field))
        recommended, reply = signed.attacks
        # Both are looked at, so that a wrong name is told whatever the other one is.
        played = [self._is(recommended, "move_a", item.move_a), self._is(reply, "move_b", item.move_b)]
        return _binary(signed.scores[0], won) if all(played) else _Score("other_pairing")

    def _is(self, mark: int, field: str, name: str | None) -> bool:
        given = name or ""
        # First as it is: an attack of another version's dex need not be in this one's.
        if self._attack is None or attack_mark(given) == mark:
            return attack_mark(given) == mark
        try:
            return attack_mark(self._attack(given)) == mark
        except UnknownName as unknown:
            raise UnknownName(str(unknown), [{"field": field, **detail} for detail in unknown.details]) from None

    def _class(self, outcome: str | float) -> int:
        came = self._classes.get(outcome) if isinstance(outcome, str) else None
        if came is None:
            names = ", ".join(list(self._classes)[:_SHOWN_CLASSES])
            more = " and others" if len(self._classes) > _SHOWN_CLASSES else ""
            raise InvalidInput(f"The outcome must be the name of a class: {names}{more}.", _at("outcome"))
        return came


def _nobody(version: str, result: Result, brier: float | None, squared_error: float | None) -> None:
    """Counts nothing."""


def _binary(p: float, came: float) -> _Score:
    """Score P = p of what came with the share ``came``: 1, 0, or 0.5 for a draw."""
    right = came if p >= 0.5 else 1.0 - came
    result: Result = "half" if right == 0.5 else "correct" if right == 1.0 else "wrong"
    return _Score(result, brier=came * (1.0 - p) ** 2 + (1.0 - came) * p**2)


def _multiclass(signed: Signed, came: int, classes: int) -> _Score:
    result: Result = "correct" if came == signed.label else "wrong"
    if len(signed.scores) != classes:
        return _Score(result)
    return _Score(result, brier=sum((p - (number == came)) ** 2 for number, p in enumerate(signed.scores)))


def _regression(item: FeedbackItem, value: float) -> _Score:
    if isinstance(item.outcome, str):
        raise InvalidInput("The outcome of a regression is a number.", _at("outcome"))
    off = value - item.outcome
    squared = off * off
    if squared > _LARGEST:
        raise InvalidInput("The outcome is too far from any value that could be meant.", _at("outcome"))
    return _Score("scored", squared_error=squared)


def _listed(given: dict[str, Any]) -> list[Any]:
    other = next((name for name in given if name != "feedback"), None)
    if other is not None:
        raise InvalidInput(f"There is no field {other[:_SHOWN_CHARACTERS]!r} beside feedback.")
    items = given["feedback"]
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        raise InvalidInput(f"feedback is a list of 1 to {MOST_ITEMS} outcomes.", _at("feedback"))
    return items


def _validated(given: Any) -> FeedbackItem:
    if not isinstance(given, dict):
        raise InvalidInput("An outcome is a JSON object with prediction_id and outcome.")
    try:
        return FeedbackItem.model_validate(given)
    except ValidationError as error:
        # Its faults name both types that it may have.
        if error.errors()[0]["loc"][0] == "outcome" and "outcome" in given:
            raise InvalidInput("The outcome is text of up to 256 characters, or a number.", _at("outcome")) from error
        raise invalid(FeedbackItem, error) from error


def _result(given: Any, status: Status, error: str | None = None) -> dict[str, str | None]:
    ident = given.get("prediction_id") if isinstance(given, dict) else None
    shown = ident[:512] if isinstance(ident, str) else None
    return {"prediction_id": shown, "status": status, "error": error}


def _at(field: str) -> list[dict[str, Any]]:
    return [{"field": field}]
