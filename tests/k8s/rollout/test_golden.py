"""Golden pairs: label, score and truth, of what both answered."""

import gzip
import json
import threading
from typing import Any

import pytest

from k8s.rollout.api import Api
from k8s.rollout.errors import Held, Silent, Unreachable
from k8s.rollout.evidence import golden, versions
from k8s.rollout.evidence.golden import Said
from k8s.rollout.live import Pod
from tests.k8s.rollout.conftest import ApiServer

BATTLE: dict[str, Any] = {
    "request": {"pokemon_a": "a", "pokemon_b": "b", "available_moves_a": ["x", "y"], "available_moves_b": ["u", "v"]},
    "truth": {"replays": 100, "win_rates": [[0.9, 0.2], [0.6, 0.5]]},
}
TABULAR: dict[str, Any] = {"request": {"records": [{"age": 3}]}, "truth": {"outcome": "yes"}}


def test_the_best_attack_is_best_against_the_best_reply() -> None:
    assert golden.right_of(BATTLE, Said("y", 0.5))
    assert not golden.right_of(BATTLE, Said("x", 0.9))
    assert golden.right_of(TABULAR, Said("yes", 0.5))
    assert not golden.right_of({**TABULAR, "truth": {"outcome": 3.0}}, Said("", 3.0))


def test_pairs_of_what_both_answered() -> None:
    answers: list[tuple[Said | str, Said | str]] = [
        (Said("y", 0.5, "1"), Said("y", 0.6, "2")),
        (Said("y", 0.5, "1"), Said("x", 0.2, "2")),
        (Said("x", 0.5, "1"), Said("y", 0.5, "2")),
        ("no", Said("x", 0.9, "2")),  # what stable does not answer says nothing
        (Said("y", 0.5, "1"), "422"),
    ]
    found = golden.judge([BATTLE] * 5, answers)
    pairs = found.golden.pairs
    assert (pairs.pairs, pairs.flips) == (3, 2)
    assert pairs.difference_sum == pytest.approx(0.1 - 0.3)
    assert pairs.difference_squares == pytest.approx(0.01 + 0.09)
    assert (found.golden.stable_only_right, found.golden.canary_only_right) == (1, 1)
    assert (found.refused, found.sentence, found.versions) == (1, "422", frozenset({"2"}))


def test_stable_that_answers_nothing_is_no_evidence() -> None:
    with pytest.raises(Unreachable, match="none of its 1"):
        golden.judge([BATTLE], [("refused", Said("y", 1.0))])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": "yes", "probabilities": {"no": 0.2, "yes": 0.8}}, Said("yes", 0.8, "7")),
        ({"label": "no", "probabilities": {"no": 0.7, "yes": 0.3}}, Said("no", 0.3, "7")),
        ({"label": "b", "probabilities": {"a": 0.2, "b": 0.5, "c": 0.3}}, Said("b", 0.5, "7")),
        ({"value": 4.5}, Said("", 4.5, "7")),
    ],
)
def test_answers_of_tabular_models(row: dict[str, Any], said: Said) -> None:
    assert golden.read({"predictions": [row], "model": {"name": "m", "version": "7"}}) == said


def test_both_tracks_are_asked_under_a_mark(api: Api, server: ApiServer) -> None:
    there = [Pod(name, track, name, 0, ready=True, trouble=None) for name, track in (("s", "stable"), ("c", "canary"))]
    base = "/api/v1/namespaces/models/pods/{}:{}/proxy{}"
    text = json.dumps({"format": 1, "requests": [BATTLE]}).encode()
    server.answers[base.format("s", 3002, "/golden")] = (200, gzip.compress(text))
    for name, version in (("s", "1"), ("c", "2")):
        given = json.dumps({"mark": f"mark-of-{name}", "header": "x-pdx-cohort", "expires": 1}).encode()
        server.answers[base.format(name, 3002, "/mark/golden")] = (200, given)
        said = {"recommended_move": "y", "win_probability": 0.5, "model": {"name": "m", "version": version}}
        server.answers[base.format(name, 3000, "/predict/battle")] = (200, json.dumps(said).encode())
    rows = golden.rows(api, there[0])
    assert rows == [BATTLE]
    found = golden.compare(api, there[0], there[1], rows)
    assert found.versions == frozenset({"2"})
    marks = {headers.get("x-pdx-cohort") for _, path, headers, _ in server.asked if path.endswith("/predict/battle")}
    assert marks == {"mark-of-s", "mark-of-c"}
    assert {method for method, path, _, _ in server.asked if path.endswith("/mark/golden")} == {"POST"}


BASE = "/api/v1/namespaces/models/pods/c:3000/proxy/predict/battle"
CANARY = Pod("c", "canary", "c", 0, ready=True, trouble=None)


@pytest.mark.parametrize(
    "said",
    [
        (200, b"null"), (200, b"<html>"), (200, b'{"model": {"version": "2"}, "predictions": []}'),
        (200, b'{"model": {"version": "2"}, "recommended_move": "y", "win_probability": null}'),
        (200, b'{"model": {"version": "2"}, "recommended_move": "y", "win_probability": NaN}'),
        (503, b"[]"), (422, b'{"error": "no such move"}'),
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_a_refusal(api: Api, server: ApiServer, said: tuple[int, bytes]) -> None:
    server.answers[BASE] = said
    found = golden.say(api, CANARY, BATTLE["request"], {})
    assert isinstance(found, str)
    assert "c answered /predict/battle with" in found


def test_what_the_api_server_says_of_a_pod_that_goes_is_no_refusal(api: Api, server: ApiServer) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "message": "error trying to reach service: connection refused"}
    server.answers[BASE] = (503, json.dumps(status).encode())
    with pytest.raises(Unreachable, match="connection refused"):
        golden.say(api, CANARY, BATTLE["request"], {})


def test_no_answer_is_no_refusal(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def silent(*_: Any) -> None:
        tries.append(1)
        raise Unreachable("no answer")

    monkeypatch.setattr(Api, "send", silent)
    with pytest.raises(Unreachable):
        golden.say(api, CANARY, BATTLE["request"], {})
    assert len(tries) == 3


def test_a_canary_that_answers_nothing_is_told_from_a_stable_that_does_not(
    api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable = Pod("s", "stable", "s", 0, ready=True, trouble=None)
    mark = (200, b'{"mark": "m", "header": "x-pdx-cohort", "expires": 1}')
    said = {"recommended_move": "y", "win_probability": 0.5, "model": {"name": "m", "version": "1"}}
    place = "/api/v1/namespaces/models/pods/{}:{}/proxy{}"
    for name in "sc":
        server.answers[place.format(name, 3002, "/mark/golden")] = mark
    hangs = threading.Event()

    def nothing(_: bytes) -> tuple[int, bytes]:
        hangs.wait(5)
        return 200, b""

    monkeypatch.setattr(golden, "_ANSWER_S", 0.1)
    server.answers[place.format("c", 3000, "/predict/battle")] = nothing
    server.answers[place.format("s", 3000, "/predict/battle")] = (200, json.dumps(said).encode())
    with pytest.raises(Silent, match=r"^c gives no answer to a request that s answers: "):
        golden.compare(api, stable, CANARY, [BATTLE] * 400)
    # The other rows were not asked, each until its time was out.
    assert len([path for _, path, _, _ in server.asked if path.endswith("/c:3000/proxy/predict/battle")]) < 60
    server.answers[place.format("s", 3000, "/predict/battle")] = nothing
    with pytest.raises(Unreachable) as caught:
        golden.compare(api, stable, CANARY, [BATTLE])
    assert not isinstance(caught.value, Silent)
    hangs.set()


def contract(version: str, against: str | None, model: str = "battle", run: str = "r1") -> bytes:
    expectation = {
        "against_version": against, "pairs": 50_000, "flip_rate": 0.01,
        "mean_score_shift": 0.001, "score_shift_variance": 0.01,
    }  # fmt: skip
    whole = {
        "name": model, "version": version, "task": "binary", "expectation": expectation if against else None,
        "provenance": {"run_id": run},
    }  # fmt: skip
    return json.dumps(whole).encode()


@pytest.fixture
def versioned(api: Api, server: ApiServer) -> Any:
    def of(name: str, said: bytes) -> versions.Version:
        server.answers[f"/api/v1/namespaces/models/pods/{name}:3002/proxy/contract"] = (200, said)
        return versions.of(api, [Pod(name, "canary", name, 0, ready=True, trouble=None)], "canary")

    return of


def test_the_expectation_is_of_what_stable_runs(versioned: Any) -> None:
    stable = versioned("s", contract("1", None))
    found = versions.expected(stable, versioned("c", contract("2", "1")))
    assert found is not None
    assert found.flip_rate == 0.01
    assert versions.expected(stable, versioned("n", contract("2", None))) is None
    with pytest.raises(Held, match="against version 0, and stable runs version 1"):
        versions.expected(stable, versioned("o", contract("2", "0")))
    assert versions.expected(stable, versioned("e", contract("1", None))) is None
    with pytest.raises(Held, match="of the runs r1 and r2"):
        versions.expected(stable, versioned("r", contract("1", None, run="r2")))
    with pytest.raises(Held, match="holds the model other"):
        versions.expected(stable, versioned("m", contract("2", "1", "other")))


def test_pods_of_two_versions_are_none(api: Api, server: ApiServer) -> None:
    there = [Pod(name, "canary", name, 0, ready=True, trouble=None) for name in ("a", "b")]
    for name in ("a", "b"):
        server.answers[f"/api/v1/namespaces/models/pods/{name}:3002/proxy/contract"] = (200, contract(name, None))
    with pytest.raises(Unreachable, match="a, b"):
        versions.of(api, there, "canary")
