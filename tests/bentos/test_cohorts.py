"""Marks: who can make them, what they change, and that a bad one changes nothing, through REST and gRPC."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from bentos.cohorts import HEADER, LIFE_SECONDS, MARKED, TESTERS, Cohorts
from bentos.core import Core
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.ids import Ids
from bentos.keys import line_of
from tests import servers
from tests.bentos.grpc_door import doors
from tests.scrapes import moved, scrape, total

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
API_KEY = "some-key-of-an-application"
DUEL = {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}
PAIRING = {"pokemon_a": "pikachu", "move_a": "thunderbolt", "pokemon_b": "gyarados", "move_b": "outrage"}
TENSORS = [{"name": name, "datatype": "BYTES", "shape": [1, 1], "data": [value]} for name, value in PAIRING.items()]
Ask = Callable[[servers.Process, dict[str, str]], Any]


def bound(*keys: bytes, name: str = "battle", header: str | None = None) -> Cohorts:
    cohorts = Cohorts(header)
    cohorts.bind(Ids(keys), name)
    return cohorts


@pytest.mark.parametrize("cohort", MARKED)
def test_a_mark_is_good_for_its_cohort_until_it_expires(cohort: str) -> None:
    cohorts = bound(KEY)
    mark = cohorts.make(cohort, now=1_000.0)
    assert mark.expires == 1_000 + LIFE_SECONDS
    for given in (mark.text, mark.text.encode()):
        assert cohorts.marked(given, now=1_000.0) == cohort
        assert cohorts.marked(given, now=mark.expires) == cohort
        assert cohorts.marked(given, now=mark.expires + 1) is None


def test_what_was_changed_or_signed_elsewhere_is_no_mark() -> None:
    cohorts = bound(KEY)
    good = cohorts.make("golden").text
    version, cohort, expiry, signature = good.split(".")
    assert cohorts.marked(good) == "golden"
    for bad in (
        f"{version}.test.{expiry}.{signature}",
        f"{version}.header.{expiry}.{signature}",
        f"{version}.{cohort}.{int(expiry) + 1}.{signature}",
        f"v2.{cohort}.{expiry}.{signature}",
        f"{version}.{cohort}.{expiry}.{'A' * 43}",
        f"{version}.{cohort}.{expiry}.",
        f"{good}, {good}",
        good + "\n",
        "",
        "\udcff",
        b"\xff" * 100,
        bound(OTHER_KEY).make("golden").text,
        bound(KEY, name="churn").make("golden").text,
    ):
        assert cohorts.marked(bad) is None, bad
    assert Cohorts().marked(good) is None


def test_marks_outlive_a_change_of_keys_as_prediction_ids_do() -> None:
    old = bound(KEY).make("test").text
    assert bound(OTHER_KEY, KEY).marked(old) == "test"
    assert bound(KEY).marked(bound(OTHER_KEY, KEY).make("test").text) is None


def test_the_header_of_testers_has_one_value() -> None:
    cohorts = bound(KEY, header="let-me-try")
    mark = cohorts.make("golden").text
    assert cohorts.of(None, b"let-me-try") == cohorts.of(None, "let-me-try") == "header"
    assert cohorts.of("no mark", b"let-me-try") == "header"
    assert cohorts.of(mark, b"let-me-try") == "golden"
    assert cohorts.of(None, b"let-me-in") is None
    assert bound(KEY).of(None, b"let-me-try") is None


# Through the doors


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "ids"
    file.write_text(secrets.token_bytes(32).hex())
    return file


@pytest.fixture(scope="module")
def pod(bundle: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """A server that asks for API keys and knows a value for testers."""
    folder = tmp_path_factory.mktemp("pod")
    (folder / "api").write_text(line_of(API_KEY))
    with servers.start(
        folder,
        PDX_BUNDLE=str(bundle),
        PDX_IDS_KEYS_FILE=str(keys),
        PDX_AUTH_KEYS_FILE=str(folder / "api"),
        PDX_COHORT_HEADER="let-me-try",
    ) as process:
        yield servers.ready(process)


@pytest.fixture(scope="module")
def replica(bundle: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """Another server with the same keys for ids."""
    folder = tmp_path_factory.mktemp("replica")
    with servers.start(folder, PDX_BUNDLE=str(bundle), PDX_IDS_KEYS_FILE=str(keys)) as process:
        yield servers.ready(process)


@pytest.fixture(scope="module")
def signer(keys: Path) -> Cohorts:
    """Makes marks as another pod with these keys does."""
    return bound(bytes.fromhex(keys.read_text()))


def posts(path: str, document: Any) -> Ask:
    def ask(process: servers.Process, headers: dict[str, str]) -> Any:
        answer = httpx.post(process.rest + path, json=document, headers=headers)
        return answer.json()["code"] if answer.is_error else "ok"

    return ask


def code_of(error: Any) -> str:
    code: str = dict(error.trailing_metadata())["pdx-code"]
    return code


def calls(process: servers.Process, headers: dict[str, str]) -> Any:
    request = pb.ModelInferRequest(model_name="battle")
    for name, value in PAIRING.items():
        request.inputs.add(name=name, datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(value.encode())
    with grpc.insecure_channel(process.grpc) as channel:
        try:
            doors.infer(channel, request, metadata=list(headers.items()))
        except grpc.RpcError as error:
            return code_of(error)
    return "ok"


DOORS = {
    "battle": posts("/predict/battle", DUEL),
    "records": posts("/predict", {"records": [PAIRING] * 2}),
    "many": posts("/predict", {"records": [PAIRING] * 200}),
    "oip": posts("/v2/models/battle/infer", {"inputs": TENSORS}),
    "grpc": calls,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("cohort", [*MARKED, "header"])
def test_marked_requests_need_no_key_and_count_in_one_counter_alone(
    pod: servers.Process, signer: Cohorts, door: str, cohort: str
) -> None:
    tester = {TESTERS: "let-me-try", "x-api-key": API_KEY}
    headers = tester if cohort == "header" else {HEADER: signer.make(cohort).text}
    before = scrape(pod)
    assert DOORS[door](pod, headers) == "ok"
    after = scrape(pod)
    transport = "grpc" if door == "grpc" else "rest"
    labels = {"cohort": cohort, "transport": transport, "class": "ok"}
    assert moved(before, after) == {"cohort_requests_total"}
    assert total(after, "cohort_requests_total") - total(before, "cohort_requests_total") == 1
    assert total(after, "cohort_requests_total", **labels) - total(before, "cohort_requests_total", **labels) == 1


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("bad", ["expired", "foreign", "unsigned", "another tester's"])
def test_a_bad_mark_is_users_traffic_and_opens_nothing(
    pod: servers.Process, signer: Cohorts, door: str, bad: str
) -> None:
    headers = {
        "expired": {HEADER: signer.make("golden", now=1_000.0).text},
        "foreign": {HEADER: bound(OTHER_KEY).make("golden").text},
        "unsigned": {HEADER: "v1.golden.9999999999."},
        "another tester's": {TESTERS: "let-me-in"},
    }[bad]
    before = scrape(pod)
    assert DOORS[door](pod, headers) == "unauthorized"
    assert DOORS[door](pod, {**headers, "x-api-key": API_KEY}) == "ok"
    after = scrape(pod)
    assert total(after, "cohort_requests_total") == total(before, "cohort_requests_total")
    assert total(after, "api_requests_total") - total(before, "api_requests_total") == 2


@pytest.mark.parametrize("door", DOORS)
def test_choosing_a_track_is_no_key(pod: servers.Process, door: str) -> None:
    assert DOORS[door](pod, {TESTERS: "let-me-try"}) == "unauthorized"


@pytest.mark.parametrize("door", ["battle", "grpc"])
def test_refused_requests_of_a_cohort_are_its_own_too(pod: servers.Process, signer: Cohorts, door: str) -> None:
    asked = {"battle": posts("/predict/battle", {}), "grpc": _asks_for_another_model}[door]
    before = scrape(pod)
    assert asked(pod, {HEADER: signer.make("test").text}) in {"invalid_input", "not_found"}
    after = scrape(pod)
    assert moved(before, after) == {"cohort_requests_total"}
    refused = {"cohort": "test", "class": "client"}
    assert total(after, "cohort_requests_total", **refused) - total(before, "cohort_requests_total", **refused) == 1


def _asks_for_another_model(process: servers.Process, headers: dict[str, str]) -> Any:
    with grpc.insecure_channel(process.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        doors.infer(channel, pb.ModelInferRequest(model_name="other"), metadata=list(headers.items()))
    return code_of(refused.value)


def test_outcomes_from_a_cohort_are_no_live_ones_and_stand_in_no_ones_way(
    pod: servers.Process, signer: Cohorts
) -> None:
    user = {"x-api-key": API_KEY}
    answer = httpx.post(f"{pod.rest}/predict/battle", json=DUEL, headers=user).json()
    best = answer["all_moves"][0]
    outcome = {
        "prediction_id": answer["prediction_id"],
        "outcome": "a",
        "move_a": best["move"],
        "move_b": best["best_reply"],
    }
    before = scrape(pod)
    for headers, count in (({HEADER: signer.make("test").text}, 0), (user, 1)):
        told = httpx.post(f"{pod.rest}/feedback", json=outcome, headers=headers).json()
        assert told["results"][0]["status"] == "counted"
        counted = total(pod, "model_feedback_total") - total(before, "model_feedback_total")
        assert counted == count


def test_the_admin_door_makes_a_mark_that_replicas_know(pod: servers.Process, replica: servers.Process) -> None:
    answer = httpx.post(f"{replica.admin}/mark/golden")
    assert answer.status_code == 200
    assert answer.json().keys() == {"mark", "header", "expires"}
    before = scrape(pod)
    assert DOORS["battle"](pod, {answer.json()["header"]: answer.json()["mark"]}) == "ok"
    after, labels = scrape(pod), {"cohort": "golden", "class": "ok"}
    assert total(after, "cohort_requests_total", **labels) - total(before, "cohort_requests_total", **labels) == 1


def test_the_admin_door_makes_no_other_marks(pod: servers.Process) -> None:
    for path in ("/mark/shadow", "/mark/test", "/mark/header", "/mark/other", "/mark/", "/mark"):
        for method in ("GET", "POST"):
            assert httpx.request(method, pod.admin + path).status_code == 404, path
    assert httpx.post(f"{pod.rest}/mark/golden", headers={"x-api-key": API_KEY}).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_makes_no_mark(pod: servers.Process, method: str) -> None:
    answer = httpx.request(method, f"{pod.admin}/mark/golden")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "v1.golden" not in answer.text


def test_a_mark_is_of_the_model_that_is_served(core: Core, pod: servers.Process, keys: Path) -> None:
    ours = bound(bytes.fromhex(keys.read_text()), name=core.contract.name)
    assert ours.marked(httpx.post(f"{pod.admin}/mark/golden").json()["mark"]) == "golden"
