"""One observation a request: what was asked, what was answered, and how another version is asked the same.

Of a duel the label is the recommended attack, and the score its win probability. Of rows it is one of them, drawn at
random: the label is its class, the score P(class 1), of more than two classes the greatest P, of a regression, which
has no label, the value. It does not matter through which door the request came.
"""

from collections.abc import Mapping
from math import nan
from typing import Any, Final, NamedTuple, cast

import orjson

from bentos.adapter import Rows
from bentos.battle.adapter import Duel
from bentos.battle.schemas import BattleAnswer
from bentos.contract import Task
from bentos.core import Core, Prediction
from bentos.tensor import Tensor

_VERSION_CHARACTERS: Final = 64
_TWO: Final = 2


class Kept(NamedTuple):
    """What is kept of a request on its path, where each microsecond is a user's; nothing of its body.

    Attributes:
        duel: what was asked; None where it was rows.
        row: the observed row, as ``Adapter.pick`` gives it.
        outputs: what was answered to the rows.
        seen: place of the observed one.
        answer: what was answered to the duel.
    """

    duel: Duel | None
    row: Any
    outputs: tuple[Tensor, ...]
    seen: int
    answer: BattleAnswer | None


class Observation(NamedTuple):
    """What was asked and answered.

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


def keep(core: Core, prediction: Prediction) -> Kept:
    """What ``observe`` needs of a request that was answered."""
    outputs, _, _, _, _, _, answer, asked, seen = prediction
    if answer is not None:
        return Kept(cast("Duel", asked), None, (), 0, answer)
    return Kept(None, core.adapter.pick(cast("Rows", asked), seen), outputs, seen, None)


def observe(kept: Kept) -> Observation:
    """The observation of a request."""
    duel, picked, outputs, row, answer = kept
    if answer is not None:
        return Observation(duel, None, answer.recommended_move, answer.win_probability)
    label, score = None, nan
    for name, _, data in outputs:
        if name == "label":
            label = str(data[row, 0])
        else:
            # Of two classes the second, of more the likeliest, of a regression all there is.
            score = float(data[row, -1] if data.shape[1] <= _TWO else data[row].max())
    return Observation(None, picked, label, score)


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
        return Said(str(model["version"])[:_VERSION_CHARACTERS], label, float(score))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("the answer has another form") from error


def _score(core: Core, row: Mapping[str, Any]) -> float:
    contract = core.contract
    if contract.task is Task.REGRESSION:
        return float(row["value"])
    probabilities = row["probabilities"]
    if contract.task is Task.BINARY:
        return float(probabilities[(contract.classes or [])[1]])
    return max(map(float, probabilities.values()))
