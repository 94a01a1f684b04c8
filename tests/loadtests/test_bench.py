"""The benchmark's own logic; nothing here is timed."""

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import pytest
import xgboost as xgb

from loadtests.bench import __main__ as command_line
from loadtests.bench import battle, check, machine, measure, model, payloads, report, servers, wire
from loadtests.bench.catalogue import ALL, Contender, Door
from loadtests.bench.environments import last_line
from loadtests.bench.figures import Reach, figures, p99, ratio, rps, spread
from loadtests.bench.load import Generators, Load, LoadError, read_ghz, read_wrk
from loadtests.bench.measure import BATCH, ONE_ROW, OWN, Key, Measured, Results
from loadtests.bench.places import CONTENDERS, Cores, default_cores
from loadtests.bench.soak import Soak

WRK = """Running 3s test @ http://127.0.0.1:1/
  1 threads and 16 connections
  34263 requests in 3.00s, 5.46MB read

{"requests": 34263, "duration_us": 3000000, "p50_us": 1250, "p99_us": 2760, "max_us": 9000, "status": 0, "socket": 0}
"""
GHZ: dict[str, Any] = {
    "count": 4000,
    "rps": 1990.5,
    "errorDistribution": {},
    "statusCodeDistribution": {"OK": 4000},
    "latencyDistribution": [
        {"percentage": 50, "latency": 2_500_000},
        {"percentage": 95, "latency": 4_000_000},
        {"percentage": 99, "latency": 7_250_000},
    ],
}
JSON_DOOR = Door("REST JSON", "http", payloads.OIP_JSON)


def made_up_model(rows: int = 3) -> model.Model:
    generator = np.random.default_rng(7)
    values = model.make_rows(generator, rows)
    return model.Model(Path("unused"), values, generator.random(rows, np.float32), 250.0, "0123456789ab")


def oip_answer(probabilities: model.Floats) -> bytes:
    both = np.column_stack((1 - probabilities, probabilities))
    labels = {"name": "label", "shape": [len(both)], "datatype": "INT64", "data": [0] * len(both)}
    output = {"name": "probabilities", "shape": list(both.shape), "datatype": "FP32", "data": both.ravel().tolist()}
    return json.dumps({"model_name": "model", "outputs": [labels, output]}).encode()


def answer_of(served: model.Model, wrong: float = 0.0) -> Callable[[bytes], tuple[int, bytes]]:
    """What a server with this model answers to an OIP request, each probability off by `wrong`."""
    known = {row.tobytes(): value for row, value in zip(served.rows, served.expected, strict=True)}

    def answer(body: bytes) -> tuple[int, bytes]:
        rows = np.array(json.loads(body)["inputs"][0]["data"], np.float32).reshape(-1, model.COLUMNS)
        return 200, oip_answer(np.array([known[row.tobytes()] for row in rows], np.float32) + np.float32(wrong))

    return answer


@contextlib.contextmanager
def http_server(answer: Callable[[bytes], tuple[int, bytes]]) -> Iterator[servers.Ports]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield servers.Ports(server.server_address[1], 0, 0)
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def grpc_server(answer: Callable[[bytes], bytes]) -> Iterator[servers.Ports]:
    service, method = wire.CALL.split("/")
    handler: grpc.RpcMethodHandler[bytes, bytes]
    handler = grpc.unary_unary_rpc_method_handler(lambda body, _context: answer(body))
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield servers.Ports(0, port, 0)
    finally:
        server.stop(None).wait()


class TestLoad:
    def test_wrk_is_read(self) -> None:
        load = read_wrk(WRK, 0.25)
        assert load == Load(rps=11421.0, p50_ms=1.25, p99_ms=2.76, requests=34263, busy=0.25)

    @pytest.mark.parametrize(
        ("old", "new", "sentence"),
        [
            ('"status": 0', '"status": 3', "3 answers were no success"),
            ('"socket": 0', '"socket": 2', "2 requests got none"),
            ('"requests": 34263', '"requests": 0', "No request was answered"),
            ("{", "", "wrote no result"),
        ],
    )
    def test_failed_requests_are_no_measurement(self, old: str, new: str, sentence: str) -> None:
        with pytest.raises(LoadError, match=sentence):
            read_wrk(WRK.replace(old, new))

    def test_ghz_is_read(self) -> None:
        assert read_ghz(json.dumps(GHZ)) == Load(rps=1990.5, p50_ms=2.5, p99_ms=7.25, requests=4000)

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"statusCodeDistribution": {"OK": 1, "Internal": 5}, "errorDistribution": {"rpc error: boom": 5}},
                "5 calls failed: rpc error: boom",
            ),
            ({"count": 0, "statusCodeDistribution": None}, "No call was answered"),
        ],
    )
    def test_failed_calls_are_no_measurement(self, change: dict[str, Any], sentence: str) -> None:
        with pytest.raises(LoadError, match=sentence):
            read_ghz(json.dumps(GHZ | change))


class TestPayloads:
    def test_json_carries_the_rows(self) -> None:
        served = made_up_model()
        tensor = json.loads(payloads.OIP_JSON.encode(served.rows).body)["inputs"][0]
        assert tensor["shape"] == [3, model.COLUMNS]
        assert np.array_equal(np.array(tensor["data"], np.float32).reshape(3, -1), served.rows)

    def test_binary_carries_the_rows_behind_the_header(self) -> None:
        served = made_up_model()
        payload = payloads.OIP_BINARY.encode(served.rows)
        length = int(payload.headers[payloads.HEADER_LENGTH])
        tensor = json.loads(payload.body[:length])["inputs"][0]
        assert tensor["parameters"]["binary_data_size"] == len(payload.body) - length
        assert payload.body[length:] == served.rows.tobytes()

    def test_binary_outputs_are_found_behind_others(self) -> None:
        both = np.array([[0.25, 0.75]], np.float32)
        outputs = [
            {"name": "label", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}},
            {"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        ]
        header = json.dumps({"outputs": outputs}).encode()
        body = header + np.array([1], np.int64).tobytes() + both.tobytes()
        headers = {"inference-header-content-length": str(len(header))}
        assert payloads.OIP_BINARY.decode(body, headers).tolist() == [0.75]

    @pytest.mark.parametrize("raw", [True, False])
    def test_grpc_answers_are_read_raw_and_typed(self, raw: bool) -> None:
        answer = wire._message("ModelInferResponse")()
        answer.outputs.add(name="label", datatype="INT64", shape=[1])
        output = answer.outputs.add(name="probabilities", datatype="FP32", shape=[1, 2])
        if raw:
            answer.raw_output_contents.extend([np.int64(1).tobytes(), np.array([0.25, 0.75], np.float32).tobytes()])
        else:
            output.contents.fp32_contents.extend([0.25, 0.75])
        assert payloads.OIP_GRPC.decode(answer.SerializeToString(), {}).tolist() == [0.75]

    @pytest.mark.parametrize(
        ("codec", "answer"),
        [
            (payloads.BENTOML, [0.5, 0.75]),
            (payloads.FASTAPI, {"probabilities": [0.5, 0.75]}),
            (payloads.MLFLOW, {"predictions": [0.5, 0.75]}),
        ],
    )
    def test_other_answers_are_read(self, codec: payloads.Codec, answer: object) -> None:
        assert codec.decode(json.dumps(answer).encode(), {}).tolist() == [0.5, 0.75]


class TestCheck:
    def test_right_answers_pass(self) -> None:
        served = made_up_model()
        with http_server(answer_of(served)) as ports:
            check.check(Door("REST JSON", "http", payloads.OIP_JSON, batch=True), ports, served)

    def test_a_wrong_probability_is_refused(self) -> None:
        served = made_up_model()
        with (
            http_server(answer_of(served, wrong=2e-5)) as ports,
            pytest.raises(check.WrongAnswerError, match="off by 2e-05"),
        ):
            check.check(JSON_DOOR, ports, served)

    def test_one_answer_for_every_row_is_refused(self) -> None:
        served = made_up_model()
        constant = oip_answer(served.expected[:1])
        with http_server(lambda _: (200, constant)) as ports, pytest.raises(check.WrongAnswerError, match="off by"):
            check.check(JSON_DOOR, ports, served)

    def test_a_batch_answered_in_part_is_refused(self) -> None:
        served = made_up_model()

        def first_row(body: bytes) -> tuple[int, bytes]:
            tensor = json.loads(body)["inputs"][0]
            return answer_of(served)(json.dumps({"inputs": [{"data": tensor["data"][: model.COLUMNS]}]}).encode())

        door = Door("REST JSON", "http", payloads.OIP_JSON, batch=True)
        with http_server(first_row) as ports, pytest.raises(check.WrongAnswerError, match="3 rows were asked for"):
            check.check(door, ports, served)

    @pytest.mark.parametrize(
        ("status", "body", "sentence"),
        [
            (500, b"boom", "Status 500: boom"),
            (200, b"{", "cannot be read"),
            (200, b'{"outputs": [{"name": "other"}]}', "cannot be read"),
        ],
    )
    def test_what_is_no_answer_is_refused(self, status: int, body: bytes, sentence: str) -> None:
        with (
            http_server(lambda _: (status, body)) as ports,
            pytest.raises(check.WrongAnswerError, match=sentence),
        ):
            check.check(JSON_DOOR, ports, made_up_model())

    def test_nan_is_refused(self) -> None:
        with pytest.raises(check.WrongAnswerError, match="off by nan"):
            check.compare(np.array([np.nan], np.float32), np.array([0.5], np.float32))

    def test_grpc_is_checked_too(self) -> None:
        served = made_up_model()
        door = Door("gRPC", "grpc", payloads.OIP_GRPC)

        def answer(body: bytes) -> bytes:
            request = wire._message("ModelInferRequest").FromString(body)
            row = np.frombuffer(request.raw_input_contents[0], np.float32)
            value = served.expected[np.all(served.rows == row, axis=1)] + shift
            out = wire._message("ModelInferResponse")()
            out.outputs.add(name="predict", datatype="FP32", shape=[1, 1])
            out.raw_output_contents.append(value.astype(np.float32).tobytes())
            return bytes(out.SerializeToString())

        with grpc_server(answer) as ports:
            shift = 0.0
            check.check(door, ports, served)
            shift = 1e-3
            with pytest.raises(check.WrongAnswerError, match=r"off by 0\.001"):
                check.check(door, ports, served)

    def test_a_failed_call_is_one_sentence(self) -> None:
        def answer(_: bytes) -> bytes:
            raise ValueError("no")

        door = Door("gRPC", "grpc", payloads.OIP_GRPC)
        with grpc_server(answer) as ports, pytest.raises(check.WrongAnswerError, match="gRPC status UNKNOWN") as caught:
            check.check(door, ports, made_up_model())
        assert "\n" not in str(caught.value)

    def test_nobody_there_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "_PATIENCE_SECONDS", 0.0)
        ports = servers.free_ports()
        assert not check.Readiness(JSON_DOOR, ports, made_up_model())()
        assert not check.Readiness(Door("gRPC", "grpc", payloads.OIP_GRPC), ports, made_up_model())()

    def test_an_error_while_the_model_loads_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        served = made_up_model()
        replies = [(503, b"loading"), (503, b"loading")]
        with http_server(lambda body: replies.pop() if replies else answer_of(served)(body)) as ports:
            ready = check.Readiness(JSON_DOOR, ports, served)
            assert [ready(), ready(), ready()] == [False, False, True]
            replies.extend([(503, b"loading")] * 2)
            monkeypatch.setattr(check, "_PATIENCE_SECONDS", 0.0)
            with pytest.raises(check.WrongAnswerError, match="Status 503: loading"):
                check.Readiness(JSON_DOOR, ports, served)()


def loads_of(*rates: float, rounds: Iterable[int] | None = None) -> list[Measured]:
    numbers = rounds or range(len(rates))
    return [Measured(rate, 1.0, 2.0 * rate, 1000, 0.5, round=n) for rate, n in zip(rates, numbers, strict=True)]


def some_results() -> Results:
    results = Results()
    results.loads[Key("product", "REST JSON", ONE_ROW)] = loads_of(900, 1000, 1100)
    results.loads[Key("bare_asgi", "REST JSON", ONE_ROW)] = loads_of(1000, 2000, 1000)
    results.loads[Key(OWN, "", BATCH)] = loads_of(300)
    results.reasons["bentoml"] = "uv failed: no such package."
    results.reasons["mlserver, gRPC"] = "A probability is off by 0.1; at most 1e-05 is allowed."
    return results


def some_run(results: Results) -> report.Run:
    host = machine.Machine("Some CPU", 2, 0, 1, "3.11.7", "4.1.0", "0.120.0", 0.1)
    return report.Run(results, list(ALL), made_up_model(), host, 3, 3)


class TestFigures:
    def test_spread_is_the_median_with_its_ends(self) -> None:
        seen = spread([5.0, 1.0, 2.0])
        assert seen is not None
        assert (seen.median, seen.least, seen.greatest) == (2.0, 1.0, 5.0)
        assert spread([]) is None

    def test_ratios_are_taken_within_a_round(self) -> None:
        loads = some_results().loads
        over, under = Key("product", "REST JSON", ONE_ROW), Key("bare_asgi", "REST JSON", ONE_ROW)
        seen = ratio(loads, over, under, rps)
        assert seen is not None
        assert (seen.median, seen.least, seen.greatest) == (0.9, 0.5, 1.1)
        assert ratio(loads, over, Key("kserve", "REST JSON", ONE_ROW), p99) is None

    def test_a_round_in_which_one_of_them_failed_has_no_ratio(self) -> None:
        over, under = Key("product", "REST JSON", ONE_ROW), Key("bare_asgi", "REST JSON", ONE_ROW)
        loads = {over: loads_of(900, 1000, 1100), under: loads_of(2000, 1000, rounds=[1, 2])}
        seen = ratio(loads, over, under, rps)
        assert seen is not None
        assert (seen.median, seen.least, seen.greatest) == (0.8, 0.5, 1.1)
        assert ratio({over: loads_of(900), under: loads_of(1000, rounds=[1])}, over, under, rps) is None

    def test_what_failed_says_why(self) -> None:
        reasons = {OWN: "It broke.", "mlserver, gRPC": "It is wrong.", "kserve": "It ended."}
        lines = figures(some_results().loads | {Key(OWN, "", BATCH): []}, None, None, reasons)
        verdicts = [line.verdict for line in lines]
        assert [verdicts.count(f"not measured: {reason}") for reason in reasons.values()] == [3, 1, 2]
        assert lines[0].verdict == "yes"

    @pytest.mark.parametrize(
        ("reach", "value", "met"),
        [
            (Reach(0.85, "at least"), 0.86, True),
            (Reach(0.85, "at least"), 0.84, False),
            (Reach(1.5, "at most"), 1.4, True),
            (Reach(1.5, "at most"), 1.6, False),
        ],
    )
    def test_a_bound_has_a_side(self, reach: Reach, value: float, met: bool) -> None:
        assert reach.met(value) is met

    def test_what_was_not_measured_is_named(self) -> None:
        verdicts = {figure.title: figure.verdict for figure in figures(some_results().loads, None, None)}
        assert verdicts["REST JSON, one row, c=16, requests/s: bare ASGI app"] == "yes"
        assert verdicts["REST JSON, one row, c=16, p99: bare ASGI app"] == "yes"
        assert verdicts["the same: BentoML"] == "not measured"
        assert verdicts["memory after a soak: after the first minute"] == "not measured"

    def test_battle_and_soak_are_figures(self) -> None:
        duels = battle.Battle(Load(300, 3.0, 5.0, 900), 312.0, Load(80, 12.0, 20.0, 240), 2401)
        lines = figures({}, duels, Soak(600, 200.0, 205.0, 1_000_000))
        assert [(line.verdict, line.value.median) for line in lines if line.value] == [
            ("yes", 3.0),
            ("no", 20.0),
            ("yes", 1.025),
        ]


class TestReport:
    def test_every_contender_has_a_line(self) -> None:
        text = report.markdown(some_run(some_results()))
        for contender in ALL:
            for door in contender.doors:
                assert re.search(rf"^\| {re.escape(contender.title)} \| [^|]+ \| {door.name} \|", text, re.MULTILINE)
        assert "not measured: uv failed: no such package." in text
        assert "| gRPC | not measured: A probability is off by 0.1" in text
        assert "| 1,000 (900–1,100) |" in text

    def test_numbers_name_what_they_were_measured_on(self) -> None:
        text = report.markdown(some_run(some_results()))
        for words in ("Some CPU, 2 cores: servers on core 0, load from core 1", "Python 3.11.7", "wrk 4.1.0"):
            assert words in text

    def test_three_files_are_written(self, tmp_path: Path) -> None:
        written = report.write(some_run(some_results()), tmp_path / "results")
        assert [path.name for path in written] == ["bench.md", "bench.json", "bench.svg"]
        seen = json.loads(written[1].read_text())
        assert seen["loads"][0]["rounds"][2]["rps"] == 1100
        assert seen["reasons"]["bentoml"] == "uv failed: no such package."
        assert "this server, REST JSON" in written[2].read_text()

    def test_a_reason_holds_no_folder(self) -> None:
        assert last_line("Traceback\n  cannot open /srv/box/model.ubj: none\n\n") == "cannot open model.ubj: none"
        assert last_line("") == "no output"


SLEEPS_WITH_A_CHILD_IN_ITS_OWN_SESSION = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""

ANSWERS_ALWAYS_THE_SAME = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.dumps({"outputs": [{"name": "predict", "shape": [1], "data": [float(sys.argv[2])]}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


FAILS_ONCE = """
import http.server, json, pathlib, sys
folder = pathlib.Path(sys.argv[2])
if not (folder / "failed").exists():
    (folder / "failed").touch()
    raise SystemExit("not yet")
known = json.loads((folder / "known.json").read_text())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        row = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"][0]["data"]
        answer = {"name": "predict", "shape": [1], "data": [known[f"{row[0]:.4f}"]]}
        body = json.dumps({"outputs": [answer]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class TestServers:
    def test_all_that_a_server_started_ends_with_it(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", SLEEPS_WITH_A_CHILD_IN_ITS_OWN_SESSION]
        log = tmp_path / "log"
        with servers.start(command, servers.free_ports(), log, cwd=tmp_path, env={}) as server:
            server.wait(lambda: log.read_text().strip() != "", 20)
            child = int(log.read_text())
            assert servers.family(server.process.pid)[1:] == [child]
            assert server.memory_mib() > 1
        end = time.monotonic() + 10
        while servers._starts([child]) and time.monotonic() < end:
            time.sleep(0.01)
        assert not servers._starts([child])
        assert server.process.poll() is not None

    def test_a_server_that_ends_says_why(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", "raise SystemExit('no such model')"]
        with (
            servers.start(command, servers.free_ports(), tmp_path / "log", cwd=tmp_path, env={}) as server,
            pytest.raises(servers.ServerError, match="ended with status 1: no such model"),
        ):
            server.wait(lambda: False, 20)


def a_bench(tmp_path: Path) -> measure.Bench:
    cores = default_cores()
    unused = Generators("wrk", None, cores, tmp_path)
    return measure.Bench(made_up_model(), unused, cores, 1, bundle=tmp_path)


class TestRounds:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measure, "ROOT", tmp_path)
        monkeypatch.setattr(check, "_PATIENCE_SECONDS", 0.0)

    def test_a_contender_that_ends_is_named(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", "raise SystemExit('no such model')"]
        broken = Contender("broken", "Broken", (JSON_DOOR,), lambda _setup, _ports: command, installed=False)
        results = a_bench(tmp_path).rounds([broken], 1)
        assert results.reasons == {"broken": "It ended with status 1: no such model"}
        assert not results.loads

    @pytest.mark.parametrize("answer", [0.0, float(made_up_model().expected[0])], ids=["wrong", "right once"])
    def test_a_contender_that_is_wrong_is_not_timed(self, tmp_path: Path, answer: float) -> None:
        wrong = Contender(
            "wrong",
            "Wrong",
            (JSON_DOOR,),
            lambda _setup, ports: [sys.executable, "-c", ANSWERS_ALWAYS_THE_SAME, str(ports.http), str(answer)],
            installed=False,
        )
        results = a_bench(tmp_path).rounds([wrong], 1)
        assert all("A probability is off by" in reason for reason in results.reasons.values())
        assert len(results.reasons) == 1
        assert not results.loads

    def test_a_load_keeps_its_round_where_another_round_failed(self, tmp_path: Path) -> None:
        served = made_up_model()
        known = {f"{row[0]:.4f}": float(p) for row, p in zip(served.rows, served.expected, strict=True)}
        (tmp_path / "known.json").write_text(json.dumps(known))
        (tmp_path / "wrk").write_text(f"#!/bin/sh\ncat <<'END'\n{WRK}\nEND\n")
        (tmp_path / "wrk").chmod(0o755)
        late = Contender(
            "late",
            "Late",
            (JSON_DOOR,),
            lambda _setup, ports: [sys.executable, "-c", FAILS_ONCE, str(ports.http), str(tmp_path)],
            installed=False,
        )
        unused = Generators(str(tmp_path / "wrk"), None, default_cores(), tmp_path)
        results = measure.Bench(served, unused, default_cores(), 1, bundle=tmp_path).rounds([late], 2)
        assert results.reasons == {"late": "It ended with status 1: not yet"}
        assert [load.round for load in results.loads[Key("late", JSON_DOOR.name, ONE_ROW)]] == [1]

    def test_the_bench_goes_on_where_the_models_own_time_cannot_be_measured(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("loadtests.bench.environments.find_uv", lambda: "false")
        monkeypatch.setattr("loadtests.bench.environments.ROOT", tmp_path)
        command = [sys.executable, "-c", "raise SystemExit('no such model')"]
        door = Door("REST binary", "http", payloads.OIP_BINARY, batch=True)
        broken = Contender("broken", "Broken", (door,), lambda _setup, _ports: command, installed=False)
        results = a_bench(tmp_path).rounds([broken], 2)
        assert results.reasons == {OWN: "false failed: no output", "broken": "It ended with status 1: no such model"}
        assert not results.loads

    def test_an_own_time_that_cannot_be_read_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measure, "install", lambda _: "true")
        door = Door("REST binary", "http", payloads.OIP_BINARY, batch=True)
        broken = Contender("broken", "Broken", (door,), lambda _setup, _ports: ["false"], installed=False)
        assert a_bench(tmp_path).rounds([broken], 1).reasons[OWN] == "own_time.py wrote no result."

    def test_a_contender_that_cannot_be_installed_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("loadtests.bench.environments.find_uv", lambda: "false")
        monkeypatch.setattr("loadtests.bench.environments.ROOT", tmp_path)
        results = a_bench(tmp_path).rounds([contender for contender in ALL if contender.name == "fastapi"], 1)
        assert results.reasons == {"fastapi": "false failed: no output"}


class TestCatalogue:
    def test_names_are_unique_and_have_their_folders(self) -> None:
        names = [contender.name for contender in ALL]
        assert len(set(names)) == len(names)
        folders = {path.name for path in CONTENDERS.iterdir() if path.name != "__pycache__"}
        assert folders == {contender.name for contender in ALL if contender.installed}

    @pytest.mark.parametrize("name", [contender.name for contender in ALL if contender.installed])
    def test_locks_are_hash_pinned_and_name_no_host(self, name: str) -> None:
        lock = (CONTENDERS / name / "requirements.txt").read_text()
        assert "://" not in lock
        pins = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
        assert pins
        for pin in pins:
            assert re.match(r"[a-z0-9][\w.-]*(\[[\w,-]+\])?==\S+", pin), pin
            assert "--hash=sha256:" in pin, pin
        asked = re.findall(r"^[\w-]+", (CONTENDERS / name / "requirements.in").read_text(), re.MULTILINE)
        for package in asked:
            assert machine.locked(name, package) != "unknown", package

    def test_everybody_runs_one_xgboost(self) -> None:
        folders = [contender.name for contender in ALL if contender.installed]
        versions = {machine.locked(folder, "xgboost") for folder in folders} - {"unknown"}
        assert versions == {xgb.__version__}


class TestModel:
    def test_training_is_repeatable_and_both_formats_agree(self, tmp_path: Path) -> None:
        for folder in ("one", "two"):
            model.train(tmp_path / folder, trees=3, depth=4, training_rows=2000)
        one, two = model.load(tmp_path / "one"), model.load(tmp_path / "two")
        assert one.digest == two.digest
        assert one.rows.shape == (model.BATCH_ROWS, model.COLUMNS)
        assert one.leaves > 15
        session = ort.InferenceSession(one.onnx.read_bytes(), providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"input": one.rows})
        assert np.abs(probabilities[:, 1] - one.expected).max() < 1e-5
        assert one.expected.std() > 0.001


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--soak", "60"], "at least 120"),
            (["--rounds", "0"], "at least 1"),
            (["--only", "nobody"], "invalid choice: 'nobody'"),
            (["--server-core", "4096"], "may use the cores"),
        ],
    )
    def test_options_without_sense_are_refused(
        self, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            command_line.parse(arguments)
        assert caught.value.code == 2
        assert sentence in capsys.readouterr().err

    def test_quick_is_one_round_of_one_second(self) -> None:
        options = command_line.parse(["--quick"])
        assert (options.rounds, options.seconds) == (1, 1)

    def test_server_and_generator_are_pinned_apart(self) -> None:
        cores = Cores(server=0, generator=1)
        assert cores.pin_server(["run"]) == ["taskset", "-c", "0", "run"]
        assert cores.pin_generator(["run"]) == ["taskset", "-c", "1", "run"]

    def test_the_newest_bundle_is_taken(self, tmp_path: Path) -> None:
        assert battle.newest_bundle(tmp_path) is None
        for age, name in enumerate(("10", "9")):
            (tmp_path / name).mkdir()
            contract = tmp_path / name / "contract.json"
            contract.write_text("{}")
            stamp = 1_700_000_000 - age
            os.utime(contract, (stamp, stamp))
        assert battle.newest_bundle(tmp_path) == tmp_path / "10"

    def test_a_bundle_without_a_dex_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(servers.ServerError, match="holds no dex"):
            battle.species(tmp_path)
