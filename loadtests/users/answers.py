"""What a right answer is, whatever the transport. A 200 that is not one is a failure."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from loadtests.requests import Battle, Pairing

IDS_UP_TO: Final = 64
"""Rows of a request up to which each gets a prediction id unasked."""
_SUM_TOLERANCE: Final = 1e-4
"""What rounding to 32 bits may leave of a sum of probabilities."""


class WrongAnswer(Exception):
    """An answer that is not right.

    Attributes:
        kind: what is wrong, in words that many such answers share.
        detail: the particulars of this one.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail or kind


class Ranking(NamedTuple):
    """What of the answer to a battle request is used further.

    Attributes:
        model: its name.
        version: its version.
        prediction_id: for feedback.
        move: the recommended attack.
        reply: the best reply to it.
        p: probability in [0, 1] that A wins with it.
    """

    model: str
    version: str
    prediction_id: str
    move: str
    reply: str
    p: float


class Scored(NamedTuple):
    """An answer to rows, of any door of the Open Inference Protocol.

    Attributes:
        ident: the request's id, as it came back.
        model: name of the model that answered.
        version: its version.
        shape: of the probabilities.
        probabilities: of all rows, one after another; of each row that of "B wins", then that of "A wins".
        prediction_ids: one a row, or none.
    """

    ident: str
    model: str
    version: str
    shape: list[int]
    probabilities: Sequence[float]
    prediction_ids: list[str]


def check_battle(battle: Battle, answer: Any) -> Ranking:
    """Check the answer to a battle request.

    Args:
        battle: what was asked.
        answer: decoded JSON.

    Raises:
        WrongAnswer: a field is missing, a probability is none, or other attacks are named than were asked.
    """
    try:
        ranking = Ranking(
            model=_word(answer["model"]["name"], "model"),
            version=_word(answer["model"]["version"], "model version"),
            prediction_id=_word(answer["prediction_id"], "prediction id"),
            move=answer["recommended_move"],
            reply=answer["all_moves"][0]["best_reply"],
            p=_probability(answer["win_probability"]),
        )
        ranked = [(move["move"], _probability(move["win_probability"])) for move in answer["all_moves"]]
        means = [_probability(move["mean_win_probability"]) for move in answer["all_moves"]]
        replies = {move["best_reply"] for move in answer["all_moves"]}
    except (KeyError, IndexError, TypeError) as error:
        raise WrongAnswer("a field is missing", f"{error!r} in {str(answer)[:200]}") from error
    _same(sorted(name for name, _ in ranked), sorted(battle.moves_a), "other attacks than were asked")
    if not replies <= set(battle.moves_b):
        raise WrongAnswer("replies that were not asked", f"{sorted(replies)} for {battle.pokemon_b}")
    _same((ranking.move, ranking.p), ranked[0], "recommends another attack than it ranks first")
    if any(later > earlier for (_, earlier), (_, later) in itertools.pairwise(ranked)):
        raise WrongAnswer("attacks are not ranked by their probability", str(ranked))
    if any(mean < worst - _SUM_TOLERANCE for (_, worst), mean in zip(ranked, means, strict=True)):
        raise WrongAnswer("a worst case above the mean", str(answer)[:200])
    return ranking


def check_rows(ident: str, rows: Sequence[Pairing], scored: Scored) -> None:
    """Check the answer to rows.

    Raises:
        WrongAnswer: it is another request's, has other rows, or holds something that is no probability.
    """
    _same(scored.ident, ident, "another request's id")
    _word(scored.model, "model")
    _word(scored.version, "model version")
    _same(scored.shape, [len(rows), 2], "probabilities of another shape")
    _same(len(scored.probabilities), 2 * len(rows), "another number of probabilities than its shape says")
    for b_wins, a_wins in zip(scored.probabilities[::2], scored.probabilities[1::2], strict=True):
        if abs(_probability(a_wins) + _probability(b_wins) - 1) > _SUM_TOLERANCE:
            raise WrongAnswer("probabilities that do not sum to 1", f"{b_wins} and {a_wins}")
    _same(len(scored.prediction_ids), len(rows) if len(rows) <= IDS_UP_TO else 0, "another number of prediction ids")


def check_feedback(answer: Any) -> None:
    """Check the answer to one outcome, as decoded JSON; raises WrongAnswer where it was not counted."""
    try:
        status = answer["results"][0]["status"]
    except (KeyError, IndexError, TypeError) as error:
        raise WrongAnswer("a field is missing", f"{error!r} in {str(answer)[:200]}") from error
    _same(status, "counted", "an outcome that was not counted")


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise WrongAnswer(f"no {what}", repr(value)[:200])
    return value


def _probability(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise WrongAnswer("a probability outside of [0, 1]", repr(value)[:200])
    return float(value)


def _same(found: object, wanted: object, otherwise: str) -> None:
    if found != wanted:
        raise WrongAnswer(otherwise, f"{found!r:.100} where {wanted!r:.100} was asked")
