"""One observation a request: what was asked, what was answered, and how another version is asked the same.

Of a duel the label is the recommended attack, and the score its win probability. Of rows it is one of them, drawn at
random: the label is its class, the score P(class 1), of more than two classes the greatest P, of a regression, which
has no label, the value. It does not matter through which door the request came.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

import orjson

from bentos.battle.adapter import Duel
from bentos.contract import Task
from bentos.core import Core, Prediction

_VERSION_CHARACTERS: Final = 64
_TWO: Final = 2


class Observation(NamedTuple):
    """What is kept of a request; nothing of it holds on to the request's body or to its other rows.

    Attributes:
        duel: what was asked; None where it was rows.
        row: the observed row, as ``Adapter.pick`` gives it.
        label: the answered label; None where there is none.
        score: the answered score, as precise as the answer.
    """

    duel: Duel | None
    row: Any
    label: str | None
    score: float


class Said(NamedTuple):
    """What another version answered; attributes as of ``Observation``, and its version."""

    version: str
    label: str | None
    score: float


def observe(core: Core, prediction: Prediction) -> Observation:
    """The observation of a request that was answered."""
    asked, row, answer = prediction.asked, prediction.seen, prediction.answer
    if isinstance(asked, Duel):
        assert answer is not None  # noqa: S101  for the type checker: a ranked duel has one
        return Observation(asked, None, answer.recommended_move, answer.win_probability)
    assert asked is not None  # noqa: S101  for the type checker: the core always says
    label, score = None, prediction.score
    for name, _, data in prediction.outputs:
        if name == "label":
            label = str(data[row, 0])
        else:
            # Of two classes the second, of more the likeliest, of a regression all there is.
            score = float(data[row, -1] if data.shape[1] <= _TWO else data[row].max())
    return Observation(None, core.adapter.pick(asked, row), label, score)


def question(core: Core, observation: Observation) -> tuple[str, bytes]:
    """Path and JSON body of the request that asks for it."""
    if observation.duel is not None:
        return "/predict/battle", orjson.dumps(core.duels.named(observation.duel))
    record = core.adapter.record(observation.row)
    return "/predict", orjson.dumps({"records": [record], "prediction_ids": False})


def said(core: Core, observation: Observation, body: bytes) -> Said:
    """What the answer to that request says.

    Raises:
        ValueError: it is no answer of this model.
    """
    try:
        answer = orjson.loads(body)
        model = answer["model"]
        if observation.duel is not None:
            label, score = answer["recommended_move"], answer["win_probability"]
        else:
            (row,) = answer["predictions"]
            label, score = row.get("label"), _score(core, row)
        if model["name"] != core.contract.name:
            raise ValueError("another model answered")
        found = Said(str(model["version"])[:_VERSION_CHARACTERS], label, float(score))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("the answer has another form") from error
    if not isfinite(found.score):
        raise ValueError("the score is no number")
    return found


def _score(core: Core, row: Mapping[str, Any]) -> float:
    contract = core.contract
    if contract.task is Task.REGRESSION:
        return float(row["value"])
    probabilities = row["probabilities"]
    if contract.task is Task.BINARY:
        return float(probabilities[(contract.classes or [])[1]])
    return max(map(float, probabilities.values()))
