"""Users: what they send, what they take for a right answer, and what they make of servers that misbehave."""

import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import deserialize_bytes_tensor

from loadtests.requests import Form, battles, load_attacks, stream
from loadtests.users import oip, rpc
from loadtests.users.answers import Scored, WrongAnswer, check_battle, check_feedback, check_rows

ROOT = Path(__file__).parents[2]
ATTACKS = load_attacks()
BATTLE = next(stream(ATTACKS, Form.FOUR))
ROWS = BATTLE.rows()
VALUES = "slo:\n  availability: {objective: 90}\n  latency: {threshold: 5, objective: 90}\n"


def right_answer(body: dict[str, Any], version: str = "1") -> dict[str, Any]:
    """What a server may answer to a battle request, for one that is not ours."""
    moves = body.get("available_moves_a") or ATTACKS[body["pokemon_a"]]
    replies = body.get("available_moves_b") or ATTACKS[body["pokemon_b"]]
    move = {"win_probability": 0.5, "mean_win_probability": 0.5, "best_reply": replies[0]}
    return {
        "recommended_move": moves[0],
        "win_probability": 0.5,
        "all_moves": [{"move": name, **move} for name in moves],
        "model": {"name": "battle", "version": version},
        "prediction_id": "x",
    }


# Answers


def test_a_right_answer_is_taken() -> None:
    ranking = check_battle(BATTLE, right_answer(BATTLE.body(), "7"))
    assert (ranking.model, ranking.version, ranking.p) == ("battle", "7", 0.5)
    assert (ranking.move, ranking.reply) == (BATTLE.moves_a[0], BATTLE.moves_b[0])


def changed(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda answer: {**answer, **changes}


def of_move(at: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    def change(answer: dict[str, Any]) -> object:
        moves = [dict(move) for move in answer["all_moves"]]
        moves[at].update(changes)
        return {**answer, "all_moves": moves}

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda _: [], "a field is missing"),
        (lambda answer: {**answer, "all_moves": []}, "a field is missing"),
        (lambda answer: {**answer, "all_moves": answer["all_moves"][:3]}, "other attacks than were asked"),
        (of_move(3, move="splash"), "other attacks than were asked"),
        (of_move(2, best_reply="splash"), "replies that were not asked"),
        (of_move(1, win_probability=0.6, mean_win_probability=0.7), "attacks are not ranked"),
        (of_move(1, mean_win_probability=0.4), "a worst case above the mean"),
        (of_move(1, win_probability=None), "a probability outside"),
        (changed(win_probability=0.4), "recommends another attack than it ranks first"),
        (changed(win_probability=1.01), "a probability outside"),
        (changed(win_probability=float("nan")), "a probability outside"),
        (changed(win_probability=True), "a probability outside"),
        (changed(recommended_move=BATTLE.moves_a[1]), "recommends another attack than it ranks first"),
        (changed(model={"name": "battle"}), "a field is missing"),
        (changed(model={"name": "battle", "version": ""}), "no model version"),
        (changed(prediction_id=None), "no prediction id"),
    ],
)
def test_a_wrong_answer_is_told_apart(change: Callable[[dict[str, Any]], object], kind: str) -> None:
    with pytest.raises(WrongAnswer, match=kind):
        check_battle(BATTLE, change(right_answer(BATTLE.body())))


SCORED = Scored("q", "battle", "1", [16, 2], (0.25, 0.75) * 16, ["x"] * 16)


@pytest.mark.parametrize(
    ("scored", "kind"),
    [
        (SCORED._replace(ident="other"), "another request's id"),
        (SCORED._replace(model=""), "no model"),
        (SCORED._replace(version=""), "no model version"),
        (SCORED._replace(shape=[2, 16]), "another shape"),
        (SCORED._replace(probabilities=(0.25, 0.75) * 15), "another number of probabilities"),
        (SCORED._replace(probabilities=(0.25, 0.74) * 16), "do not sum to 1"),
        (SCORED._replace(probabilities=(-0.5, 1.5) * 16), "outside of"),
        (SCORED._replace(prediction_ids=["x"]), "another number of prediction ids"),
    ],
)
def test_wrong_scores_are_told_apart(scored: Scored, kind: str) -> None:
    check_rows("q", ROWS, SCORED)
    with pytest.raises(WrongAnswer, match=kind):
        check_rows("q", ROWS, scored)


def test_an_outcome_must_be_counted() -> None:
    check_feedback({"accepted": 1, "results": [{"status": "counted"}]})
    wrong: list[Any] = [{"accepted": 0, "results": [{"status": "refused"}]}, {"accepted": 0, "results": []}, []]
    for answer in wrong:
        with pytest.raises(WrongAnswer):
            check_feedback(answer)


# Messages


def test_a_binary_request_is_what_triton_sends() -> None:
    message = oip.as_binary("q", ROWS)
    inputs = []
    for name, values in zip(ROWS[0]._fields, zip(*ROWS, strict=True), strict=True):
        tensor = InferInput(name, [16, 1], "BYTES")
        tensor.set_data_from_numpy(np.array(values, np.object_).reshape(16, 1))
        inputs.append(tensor)
    theirs, length = InferenceServerClient.generate_request_body(inputs, request_id="q")
    ours = int(message.headers["Inference-Header-Content-Length"])
    assert message.body[ours:] == theirs[length:]
    assert json.loads(message.body[:ours])["inputs"] == json.loads(theirs[:length])["inputs"]


def test_a_json_request_holds_every_row() -> None:
    sent = json.loads(oip.as_json("q", ROWS).body)
    assert sent["id"] == "q"
    assert [tensor["shape"] for tensor in sent["inputs"]] == [[16, 1]] * 4
    assert list(zip(*(tensor["data"] for tensor in sent["inputs"]), strict=True)) == ROWS


def test_a_grpc_request_holds_every_row() -> None:
    sent = service_pb2.ModelInferRequest.FromString(rpc.request("battle", "q", ROWS).SerializeToString())
    assert (sent.model_name, sent.id) == ("battle", "q")
    tensors = [[value.decode() for value in deserialize_bytes_tensor(raw)] for raw in sent.raw_input_contents]
    assert list(zip(*tensors, strict=True)) == ROWS


def answer_of(output: dict[str, Any], rest: bytes = b"") -> tuple[bytes, dict[str, str]]:
    head = {
        "id": "q",
        "model_name": "battle",
        "model_version": "1",
        "parameters": {"prediction_ids": ",".join(["x"] * 16)},
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [16, 2], **output}],
    }
    text = json.dumps(head).encode()
    return text + rest, {"inference-header-content-length": str(len(text))} if rest else {}


PACKED = struct.pack("<32f", *SCORED.probabilities)


def test_answers_of_all_forms_are_read_alike() -> None:
    as_json = oip.scored(*answer_of({"data": list(SCORED.probabilities)}))
    as_binary = oip.scored(*answer_of({"parameters": {"binary_data_size": 128}}, PACKED))
    message = service_pb2.ModelInferResponse(id="q", model_name="battle", model_version="1")
    message.parameters["prediction_ids"].string_param = ",".join(["x"] * 16)
    output = message.outputs.add(name="probabilities", datatype="FP32", shape=[16, 2])
    output.contents.fp32_contents.extend(SCORED.probabilities)
    typed = rpc.scored(message)
    output.ClearField("contents")
    message.raw_output_contents.append(PACKED)
    for scored in (as_json, as_binary, typed, rpc.scored(message)):
        assert scored._replace(probabilities=tuple(scored.probabilities)) == SCORED


@pytest.mark.parametrize(
    ("output", "rest"),
    [
        ({"data": None, "name": "scores"}, b""),
        ({}, b""),
        ({"parameters": {"binary_data_size": 127}}, PACKED[:127]),
        ({"parameters": {"binary_data_size": 128}}, PACKED + b"left"),
        ({"parameters": {"binary_data_size": 128}, "datatype": "FP64"}, PACKED),
    ],
)
def test_an_answer_that_cannot_be_read_is_wrong(output: dict[str, Any], rest: bytes) -> None:
    with pytest.raises(WrongAnswer):
        oip.scored(*answer_of(output, rest))


# Whole runs, against servers that are not ours


@contextmanager
def serving(answer: Callable[[int, dict[str, Any]], tuple[int, bytes] | None]) -> Iterator[tuple[str, list[float]]]:
    """A server of the battle route; ``answer`` gets the number of the request and its body. Yields URL and arrivals."""
    arrivals: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arrivals.append(time.monotonic())
            made = answer(len(arrivals), body)
            if made is None:
                self.close_connection = True
                return
            self.send_response(made[0])
            self.send_header("Content-Length", str(len(made[1])))
            self.end_headers()
            self.wfile.write(made[1])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", arrivals
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command(url: str, folder: Path, seconds: float, *more: str) -> list[str]:
    (folder / "values.yaml").write_text(VALUES)
    files = ["--slo", str(folder / "values.yaml"), "--out", str(folder / "out")]
    run = ["--host", url, "--doors", "battle", "--users", "2", "--seconds", str(seconds), "--feedback", "0", *more]
    return [sys.executable, "-W", "error", "-m", "loadtests", *run, *files]


def gate(url: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    run = command(url, folder, 2, *more)
    return subprocess.run(run, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)


def encoded(answer: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps(answer).encode()


def test_a_server_that_fails_some_requests_does_not_pass(tmp_path: Path) -> None:
    failures: list[tuple[str, Callable[[dict[str, Any]], tuple[int, bytes] | None]]] = [
        ("wrong answer: a probability outside", lambda body: encoded({**right_answer(body), "win_probability": 2})),
        ("wrong answer: no JSON", lambda _: (200, b"<html>")),
        ("HTTP 503 overloaded", lambda _: (503, b'{"error": "full", "code": "overloaded"}')),
        ("no answer: ", lambda _: None),
    ]

    def answer(n: int, body: dict[str, Any]) -> tuple[int, bytes] | None:
        return encoded(right_answer(body)) if n % 12 >= len(failures) else failures[n % 12][1](body)

    with serving(answer) as (url, arrivals):
        outcome = gate(url, tmp_path)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    table = (tmp_path / "out/failures.csv").read_text()
    for reason, _ in failures:
        assert reason in outcome.stdout
        assert reason in table
    verdict = json.loads((tmp_path / "out/verdict.json").read_text())
    assert verdict["requests"] == len(arrivals)
    assert verdict["failed"] == sum(n % 12 < len(failures) for n in range(1, len(arrivals) + 1))
    right = verdict["requests"] - verdict["failed"]
    assert verdict["versions"] == [{"model": "battle", "version": "1", "answers": right}]


def test_it_sends_the_published_requests_and_tells_which_versions_answered(tmp_path: Path) -> None:
    bodies: list[str] = []

    def answer(n: int, body: dict[str, Any]) -> tuple[int, bytes]:
        bodies.append(json.dumps(body))
        return encoded(right_answer(body, "8" if n % 4 == 0 else "7"))

    with serving(answer) as (url, arrivals):
        outcome = gate(url, tmp_path, "--seed", "5")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    published = [json.dumps(battle.body()) for battle in itertools.islice(battles(ATTACKS, 5), len(arrivals))]
    assert sorted(bodies) == sorted(published)
    newer = len(arrivals) // 4
    assert f"battle 7 gave {len(arrivals) - newer:,} answers" in outcome.stdout
    assert f"battle 8 gave {newer:,} answers" in outcome.stdout


def test_users_keep_their_pace(tmp_path: Path) -> None:
    with serving(lambda _, body: encoded(right_answer(body))) as (url, arrivals):
        gate(url, tmp_path, "--pace", "10")
    assert 20 <= len(arrivals) <= 50


def test_a_run_that_is_stopped_judges_nothing(tmp_path: Path) -> None:
    with serving(lambda _, body: encoded(right_answer(body))) as (url, arrivals):
        run = command(url, tmp_path, 60)
        process = subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        while len(arrivals) < 100:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        shown, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said == "The run was stopped before its time, so it judges nothing.\n"
    assert "no failures" in shown
    assert (tmp_path / "out/report.html").exists()
