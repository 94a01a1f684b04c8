"""Copies of requests between two real processes: what is compared, and that users never notice."""

import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from bentos.cohorts import HEADER
from bentos.core import Core
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.keys import line_of
from bentos.metrics import DROPPED
from bentos.observation import keep, observe, question
from bentos.shadow import QUEUE
from tests import bundles, servers, tabular
from tests.bentos.grpc_door import doors
from tests.scrapes import scrape, total

FLAG = {"PDX_FAULT_ALLOWED": "yes-this-is-a-test"}
MIRRORED = {**FLAG, "PDX_FAULT_ANSWERS": "mirrored"}
DUELS = [
    {"pokemon_a": "pikachu", "pokemon_b": "gyarados"},
    {"pokemon_a": "Gyarados", "pokemon_b": "pikachu", "available_moves_a": ["waterfall", "bite"]},
    {"pokemon_a": "mew", "pokemon_b": "snorlax", "available_moves_b": ["bodyslam"]},
]
Pair = tuple[str | None, float]
"""Label and score that a version answers."""


class Mounted:
    """A ConfigMap as the kubelet mounts it: a folder a generation, and one link that is moved in one step."""

    def __init__(self, folder: Path, text: str) -> None:
        self._folder, self._generation = folder, 0
        folder.mkdir(parents=True)
        self.put(text)
        self.file = folder / "shadow.json"
        self.file.symlink_to("..data/shadow.json")

    def put(self, text: str) -> None:
        self._generation += 1
        new = self._folder / f"..{self._generation}"
        new.mkdir()
        (new / "shadow.json").write_text(text)
        (self._folder / "..next").symlink_to(new.name)
        (self._folder / "..next").replace(self._folder / "..data")

    def share(self, share: float, concurrency: int = 2, timeout_seconds: float = 5.0) -> None:
        self.put(plan(share, concurrency, timeout_seconds))


def plan(share: float, concurrency: int = 2, timeout_seconds: float = 5.0) -> str:
    return json.dumps({"share": share, "concurrency": concurrency, "timeout_seconds": timeout_seconds})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of prediction ids that both tracks have."""
    file = tmp_path_factory.mktemp("keys") / "ids"
    file.write_text(secrets.token_bytes(32).hex())
    return file


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("newer") / "battle", version="2")


@contextmanager
def canary_of(folder: Path, bundle: Path, keys: Path, **settings: str) -> Iterator[servers.Process]:
    track = {"PDX_BUNDLE": str(bundle), "PDX_IDS_KEYS_FILE": str(keys), "PDX_TRACK": "canary"}
    with servers.start(folder / "canary", **{**track, **settings}) as process:
        yield servers.ready(process)


@contextmanager
def stable_of(
    folder: Path, bundle: Path, keys: Path, target: str, content: str, **settings: str
) -> Iterator[tuple[servers.Process, Mounted]]:
    mounted = Mounted(folder / "mounted", content)
    track = {
        "PDX_BUNDLE": str(bundle),
        "PDX_IDS_KEYS_FILE": str(keys),
        "PDX_TRACK": "stable",
        "PDX_SHADOW_FILE": str(mounted.file),
        "PDX_SHADOW_TARGET": target,
    }
    with servers.start(folder / "stable", **{**track, **settings}) as process:
        yield servers.ready(process), mounted


@pytest.fixture(scope="module")
def tracks(
    bundle: Path, newer: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[servers.Process, servers.Process]]:
    """Stable, which copies every request, and a canary whose scores are mirrored."""
    folder = tmp_path_factory.mktemp("tracks")
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(folder, newer, keys, **MIRRORED))
        stable, _ = stack.enter_context(stable_of(folder, bundle, keys, canary.rest, plan(1)))
        # A duel is asked until the first pair: then the file was read and the client is there.
        servers.until(lambda: bool(battle(stable, DUELS[0])) and pairs(stable) > 0, stable)
        settle(stable)
        yield stable, canary


def pairs(process: servers.Process) -> float:
    return total(process, "shadow_pairs_total")


def dropped(process: servers.Process, reason: str) -> float:
    return total(process, "shadow_dropped_total", reason=reason)


def logged(process: servers.Process, words: str) -> bool:
    return words in process.text()


def settle(process: servers.Process) -> None:
    """Wait until every request that the process answered is a pair or was dropped."""

    def done() -> bool:
        found = scrape(process)
        copied = total(found, "shadow_pairs_total") + total(found, "shadow_dropped_total")
        asked = sum(
            total(found, "api_request_duration_seconds_count", route=route)
            for route in ("/predict/battle", "/predict", "/v2/models/{name}/infer", "ModelInfer")
        )
        return copied >= asked

    servers.until(done, process)


def at_rest(process: servers.Process) -> float:
    """Copies that were counted, once no more come."""
    before = -1.0
    while (now := pairs(process) + total(process, "shadow_dropped_total")) != before:
        before = now
        time.sleep(0.5)
    return now


def mark_of(process: servers.Process) -> dict[str, str]:
    return {HEADER: httpx.post(f"{process.admin}/mark/golden").json()["mark"]}


# The same request through each door; gives label and score of each of its rows.


def post(process: servers.Process, path: str, document: Any, headers: dict[str, str] | None = None) -> Any:
    answer = httpx.post(process.rest + path, json=document, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def battle(process: servers.Process, duel: Any, headers: dict[str, str] | None = None) -> list[Pair]:
    said = post(process, "/predict/battle", duel, headers)
    return [(said["recommended_move"], said["win_probability"])]


def records(process: servers.Process, rows: Any, headers: dict[str, str] | None = None) -> list[Pair]:
    said = post(process, "/predict", {"records": rows}, headers)["predictions"]
    return [(row["label"], list(row["probabilities"].values())[-1]) for row in said]


def tensors(process: servers.Process, rows: Any, headers: dict[str, str] | None = None) -> list[Pair]:
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [len(rows), 1], "data": [row[name] for row in rows]}
        for name in rows[0]
    ]
    p, labels = post(process, "/v2/models/battle/infer", {"inputs": inputs}, headers)["outputs"]
    # In JSON they have the digits of a float32.
    return list(zip(labels["data"], np.array(p["data"], np.float32)[1::2].tolist(), strict=True))


def binary(process: servers.Process, rows: Any, headers: dict[str, str] | None = None) -> list[Pair]:
    raw = [doors.framed([row[name] for row in rows]) for name in rows[0]]
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [len(rows), 1], "parameters": {"binary_data_size": len(each)}}
        for name, each in zip(rows[0], raw, strict=True)
    ]
    text = json.dumps({"inputs": inputs}).encode()
    length = {"inference-header-content-length": str(len(text)), **(headers or {})}
    answer = httpx.post(
        f"{process.rest}/v2/models/battle/infer", content=b"".join([text, *raw]), headers=length, timeout=30
    )
    assert answer.status_code == 200, answer.text
    p, labels = answer.json()["outputs"]
    # In JSON they have the digits of a float32.
    return list(zip(labels["data"], np.array(p["data"], np.float32)[1::2].tolist(), strict=True))


def called(process: servers.Process, rows: Any, headers: dict[str, str] | None = None) -> list[Pair]:
    request = pb.ModelInferRequest(model_name="battle")
    for name in rows[0]:
        tensor = request.inputs.add(name=name, datatype="BYTES", shape=[len(rows), 1])
        tensor.contents.bytes_contents.extend([row[name].encode() for row in rows])
    with grpc.insecure_channel(process.grpc) as channel:
        response = doors.infer(channel, request, metadata=list((headers or {}).items()))
    labels = [value.decode() for value in response.outputs[1].contents.bytes_contents]
    return list(zip(labels, doors.probabilities(response)[:, 1].tolist(), strict=True))


PAIRINGS = [dict(zip(doors.NAMES, row, strict=True)) for row in bundles.model().rows[:6]]
ONE_BY_ONE = [[row] for row in PAIRINGS]
DOORS: dict[str, tuple[Callable[..., list[Pair]], list[Any]]] = {
    "battle": (battle, DUELS),
    "records": (records, ONE_BY_ONE),
    "tensors": (tensors, ONE_BY_ONE),
    "binary": (binary, ONE_BY_ONE),
    "grpc": (called, ONE_BY_ONE),
    # Long enough for the thread beside the loop; whichever row is drawn, it is the same.
    "many": (records, [[row] * 200 for row in PAIRINGS[:2]]),
}


@pytest.mark.parametrize("door", DOORS)
def test_pairs_flips_and_differences_are_those_of_both_answers(
    tracks: tuple[servers.Process, servers.Process], door: str
) -> None:
    stable, canary = tracks
    ask, requests = DOORS[door]
    golden = mark_of(canary)
    before = scrape(stable)
    ours = [ask(stable, request)[0] for request in requests]
    settle(stable)
    after = scrape(stable)
    theirs = [ask(canary, request, golden)[0] for request in requests]
    differences = [their[1] - our[1] for our, their in zip(ours, theirs, strict=True)]
    flips = sum(their[0] != our[0] for our, their in zip(ours, theirs, strict=True))
    assert flips or door == "battle"
    expected = {
        "pairs_total": len(requests),
        "flips_total": flips,
        "score_difference_sum": sum(differences),
        "score_difference_squares_sum": sum(difference**2 for difference in differences),
    }
    assert expected["score_difference_squares_sum"] > 0.01
    for name, number in expected.items():
        counted = [total(found, f"shadow_{name}", against="2", version="1") for found in (before, after)]
        assert counted[1] - counted[0] == pytest.approx(number, abs=1e-9), name
    assert total(after, "shadow_dropped_total") == total(before, "shadow_dropped_total")


def test_one_row_of_many_is_drawn(tracks: tuple[servers.Process, servers.Process]) -> None:
    stable, canary = tracks
    theirs = records(canary, PAIRINGS, mark_of(canary))
    ours = records(stable, PAIRINGS)
    possible = np.array([their[1] - our[1] for our, their in zip(ours, theirs, strict=True)])
    settle(stable)
    drawn = set()
    for _ in range(20):
        before = total(stable, "shadow_score_difference_sum")
        records(stable, PAIRINGS)
        settle(stable)
        off = np.abs(total(stable, "shadow_score_difference_sum") - before - possible)
        assert off.min() < 1e-6
        drawn.add(int(off.argmin()))
    assert len(drawn) > 1


def test_copies_count_for_the_canary_as_shadow_alone(tracks: tuple[servers.Process, servers.Process]) -> None:
    stable, canary = tracks
    battle(stable, DUELS[0])
    settle(stable)
    found = scrape(canary)
    copied = total(found, "cohort_requests_total", cohort="shadow", transport="rest", **{"class": "ok"})
    assert copied == pairs(stable) > 0
    assert total(found, "model_predictions_total") == total(found, "api_request_duration_seconds_count") == 0
    assert total(found, "api_requests_total") == 0
    assert total(found, "shadow_pairs_total") + total(found, "shadow_dropped_total") == 0


@pytest.mark.parametrize("door", ["battle", "grpc"])
def test_requests_of_a_cohort_and_wrong_ones_are_not_copied(
    tracks: tuple[servers.Process, servers.Process], door: str
) -> None:
    stable, _ = tracks
    ask, requests = DOORS[door]
    before = scrape(stable)
    ask(stable, requests[0], mark_of(stable))
    assert httpx.post(f"{stable.rest}/predict/battle", json={"pokemon_a": "nobody"}).status_code == 422
    ask(stable, requests[0])
    settle(stable)
    after = scrape(stable)
    assert total(after, "shadow_pairs_total") - total(before, "shadow_pairs_total") == 1
    assert total(after, "shadow_dropped_total") == total(before, "shadow_dropped_total")


def test_the_file_is_read_live(bundle: Path, newer: Path, keys: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(tmp_path, newer, keys))
        stable, mounted = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, '{"share": 2}'))
        assert "The file of PDX_SHADOW_FILE cannot be used, and stands for none: share: " in stable.text()
        for content in (None, '{"share": 0.0, "concurency": 1}', plan(0)):
            if content is not None:
                mounted.put(content)
                looked = "concurency: extra inputs" if "concurency" in content else "has changed and was read again"
                servers.until(partial(logged, stable, looked), stable)
            for duel in DUELS:
                battle(stable, duel)
        assert total(canary, "cohort_requests_total") == 0

        mounted.share(1)
        servers.until(lambda: bool(battle(stable, DUELS[0])) and pairs(stable) > 0, stable)
        mounted.share(0)
        servers.until(lambda: stable.text().count("has changed and was read again") == 3, stable)
        settled = at_rest(stable)
        for duel in DUELS * 3:
            battle(stable, duel)
        assert at_rest(stable) == settled


def test_a_canary_that_dies_is_noticed_by_nobody_but_the_counter(
    bundle: Path, newer: Path, keys: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(tmp_path, newer, keys))
        stable, _ = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, plan(1)))
        servers.until(lambda: bool(battle(stable, DUELS[0])) and pairs(stable) > 0, stable)
        canary.popen.kill()
        canary.popen.wait()
        settle(stable)
        before = dropped(stable, "failed")
        for duel in DUELS:
            battle(stable, duel)
            called(stable, [PAIRINGS[0]])
        settle(stable)
        assert dropped(stable, "failed") - before == 2 * len(DUELS)
        assert total(stable, "api_errors_total") == 0


def test_a_canary_that_is_not_there_yet_costs_nothing(bundle: Path, keys: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with stable_of(tmp_path, bundle, keys, f"http://127.0.0.1:{port}", plan(1)) as (stable, _):
        servers.until(lambda: bool(battle(stable, DUELS[0])) and dropped(stable, "failed") > 0, stable)
        assert pairs(stable) == 0


class Endless(BaseHTTPRequestHandler):
    """Answers two MiB in chunks, and no end of them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        chunk = b"x" * (1 << 16)
        with suppress(OSError):
            for _ in range(32):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.rfile.read()

    def log_message(self, *_: object) -> None:
        pass


def test_an_answer_without_an_end_is_not_read_to_it(bundle: Path, keys: Path, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as other:
        thread = Thread(target=other.serve_forever)
        thread.start()
        try:
            patient = plan(1, timeout_seconds=60)
            target = f"http://127.0.0.1:{other.server_port}"
            with stable_of(tmp_path, bundle, keys, target, patient) as (stable, _):
                servers.until(lambda: bool(battle(stable, DUELS[0])) and dropped(stable, "failed") > 0, stable)
                assert pairs(stable) == dropped(stable, "timeout") == 0
        finally:
            other.shutdown()
            thread.join()


def test_a_canary_that_hangs_is_given_up_and_then_the_queue_is_full(
    bundle: Path, newer: Path, keys: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        hangs = {**FLAG, "PDX_FAULT_SLOW_SECONDS": "3600"}
        canary = stack.enter_context(canary_of(tmp_path, newer, keys, **hangs))
        quick = plan(1, concurrency=1, timeout_seconds=0.2)
        stable, mounted = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, quick))
        servers.until(lambda: bool(battle(stable, DUELS[0])) and dropped(stable, "timeout") > 0, stable)
        settle(stable)

        mounted.share(1, concurrency=1, timeout_seconds=60)
        servers.until(lambda: "has changed and was read again" in stable.text(), stable)
        before = scrape(stable)
        count = QUEUE + 40
        with httpx.Client(base_url=stable.rest) as client:
            for _ in range(count):
                assert client.post("/predict", json={"records": PAIRINGS[:1]}).status_code == 200

        def overflown() -> float:
            return dropped(stable, "queue") - total(before, "shadow_dropped_total", reason="queue")

        # One is in flight, which may have left the queue before it was full or after.
        servers.until(lambda: overflown() >= count - QUEUE - 1, stable)
        assert overflown() <= count - QUEUE
        assert pairs(stable) == 0
        canary.popen.kill()


def test_copies_are_dropped_first_while_many_requests_are_in_flight(
    bundle: Path, newer: Path, keys: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(tmp_path, newer, keys))
        slow = {**FLAG, "PDX_FAULT_SLOW_SECONDS": "0.3", "PDX_LIMIT_IN_FLIGHT": "4"}
        stable, _ = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, plan(1), **slow))
        servers.until(lambda: bool(battle(stable, DUELS[0])) and pairs(stable) > 0, stable)
        settle(stable)
        before = pairs(stable)
        with ThreadPoolExecutor(4) as callers:
            answers = list(callers.map(lambda _: called(stable, [PAIRINGS[0]]), range(16)))
        assert len(answers) == 16
        settle(stable)
        assert dropped(stable, "busy") > 0
        assert pairs(stable) - before < 16


def test_a_canary_that_does_not_know_the_mark_refuses_the_copy(
    bundle: Path, newer: Path, keys: Path, tmp_path: Path
) -> None:
    foreign, api = tmp_path / "foreign", tmp_path / "api"
    foreign.write_text(secrets.token_bytes(32).hex())
    api.write_text(line_of("some-key-of-an-application"))
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(tmp_path, newer, foreign, PDX_AUTH_KEYS_FILE=str(api)))
        stable, _ = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, plan(1)))
        servers.until(lambda: bool(battle(stable, DUELS[0])) and dropped(stable, "refused") > 0, stable)
        assert pairs(stable) == 0


@pytest.mark.parametrize("settings", [{"PDX_TRACK": "canary"}, {"PDX_IDS_KEYS_FILE": ""}])
def test_a_canary_copies_nothing_and_so_does_a_pod_without_keys(
    bundle: Path, keys: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(servers.start(tmp_path / "other", PDX_BUNDLE=str(bundle)))
        servers.ready(other)
        if "PDX_IDS_KEYS_FILE" in settings:
            mounted = Mounted(tmp_path / "mounted", plan(1))
            started = servers.start(
                tmp_path / "stable",
                PDX_BUNDLE=str(bundle),
                PDX_SHADOW_FILE=str(mounted.file),
                PDX_SHADOW_TARGET=other.rest,
            )
            stable = servers.ready(stack.enter_context(started))
            servers.until(lambda: "Nothing is copied though PDX_SHADOW_FILE says so" in stable.text(), stable)
        else:
            stable, _ = stack.enter_context(stable_of(tmp_path, bundle, keys, other.rest, plan(1), **settings))
        for _ in range(3):
            for duel in DUELS:
                battle(stable, duel)
        found = scrape(stable)
        assert total(found, "shadow_pairs_total") + total(found, "shadow_dropped_total") == 0
        assert {dict(labels)["reason"] for name, labels in found if name == "shadow_dropped_total"} == set(DROPPED)
        assert total(other, "cohort_requests_total") + total(other, "api_requests_total") == 0


def test_a_tabular_model_is_copied_too(keys: Path, tmp_path: Path) -> None:
    bundle = tabular.write("classifier", tmp_path / "bundle")
    frame = tabular.sample("classifier").frame.head(8)
    rows = [
        {"age": None if np.isnan(age) else float(age), "visits": int(visits), "member": bool(member), "spend": spend}
        for age, visits, member, spend in frame.itertuples(index=False)
    ]
    with ExitStack() as stack:
        canary = stack.enter_context(canary_of(tmp_path, bundle, keys, **MIRRORED))
        stable, _ = stack.enter_context(stable_of(tmp_path, bundle, keys, canary.rest, plan(1)))
        servers.until(lambda: bool(records(stable, rows[:1])) and pairs(stable) > 0, stable)
        settle(stable)
        before = scrape(stable)
        ours = [records(stable, [row])[0] for row in rows]
        settle(stable)
        after = scrape(stable)
        theirs = [records(canary, [row], mark_of(canary))[0] for row in rows]
        differences = [their[1] - our[1] for our, their in zip(ours, theirs, strict=True)]
        for name, number in {"pairs_total": len(rows), "score_difference_sum": sum(differences)}.items():
            assert total(after, f"shadow_{name}") - total(before, f"shadow_{name}") == pytest.approx(number, abs=1e-9)


@pytest.mark.parametrize("kind", ["classifier", "multiclass", "regressor", "pipeline", "battle"])
def test_a_row_that_is_asked_again_is_the_same_row(kind: Any, core: Core, tmp_path: Path) -> None:
    opened = core if kind == "battle" else Core.open(tabular.write(kind, tmp_path / "bundle"))
    parity = opened.contract.parity
    columns = {column.name: [row[i] for row in parity.rows] for i, column in enumerate(opened.contract.columns)}
    rows = opened.adapter.columns(columns)
    for _ in range(20):
        observation = observe(keep(opened, opened.predict(rows)))
        path, body = question(opened, observation)
        assert path == "/predict"
        again = opened.predict(opened.records(json.loads(body)["records"]), ids=False)
        second = observe(keep(opened, again))
        assert second.label == observation.label
        assert second.score == pytest.approx(observation.score, rel=1e-6)
