import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bentos.battle.schemas import BattleAnswer, RankedMove
from bentos.core import Core
from bentos.errors import NotFound
from bentos.http import Request
from bentos.metrics import ROUTES, Metrics
from bentos.rest import Rest
from bentos.settings import Settings
from bentos.state import State
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


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"pokemon_a": NaN}', b'{"a": 1} x'])
def test_what_is_no_json_is_refused(client: httpx.Client, body: bytes) -> None:
    refused(client.post("/predict/battle", content=body), 400, "bad_request")


@pytest.mark.parametrize("body", ["[]", "null", "1", '"pikachu"'])
def test_json_that_is_no_object_is_refused(client: httpx.Client, body: str) -> None:
    answer = refused(client.post("/predict/battle", content=body), 422, "invalid_input")
    assert answer["error"] == "The body must be a JSON object."


def raw(server: servers.Process, request: bytes) -> bytes:
    """Send bytes on a connection of their own, and read until it closes."""
    address = urlsplit(server.rest)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                answer += chunk
    return answer


def test_a_request_that_offers_an_upgrade_keeps_its_body(server: servers.Process) -> None:
    body = json.dumps(GOOD).encode()
    head = b"POST /predict/battle HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n"
    answer = raw(server, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"recommended_move" in answer
    assert "upgrade" not in server.text()


def test_headers_are_bounded(server: servers.Process) -> None:
    before = server.memory_mib()
    answer = raw(server, b"GET /docs HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (64 << 20))
    assert answer.startswith(b"HTTP/1.1 431")
    assert server.memory_mib() - before < 16


def test_a_length_of_thousands_of_digits_is_refused(server: servers.Process) -> None:
    head = b"POST /predict/battle HTTP/1.1\r\nHost: x\r\nContent-Length: "
    assert raw(server, head + b"9" * 5000 + b"\r\n\r\n{}").startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def asked(app: Rest, scope: dict[str, Any], body: bytes) -> tuple[int, dict[str, Any]]:
    """What the app answers, whatever its HTTP server would have let through."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "headers": [], "query_string": b"", **scope}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


async def broken(*_: object) -> None:
    raise ValueError("a bug")


def test_a_length_is_refused_whatever_its_server_lets_through() -> None:
    app = Rest(broken, state=State(), settings=Settings(), metrics=Metrics())
    scope = {"path": "/predict/battle", "headers": [(b"content-length", b"9" * 5000)]}
    status, body = asked(app, scope, b"{}")
    assert (status, body["code"]) == (413, "payload_too_large")


def test_every_route_is_a_known_label_of_the_metrics(core: Core) -> None:
    state = State()
    state.core = core
    app = Rest(broken, state=state, settings=Settings(), metrics=Metrics())
    app.refuse(Request("", "", "", {}), NotFound("There is no such route."))
    assert {route.template for route in app._table.values()} <= set(ROUTES["rest"])


def test_what_fails_in_the_other_app_is_answered_in_our_shape(core: Core) -> None:
    state = State()
    state.core = core
    app = Rest(broken, state=state, settings=Settings(), metrics=Metrics())
    status, body = asked(app, {"path": "/bento/predict_battle"}, json.dumps(GOOD).encode())
    assert (status, body["code"]) == (500, "internal")


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 4096):
        yield b" " * 4096


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/predict/battle", 32 << 10),
        ("/bento/predict_battle", 32 << 10),
        ("/feedback", 256 << 10),
        ("/predict", 4 << 20),
    ],
)
def test_a_long_body_is_refused_and_the_next_request_answered(client: httpx.Client, path: str, limit: int) -> None:
    padded = json.dumps(GOOD).encode()
    assert client.post(path, content=padded + b" " * (limit - len(padded))).status_code in {200, 422}
    body = refused(client.post(path, content=b" " * (limit + 1)), 413, "payload_too_large")
    assert body["details"] == [{"limit_bytes": limit}]
    # Without Content-Length the bytes are counted as they come.
    refused(client.post(path, content=chunks(limit + 8192)), 413, "payload_too_large")
    assert client.post("/predict/battle", json=GOOD).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/predictions", "/predict/battle/", "/readyz", "/metrics", "/schema.json", "/bento", "/bento/", "/bento/x"],
)
def test_any_other_path_is_not_found(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, "not_found")


def test_another_method_is_not_allowed(client: httpx.Client) -> None:
    response = client.get("/predict/battle")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_the_documentation_answers_head_without_a_body(client: httpx.Client) -> None:
    full, head = client.get("/docs"), client.head("/docs")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == full.headers["content-length"]
    assert client.post("/docs").headers["allow"] == "GET, HEAD"


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
    for file in ("swagger-ui.css", "swagger-ui-bundle.js"):
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


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"pokemon_a": "mew"}', b'{"pokemon_a": "mew", "b": "\xff"}'])
def test_bentomls_typed_route_refuses_a_wrong_body_as_ours_does(client: httpx.Client, body: bytes) -> None:
    ours, theirs = (client.post(path, content=body) for path in ("/predict/battle", "/bento/predict_battle"))
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


def test_bentomls_paths_refuse_other_methods(client: httpx.Client) -> None:
    for method, path, allow in (("GET", "/bento/predict_battle", "POST"), ("POST", "/docs.json", "GET, HEAD")):
        response = client.request(method, path)
        refused(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/vnd.bentoml+pickle", 415),
    ],
)
def test_bentomls_typed_route_takes_json_only(client: httpx.Client, content_type: str, status: int) -> None:
    body = json.dumps(GOOD).encode()
    response = client.post("/bento/predict_battle", content=body, headers={"content-type": content_type})
    assert response.status_code == status, response.text
    if status != 200:
        refused(response, status, "unsupported_media_type")
    without = client.post("/bento/predict_battle", content=body)
    assert without.status_code == 200


def test_a_thousand_faults_make_a_short_answer(client: httpx.Client) -> None:
    extra = {"k" * 7_000: 1, **{f"pokemon_a{i}": 1 for i in range(999)}}
    response = client.post("/predict/battle", json={**GOOD, **extra})
    body = refused(response, 422, "invalid_input")
    assert body["error"].endswith("(One of 1000 faults; the first 20 are in the details.)")
    assert len(body["details"]) == 20
    assert max(len(detail["field"]) for detail in body["details"]) == 64
    assert len(response.content) < 5000


@pytest.mark.parametrize("name", ["皮卡丘mew", "pika\u0000chu", "\u202epikachu", "pi\U0001f600kachu"])
def test_a_name_with_something_foreign_in_it_is_another_name(client: httpx.Client, name: str) -> None:
    refused(client.post("/predict/battle", json={**GOOD, "pokemon_a": name}), 422, "unknown_name")


@pytest.mark.parametrize("name", ["Nœunœuf", "noeunoeuf", "Nidoran♀", "Canarticho"])
def test_a_french_name_is_found(client: httpx.Client, name: str) -> None:
    assert client.post("/predict/battle", json={**GOOD, "pokemon_a": name}).status_code == 200
