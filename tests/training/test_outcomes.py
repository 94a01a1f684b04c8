"""Counts of replays: what they mean, and which are refused."""

import numpy as np
import pytest

from training.outcomes import Outcomes, check_probabilities, favourite


def test_a_draw_counts_half_a_win() -> None:
    outcomes = Outcomes.of([[2, 1]], [[0, 1]], 4)
    assert outcomes.frequency.tolist() == [0.875]
    assert outcomes.half(0).tolist() == [1.0]
    assert outcomes.half(1).tolist() == [0.75]


def test_variance_is_the_sample_variance_of_the_scores() -> None:
    outcomes = Outcomes.of([[2, 1]], [[0, 1]], 4)
    assert outcomes.variance == pytest.approx([np.var([1, 1, 1, 0.5], ddof=1)])


def test_take_selects_pairings() -> None:
    outcomes = Outcomes.of([[2, 1], [0, 0]], [[0, 1], [0, 0]], [4, 4])
    assert outcomes.take(np.array([False, True])).frequency.tolist() == [0]


@pytest.mark.parametrize(
    ("wins", "draws", "replays", "sentence"),
    [
        ([[1, 1, 1]], [[0, 0, 0]], 6, "shape"),
        ([[1, 1]], [[0, 0], [0, 0]], 4, "shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), 4, "no replayed pairings"),
        ([[1, 1]], [[0, 0]], 5, "even number"),
        ([[1, 1]], [[0, 0]], 0, "even number"),
        ([[-1, 1]], [[0, 0]], 4, "fit into half"),
        ([[2, 0]], [[1, 0]], 4, "fit into half"),
        ([[1, 1], [1, 1]], [[0, 0], [0, 0]], [4, 6], "equally often"),
    ],
)
def test_counts_that_cannot_be_are_refused(wins: object, draws: object, replays: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Outcomes.of(wins, draws, replays)  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [float("nan"), -0.1, 1.1, float("inf")])
def test_what_is_no_probability_is_refused(answer: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        check_probabilities(np.array([answer]), Outcomes.of([[1, 1]], [[0, 0]], 4))


def test_answers_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="1 replayed pairings"):
        check_probabilities(np.array([0.5, 0.5]), Outcomes.of([[1, 1]], [[0, 0]], 4))


def test_an_even_answer_bets_on_neither_side() -> None:
    assert favourite(np.array([0.2, 0.5, 0.8])).tolist() == [0, 0.5, 1]
