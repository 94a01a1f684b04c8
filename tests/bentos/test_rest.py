import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bentos.battle.schemas import BattleAnswer, RankedMove
from bentos.core import Core
from tests import servers

GOOD = {"pokemon_a": "pikachu", "pokemon_b": "Tortank"}


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"error", "code", "details"}
    assert body["code"] == code
    assert body["error"].endswith((".", "?", ")"))
    return body


def test_the_answer_is_the_cores(client: httpx.Client, core: Core) -> None:
    response = client.post("/predict/battle", json=GOOD)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    expected = core.battle("pikachu", "blastoise")
    assert answer["all_moves"] == [move.model_dump() for move in expected.all_moves]
    assert answer["recommended_move"] == expected.recommended_move
    assert answer["win_probability"] == expected.win_probability
    assert answer["model"] == {"name": "battle", "version": "1"}
    assert set(answer) == set(BattleAnswer.model_fields)
    assert set(answer["all_moves"][0]) == set(RankedMove.model_fields)


def test_each_answer_has_an_id_of_its_own(client: httpx.Client) -> None:
    ids = {client.post("/predict/battle", json=GOOD).json()["prediction_id"] for _ in range(5)}
    assert len(ids) == 5


def test_available_attacks_limit_the_answer(client: httpx.Client) -> None:
    body = {**GOOD, "available_moves_a": ["Iron Tail", "thunderbolt"], "available_moves_b": ["surf"]}
    moves = client.post("/predict/battle", json=body).json()["all_moves"]
    assert {move["move"] for move in moves} == {"irontail", "thunderbolt"}
    assert {move["best_reply"] for move in moves} == {"surf"}
    assert all(move["win_probability"] == move["mean_win_probability"] for move in moves)


def test_the_two_sides_of_a_duel_add_up_to_one(client: httpx.Client) -> None:
    def ask(a: str, move_a: str, b: str, move_b: str) -> float:
        body = {"pokemon_a": a, "pokemon_b": b, "available_moves_a": [move_a], "available_moves_b": [move_b]}
        return float(client.post("/predict/battle", json=body).json()["win_probability"])

    forward = ask("pikachu", "thunderbolt", "onix", "earthquake")
    assert forward + ask("onix", "earthquake", "pikachu", "thunderbolt") == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"pokemon_a": "pikachuu"}, "unknown_name", "pokemon_a"),
        ({"available_moves_b": ["surff"]}, "unknown_name", "available_moves_b"),
        ({"available_moves_a": ["surf", "hydropump"]}, "invalid_input", "available_moves_a"),
        ({"pokemon_b": "ditto"}, "invalid_input", "pokemon_b"),
        ({"pokemon_b": 7}, "invalid_input", "pokemon_b"),
        ({"pokemon_b": ""}, "invalid_input", "pokemon_b"),
        ({"pokemon_b": "x" * 65}, "invalid_input", "pokemon_b"),
        ({"available_moves_a": []}, "invalid_input", "available_moves_a"),
        ({"available_moves_a": ["surf"] * 51}, "invalid_input", "available_moves_a"),
        ({"available_moves_a": ["thunder", "Thunder"]}, "invalid_input", "available_moves_a"),
        ({"pokemonA": "pikachu"}, "invalid_input", "pokemonA"),
    ],
)
def test_a_request_that_cannot_be_answered_names_the_field(
    client: httpx.Client, change: dict[str, Any], code: str, field: str
) -> None:
    body = refused(client.post("/predict/battle", json={**GOOD, **change}), 422, code)
    assert body["details"][0]["field"] == field


def test_nearest_names_are_in_the_sentence_and_in_the_details(client: httpx.Client) -> None:
    body = refused(client.post("/predict/battle", json={**GOOD, "pokemon_a": "pikachuu"}), 422, "unknown_name")
    assert "pikachu" in body["error"]
    assert "pikachu" in body["details"][0]["did_you_mean"]


def test_a_missing_field_is_named(client: httpx.Client) -> None:
    body = refused(client.post("/predict/battle", json={"pokemon_a": "pikachu"}), 422, "invalid_input")
    assert body["error"] == "The field pokemon_b is missing."


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"pokemon_a": NaN}', b"[" * 5000, b'{"a": 1} x'])
def test_what_is_no_json_is_refused(client: httpx.Client, body: bytes) -> None:
    refused(client.post("/predict/battle", content=body), 400, "bad_request")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"pikachu"'])
def test_json_that_is_no_object_is_refused(client: httpx.Client, body: str) -> None:
    answer = refused(client.post("/predict/battle", content=body), 422, "invalid_input")
    assert answer["error"] == "The body must be a JSON object."


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 4096):
        yield b" " * 4096


@pytest.mark.parametrize("path", ["/predict/battle", "/bento/predict_battle"])
def test_a_long_body_is_refused_and_the_next_request_answered(client: httpx.Client, path: str) -> None:
    limit = 1 << 20
    padded = json.dumps(GOOD).encode()
    assert client.post("/predict/battle", content=padded + b" " * (limit - len(padded))).status_code == 200
    body = refused(client.post(path, content=b" " * (limit + 1)), 413, "payload_too_large")
    assert body["details"] == [{"limit_bytes": limit}]
    # Without Content-Length the bytes are counted as they come.
    refused(client.post(path, content=chunks(limit + 8192)), 413, "payload_too_large")
    assert client.post("/predict/battle", json=GOOD).status_code == 200


@pytest.mark.parametrize("path", ["/", "/predict", "/predict/battle/", "/readyz", "/metrics", "/schema.json", "/bento"])
def test_any_other_path_is_not_found(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, "not_found")


def test_another_method_is_not_allowed(client: httpx.Client) -> None:
    response = client.get("/predict/battle")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_a_client_that_hangs_up_in_its_body_leaves_no_trace(server: servers.Process) -> None:
    address = urlsplit(server.rest)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"POST /predict/battle HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        # Taken up after the one before, on a connection of its own.
        assert httpx.post(f"{server.rest}/predict/battle", json=GOOD).status_code == 200
    assert "Traceback" not in server.text()


def test_connections_are_kept_for_the_next_request(client: httpx.Client) -> None:
    response = client.post("/predict/battle", json=GOOD)
    assert "connection" not in response.headers


def test_the_documentation_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    for file in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"):
        assert client.get(f"/static_content/{file}").status_code == 200
    assert "/bento/predict_battle" in client.get("/docs.json").json()["paths"]


def test_bentomls_typed_route_gives_the_same_answer(client: httpx.Client) -> None:
    ours, theirs = (client.post(path, json=GOOD).json() for path in ("/predict/battle", "/bento/predict_battle"))
    assert {**ours, "prediction_id": ""} == {**theirs, "prediction_id": ""}


def test_bentomls_typed_route_refuses_as_ours_does(client: httpx.Client) -> None:
    body = {**GOOD, "available_moves_a": ["hydropump"]}
    ours, theirs = (client.post(path, json=body) for path in ("/predict/battle", "/bento/predict_battle"))
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
    refused(theirs, 422, "invalid_input")
