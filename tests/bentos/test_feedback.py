import json
import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.battle import features
from bentos.battle.adapter import BattleAdapter
from bentos.contract import Contract, Task
from bentos.core import Core
from bentos.errors import InvalidInput, PredictionRefused, RequestError, UnknownName
from bentos.feedback import Feedback, FeedbackAnswer, FeedbackItem, FeedbackList, Result, _Seen
from bentos.ids import Ids
from training.outcomes import Outcomes
from training.prepare import ReplaySet
from training.train import live_reference

KEY = bytes(range(32))
TWO, THREE = ["healthy", "ill"], ["a", "b", "c"]


Counted = tuple[str, str, float | None, float | None]
"""Version, result, Brier score and squared error."""


class Recorder:
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[Counted] = []

    def feedback(self, version: str, result: Result, brier: float | None, squared_error: float | None) -> None:
        self.counted.append((version, result, brier, squared_error))

    @property
    def results(self) -> list[str]:
        return [result for _, result, _, _ in self.counted]


class Door:
    """Feedback of one model, and what it counted."""

    def __init__(self, feedback: Feedback, sink: Recorder) -> None:
        self.feedback, self.sink = feedback, sink

    def __call__(self, body: Any) -> Any:
        answer = json.loads(self.feedback.answer(json.dumps(body).encode()))
        FeedbackAnswer.model_validate(answer)
        return answer

    def status(self, prediction_id: str, outcome: Any, **more: Any) -> str:
        answer = self({"prediction_id": prediction_id, "outcome": outcome, **more})
        (result,) = answer["results"]
        assert answer["accepted"] == 1
        assert result["prediction_id"] == prediction_id
        assert result["error"] is None
        status: str = result["status"]
        return status


@pytest.fixture
def duels(core: Core) -> Door:
    sink = Recorder()
    return Door(Feedback.of(core, sink), sink)


def approx(value: float) -> Any:
    return pytest.approx(value)


def door(contract: Contract, **more: Any) -> tuple[Door, Ids]:
    sink, ids = Recorder(), Ids([KEY])
    return Door(Feedback(contract, ids, sink, **more), sink), ids


def tabular(core: Core, task: Task, classes: list[str] | None, **changes: object) -> Contract:
    return core.contract.model_copy(update={"adapter": "tabular", "task": task, "classes": classes, **changes})


def ranked(core: Core, p: float, move_a: str = "thunderbolt", move_b: str = "surf") -> str:
    return core.ids.duel(core.contract, 1, move_a, 2, move_b, p=p)


PLAYED = {"move_a": "thunderbolt", "move_b": "surf"}


@pytest.mark.parametrize(
    ("p", "outcome", "result", "brier"),
    [
        (0.75, "a", "correct", 0.0625),
        (0.75, "b", "wrong", 0.5625),
        (0.25, "a", "wrong", 0.5625),
        (0.25, "b", "correct", 0.0625),
        (0.75, "draw", "half", (0.0625 + 0.5625) / 2),
        (0.5, "a", "correct", 0.25),
        (0.5, "b", "wrong", 0.25),
        (0.5, "draw", "half", 0.25),
    ],
)
def test_a_duel_is_scored(core: Core, duels: Door, p: float, outcome: str, *, result: str, brier: float) -> None:
    assert duels.status(ranked(core, p), outcome, **PLAYED) == "counted"
    assert duels.sink.counted == [(core.contract.version, result, approx(brier), None)]


def test_live_figures_are_those_that_the_contract_was_given(core: Core, duels: Door) -> None:
    """Sixty outcomes of each of 40 recommended pairings, one by one, against ``live_reference`` of the same."""
    rng = np.random.default_rng(5)
    n, replays = 40, 60
    p = np.round(rng.random(n), 2)
    p[:3] = 0.5
    wins = rng.integers(0, 20, (n, 2))
    draws = rng.integers(0, 11, (n, 2))
    codes = [np.ones(n, np.int32)] * 4
    matrix = features.Matrix(np.zeros((n, 1), np.float32), np.zeros(n, bool), np.zeros(n, bool))
    requests: Any = SimpleNamespace(request=np.arange(n, dtype=np.int32), move_a=codes[1], move_b=codes[3])
    told = live_reference(p, ReplaySet(requests, matrix, Outcomes(wins, draws, replays)))
    for row in range(n):
        won, drawn = int(wins[row].sum()), int(draws[row].sum())
        for outcome, times in (("a", won), ("draw", drawn), ("b", replays - won - drawn)):
            for _ in range(times):
                duels.status(ranked(core, p[row]), outcome, **PLAYED)
    results, briers = duels.sink.results, [brier for _, _, brier, _ in duels.sink.counted]
    assert len(results) == n * replays == told.from_outcomes
    accuracy = (results.count("correct") + results.count("half") / 2) / len(results)
    assert accuracy == pytest.approx(told.accuracy)
    assert np.mean(np.array(briers, float)) == pytest.approx(told.brier, abs=1e-6)


def test_an_answer_of_the_core_is_scored_by_what_it_said(core: Core, duels: Door) -> None:
    answer = core.battle("pikachu", "blastoise")
    best = answer.all_moves[0]
    played = {"move_a": best.move, "move_b": best.best_reply}
    assert duels.status(answer.prediction_id, "a", **played) == "counted"
    (counted,) = duels.sink.counted
    assert counted[2] == pytest.approx((1 - answer.win_probability) ** 2, abs=1e-6)


def test_attacks_may_be_named_as_in_a_request(core: Core, duels: Door) -> None:
    assert isinstance(core.adapter, BattleAdapter)
    dex = core.adapter.dex
    name = dex.attack_names[dex.attack("thunderbolt")]
    assert name != "thunderbolt"
    assert duels.status(ranked(core, 0.7), "a", move_a=name, move_b="SURF") == "counted"


@pytest.mark.parametrize(
    "played",
    [{**PLAYED, "move_a": "surf"}, {**PLAYED, "move_b": "tackle"}, {"move_a": "surf", "move_b": "thunderbolt"}],
)
def test_another_pairing_is_counted_apart(core: Core, duels: Door, played: dict[str, str]) -> None:
    ident = ranked(core, 0.75)
    assert duels.status(ident, "b", **played) == "other_pairing"
    assert duels.sink.counted == [(core.contract.version, "other_pairing", None, None)]
    assert duels.status(ident, "b", **PLAYED) == "duplicate"


def test_a_single_row_of_a_duel_recommends_nothing_and_is_counted_apart(core: Core, duels: Door) -> None:
    first, second = core.ids.rows(core.contract, np.array([0.75, 0.25]))
    assert duels.status(first, "a") == "other_pairing"
    assert duels.status(second, "b", **PLAYED) == "other_pairing"
    assert duels.sink.results == ["other_pairing"] * 2


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"move_a": None}, "move_a", "The field move_a is missing: a duel's outcome needs both attacks."),
        ({"move_b": None}, "move_b", "The field move_b is missing: a duel's outcome needs both attacks."),
        ({"outcome": "A"}, "outcome", 'The outcome of a duel is "a", "b" or "draw".'),
        ({"outcome": 1}, "outcome", 'The outcome of a duel is "a", "b" or "draw".'),
        ({"outcome": "a_wins"}, "outcome", 'The outcome of a duel is "a", "b" or "draw".'),
    ],
)
def test_a_duel_needs_an_outcome_and_both_attacks(
    core: Core, duels: Door, changes: dict[str, Any], field: str, sentence: str
) -> None:
    ident = ranked(core, 0.75)
    with pytest.raises(InvalidInput) as refused:
        duels({"prediction_id": ident, "outcome": "a", **PLAYED, **changes})
    assert str(refused.value) == sentence
    assert refused.value.details == [{"field": field}]
    assert duels.sink.results == ["refused"]
    # A refused outcome leaves the prediction open.
    assert duels.status(ident, "a", **PLAYED) == "counted"


def test_a_wrong_name_of_an_attack_is_told_whatever_the_other_one_is(core: Core, duels: Door) -> None:
    with pytest.raises(UnknownName, match=r"There is no attack called 'sruf'\.") as unknown:
        duels({"prediction_id": ranked(core, 0.75), "outcome": "a", "move_a": "tackle", "move_b": "sruf"})
    assert unknown.value.details[0]["field"] == "move_b"
    assert "surf" in str(unknown.value.details[0]["did_you_mean"]).lower()


def test_an_attack_that_only_another_versions_dex_has_counts(core: Core, duels: Door) -> None:
    ident = ranked(core, 0.75, "hypernova", "surf")
    assert duels.status(ident, "a", move_a="hypernova", move_b="surf") == "counted"


@pytest.mark.parametrize(
    ("p", "outcome", "result", "brier"),
    [(0.75, "ill", "correct", 0.0625), (0.75, "healthy", "wrong", 0.5625), (0.5, "ill", "correct", 0.25)],
)
def test_a_binary_row_is_scored(core: Core, p: float, outcome: str, result: str, brier: float) -> None:
    contract = tabular(core, Task.BINARY, TWO)
    feedback, ids = door(contract)
    assert feedback.status(ids.rows(contract, np.array([p]))[0], outcome) == "counted"
    assert feedback.sink.counted == [(contract.version, result, approx(brier), None)]


def test_a_row_of_several_classes_is_scored(core: Core) -> None:
    contract = tabular(core, Task.MULTICLASS, THREE)
    feedback, ids = door(contract)
    p = np.array([[0.25, 0.5, 0.25]] * 2)
    right, wrong = ids.rows(contract, p)
    feedback.status(right, "b")
    feedback.status(wrong, "c")
    assert feedback.sink.counted == [
        (contract.version, "correct", approx(0.25**2 + 0.5**2 + 0.25**2), None),
        (contract.version, "wrong", approx(0.25**2 + 0.5**2 + 0.75**2), None),
    ]


def test_more_classes_than_an_id_holds_are_right_or_wrong_without_a_brier_score(core: Core) -> None:
    contract = tabular(core, Task.MULTICLASS, [f"c{number}" for number in range(40)])
    feedback, ids = door(contract)
    p = np.full((2, 40), 0.01)
    p[:, 7] = 0.61
    right, wrong = ids.rows(contract, p)
    feedback.status(right, "c7")
    feedback.status(wrong, "c8")
    assert feedback.sink.counted == [(contract.version, "correct", None, None), (contract.version, "wrong", None, None)]


def test_a_value_is_scored(core: Core) -> None:
    contract = tabular(core, Task.REGRESSION, None)
    feedback, ids = door(contract)
    first, second = ids.rows(contract, np.array([1e6 + 0.5, -3.0]))
    feedback.status(first, 1_000_000)
    feedback.status(second, -1.5)
    assert feedback.sink.counted == [
        (contract.version, "scored", None, 0.25),
        (contract.version, "scored", None, 2.25),
    ]


@pytest.mark.parametrize(
    ("task", "classes", "answered", "body", "sentence"),
    [
        (Task.BINARY, TWO, [0.5], {"outcome": "dead"}, "The outcome must be the name of a class: healthy, ill."),
        (Task.BINARY, TWO, [0.5], {"outcome": 1}, "The outcome must be the name of a class: healthy, ill."),
        (Task.BINARY, TWO, [0.5], {"outcome": True}, "The outcome is text of up to 256 characters, or a number."),
        (
            Task.BINARY, TWO, [0.5], {"outcome": "ill", "move_b": "surf"},
            "move_a and move_b belong to duels, and this model answers none.",
        ),
        (Task.BINARY, TWO, [float("nan")], {"outcome": "ill"},
         "The model's answer was no number, so no outcome can be held against it."),
        (Task.REGRESSION, None, [0.5], {"outcome": "0.5"}, "The outcome of a regression is a number."),
        (Task.REGRESSION, None, [0.5], {"outcome": 1e60}, "The outcome is too far from any value that could be meant."),
        (Task.REGRESSION, None, [-1e308], {"outcome": 1e308},
         "The outcome is too far from any value that could be meant."),
        (Task.MULTICLASS, [f"c{n}" for n in range(21)], [[1 / 21] * 21], {"outcome": "c99"},
         "The outcome must be the name of a class: " + ", ".join(f"c{n}" for n in range(20)) + " and others."),
    ],
)  # fmt: skip
def test_an_outcome_that_does_not_fit_the_task_is_refused(
    core: Core, task: Task, classes: list[str] | None, *, answered: Any, body: dict[str, Any], sentence: str
) -> None:
    contract = tabular(core, task, classes)
    feedback, ids = door(contract)
    with pytest.raises(InvalidInput) as refused:
        feedback({"prediction_id": ids.rows(contract, np.array(answered))[0], **body})
    assert str(refused.value) == sentence
    assert feedback.sink.counted == [(contract.version, "refused", None, None)]


def test_the_second_outcome_of_a_prediction_changes_nothing(core: Core, duels: Door) -> None:
    ident = ranked(core, 0.75)
    assert [duels.status(ident, outcome, **PLAYED) for outcome in ("a", "a", "b")] == ["counted", *["duplicate"] * 2]
    assert duels.sink.results == ["correct", "duplicate", "duplicate"]
    assert duels.sink.counted[1] == (core.contract.version, "duplicate", None, None)


def test_of_threads_that_bring_the_same_outcome_one_is_counted() -> None:
    """The memory itself, since the work around it would keep threads from meeting in it."""
    often, threads_at_once, firsts = 20_000, 4, []
    seen, start, interval = _Seen(2 * often), threading.Barrier(threads_at_once), sys.getswitchinterval()

    def bring() -> None:
        start.wait()
        firsts.append(sum(seen.add(number) for number in range(often)))

    threads = [threading.Thread(target=bring) for _ in range(threads_at_once)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sum(firsts) == often


def test_what_is_remembered_is_bounded(core: Core) -> None:
    contract = tabular(core, Task.BINARY, TWO)
    feedback, ids = door(contract, remembered=10)
    texts = ids.rows(contract, np.full(40, 0.75))
    for text in texts:
        assert feedback.status(text, "ill") == "counted"
    # At least half of them are known yet, and one that is long gone is counted again: docs/feedback.md says so.
    assert [feedback.status(text, "ill") for text in texts[-5:]] == ["duplicate"] * 5
    assert feedback.status(texts[0], "ill") == "counted"
    seen = feedback.feedback._seen
    assert len(seen._new) + len(seen._old) <= 10


def test_an_id_of_another_version_counts_for_that_version(core: Core) -> None:
    contract = tabular(core, Task.BINARY, TWO)
    feedback, ids = door(contract)
    canary = contract.model_copy(update={"version": "8-canary"})
    (text,) = ids.rows(canary, np.array([0.75]))
    feedback.status(text, "ill")
    feedback.status(text, "ill")
    with pytest.raises(InvalidInput):
        feedback({"prediction_id": ids.rows(canary, np.array([0.75]))[0], "outcome": "dead"})
    assert [one[:2] for one in feedback.sink.counted] == [
        ("8-canary", "correct"), ("8-canary", "duplicate"), ("8-canary", "refused")
    ]  # fmt: skip


def test_an_id_that_was_not_signed_here_or_is_too_old_is_refused(core: Core) -> None:
    contract = tabular(core, Task.BINARY, TWO)
    sink, ids = Recorder(), Ids([KEY], max_age_seconds=-1)
    feedback = Door(Feedback(contract, ids, sink), sink)
    (forged,) = Ids([bytes(32)]).rows(contract, np.array([0.75]))
    (aged,) = ids.rows(contract, np.array([0.75]))
    for text, sentence in ((forged, "was not signed here"), (aged, "feedback is taken for"), ("x", "no prediction id")):
        with pytest.raises(PredictionRefused, match=sentence) as refused:
            feedback({"prediction_id": text, "outcome": "ill"})
        assert refused.value.code == "prediction_refused"
    assert sink.counted == [(contract.version, "refused", None, None)] * 3


def test_in_a_list_each_outcome_is_judged_by_itself(core: Core, duels: Door) -> None:
    good, apart = ranked(core, 0.75), ranked(core, 0.75)
    answer = duels(
        {
            "feedback": [
                {"prediction_id": good, "outcome": "a", **PLAYED},
                {"prediction_id": "forged", "outcome": "a", **PLAYED},
                {"prediction_id": apart, "outcome": "a", "move_a": "tackle", "move_b": "surf"},
                {"prediction_id": good, "outcome": "a", **PLAYED},
                {"outcome": "a"},
                "nothing",
                {"prediction_id": good, "outcome": "a", "move_aa": "surf", "x": 1},
            ]
        }
    )
    assert answer["accepted"] == 3
    assert [(result["status"], result["prediction_id"], result["error"]) for result in answer["results"]] == [
        ("counted", good, None),
        ("refused", "forged", "This is no prediction id of this model."),
        ("other_pairing", apart, None),
        ("duplicate", good, None),
        ("refused", None, "The field prediction_id is missing."),
        ("refused", None, "An outcome is a JSON object with prediction_id and outcome."),
        ("refused", good, "There is no field 'move_aa'. Did you mean move_a?"),
    ]
    assert sorted(duels.sink.results) == ["correct", "duplicate", "other_pairing", *["refused"] * 4]


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        (b"", RequestError, "The body is not JSON: "),
        (b'{"prediction_id": "x", "outcome": NaN}', RequestError, "The body is not JSON: "),
        (b"[" * 40 + b"]" * 40, InvalidInput, "The body is nested deeper than 32 levels."),
        (b"[]", InvalidInput, "An outcome is a JSON object with prediction_id and outcome."),
        (b"{}", InvalidInput, "The field prediction_id is missing."),
        (b'{"prediction_id": "x"}', InvalidInput, "The field outcome is missing."),
        (b'{"prediction_id": 7, "outcome": "a"}', InvalidInput, "prediction_id: "),
        (b'{"feedback": []}', InvalidInput, "feedback is a list of 1 to 100 outcomes."),
        (b'{"feedback": {}}', InvalidInput, "feedback is a list of 1 to 100 outcomes."),
        (b'{"feedback": [' + b"1," * 100 + b"1]}", InvalidInput, "feedback is a list of 1 to 100 outcomes."),
        (b'{"feedback": [{}], "outcome": "a"}', InvalidInput, "There is no field 'outcome' beside feedback."),
    ],
)
def test_a_body_that_is_no_feedback_is_refused(
    duels: Door, body: bytes, error: type[RequestError], sentence: str
) -> None:
    with pytest.raises(error) as refused:
        duels.feedback.answer(body)
    assert type(refused.value) is error
    assert str(refused.value).startswith(sentence)


def test_how_deep_a_body_may_be_is_given(core: Core) -> None:
    for feedback in (
        Feedback.of(core, Recorder(), nesting=4),
        Feedback(core.contract, core.ids, Recorder(), nesting=4),
    ):
        with pytest.raises(InvalidInput, match="deeper than 4 levels"):
            feedback.answer(b"[[[[[]]]]]")


ITEMS = st.fixed_dictionaries(
    {}, optional={name: st.none() | st.text() | st.floats() | st.integers() for name in FeedbackItem.model_fields}
)


@given(body=ITEMS | st.fixed_dictionaries({"feedback": st.lists(ITEMS, max_size=3)}) | st.from_type(object).map(str))
def test_no_body_breaks_it(core: Core, body: Any) -> None:
    feedback = Feedback.of(core, Recorder())
    try:
        FeedbackAnswer.model_validate_json(feedback.answer(json.dumps(body).encode()))
    except RequestError:
        return


@given(body=st.binary())
def test_no_bytes_break_it(core: Core, body: bytes) -> None:
    with pytest.raises(RequestError):
        Feedback.of(core, Recorder()).answer(body)


def test_a_cores_own_model_decides_what_names_are_known(core: Core) -> None:
    contract = tabular(core, Task.BINARY, TWO)
    other: Any = SimpleNamespace(contract=contract, ids=Ids(), adapter=None)
    sink = Recorder()
    feedback = Door(Feedback.of(other, sink), sink)
    assert feedback.status(other.ids.rows(contract, np.array([0.75]))[0], "ill") == "counted"


def test_the_examples_of_the_models_fit_them() -> None:
    for model in (FeedbackItem, FeedbackList, FeedbackAnswer):
        schema = model.model_json_schema()
        assert schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description") or "$ref" in str(field), name
    fields = FeedbackItem.model_json_schema()["properties"]
    for outcome in fields["outcome"]["examples"]:
        FeedbackItem(prediction_id=fields["prediction_id"]["examples"][0], outcome=outcome, move_a="a", move_b="b")
