"""The OpenAPI document, and the server held against it by schemathesis: valid, invalid and odd requests.

``FUZZ_EXAMPLES`` sets how many each operation gets in each phase. The default is short; 400 make over 6,000 a model.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from bentos import errors
from bentos.core import Core
from bentos.errors import RequestError
from bentos.http import Request, status_of
from bentos.metrics import Metrics
from bentos.openapi import document
from bentos.rest import Rest
from bentos.routes import READ, WRITE
from bentos.settings import Settings
from bentos.state import State
from tests import bundles, servers, tabular
from tests.bentos.openapi_hooks import LENGTH, OCTETS, frame

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "8")
PATIENCE = 60
"""Seconds after which a request hangs; BentoML is imported by the first one for it."""
CONFIG = f"""
hooks = "{Path(__file__).with_name("openapi_hooks.py")}"

[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx"]

[checks.positive_data_acceptance]
# What a schema cannot say, which attacks a species learns or how many values a shape needs, is answered with these.
expected-statuses = ["2xx", 404, 413, 422]

[checks.negative_data_rejection]
# 413 is missing in its own list: a wrong request may also have too many rows.
expected-statuses = [400, 404, 405, 413, 415, 422]

[[operations]]
# The time that a request allows may be a microsecond.
include-path-regex = "/infer$"

[operations.checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 504]

[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 413, 422, 504]
"""
KINDS = ["battle", "classifier", "pipeline", "regressor"]


@pytest.fixture(scope="module", params=KINDS)
def bundle_of_a_kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return bundles.write(folder / "b") if request.param == "battle" else tabular.write(request.param, folder / "b")


@pytest.fixture(scope="module")
def served(bundle_of_a_kind: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    folder = tmp_path_factory.mktemp("server")
    with servers.start(folder, "--bundle", str(bundle_of_a_kind), PDX_STOP_DRAIN_SECONDS="0") as process:
        yield servers.ready(process)


@pytest.fixture(scope="module")
def model(bundle_of_a_kind: Path) -> Core:
    return Core.open(bundle_of_a_kind)


def fetched(process: servers.Process) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{process.rest}/openapi.json", timeout=PATIENCE).raise_for_status().json()
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of every entry."""
    for path, item in described["paths"].items():
        for method in item.keys() & {"get", "post"}:
            yield path, method.upper(), item[method]


def named(path: str, operation: dict[str, Any]) -> str:
    """A path with the one value that each of its names has."""
    for parameter in operation.get("parameters", []):
        if parameter.get("in") == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["schema"]["enum"][0])
    return path


def without_ids(answer: Any) -> Any:
    """An answer without what is another one each time."""
    if isinstance(answer, list):
        return [without_ids(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    return {key: without_ids(value) for key, value in answer.items() if not key.startswith("prediction_id")}


def asked(operation: dict[str, Any]) -> Any:
    return operation["requestBody"]["content"]["application/json"]["example"]


def answered(operation: dict[str, Any]) -> Any:
    return operation["responses"]["200"]["content"]["application/json"]["example"]


def test_the_document_is_openapi_3_1(model: Core) -> None:
    described = json.loads(json.dumps(document(model)))
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(described)] == []
    damages: list[dict[str, Any]] = [{"info": {}}, {"paths": {"no slash": {}}}]
    assert not any(OPENAPI_31_VALIDATOR.is_valid({**described, **damage}) for damage in damages)
    # A reference to nothing is valid by that schema.
    for found in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described)):
        part = described
        for name in found.split("/"):
            part = part[name]


def test_every_route_is_an_entry_and_every_entry_a_route(model: Core) -> None:
    state = State()
    state.core = model
    rest = Rest(_no_app, state=state, settings=Settings(), metrics=Metrics())
    rest._find(Request("GET", "/v2", "", {}))
    routes = {
        (route.template, method) for route in rest._table.values() for method in route.methods if method != "HEAD"
    }
    described = document(model)
    assert {(path, method) for path, method, _ in operations(described)} == routes
    assert {route.methods for route in rest._table.values()} == {READ, WRITE}
    for path, method, operation in operations(described):
        route = rest._table[named(path, operation)]
        assert (route.template, method) == (path, route.methods[0])
        # What asks for no key says so.
        assert (operation.get("security") == []) is route.open
        assert ("401" in operation["responses"]) is not route.open
        assert len({each["operationId"] for _, _, each in operations(described)}) == len(list(operations(described)))


async def _no_app(*_: Any) -> None:
    raise AssertionError


def test_every_error_of_the_tree_is_an_example_of_its_status(model: Core) -> None:
    described = document(model)["components"]["responses"]

    def tree(root: type[RequestError]) -> Iterator[type[RequestError]]:
        yield root
        for child in root.__subclasses__():
            if child.__module__ == errors.__name__:
                yield from tree(child)

    expected = {(str(status_of(error(""))), error.code) for error in tree(RequestError)} | {("500", "internal")}
    found = {
        (status, code): example["value"]
        for status, response in described.items()
        for code, example in response["content"]["application/json"]["examples"].items()
    }
    assert set(found) == expected
    assert all(value["code"] == code and value["error"].endswith((".", "?")) for (_, code), value in found.items())


def test_every_example_fits_its_schema(model: Core) -> None:
    described = json.loads(json.dumps(document(model)))
    seen = 0

    def check(part: Any) -> None:
        nonlocal seen
        if isinstance(part, list):
            for each in part:
                check(each)
        if not isinstance(part, dict):
            return
        given = [part["example"]] if "example" in part else []
        named_examples = part.get("examples")
        given += [each["value"] for each in named_examples.values()] if isinstance(named_examples, dict) else []
        if given and "schema" in part:
            schema = {**part["schema"], "components": described["components"]}
            for example in given:
                jsonschema_rs.Draft202012Validator(schema).validate(example)
                seen += 1
        for each in part.values():
            check(each)

    check(described)
    assert seen >= 40


def test_every_json_body_has_an_example_and_every_route_one_of_its_answer(model: Core) -> None:
    for path, method, operation in operations(document(model)):
        media = operation["responses"]["200"]["content"]
        assert all("example" in each for kind, each in media.items() if kind != OCTETS), path
        assert method == "GET" or asked(operation), path


def test_every_example_of_the_document_is_answered_as_it_says(served: servers.Process) -> None:
    described = fetched(served)
    ident = ""
    for path, method, operation in sorted(operations(described), key=lambda each: each[0] == "/feedback"):
        url = served.rest + named(path, operation)
        if method == "GET":
            answer = httpx.get(url, timeout=PATIENCE)
            assert answer.headers["content-type"].partition(";")[0] in operation["responses"]["200"]["content"]
            if path.startswith("/v2"):
                assert answer.json() == answered(operation)
        else:
            body = asked(operation)
            sent = {**body, "prediction_id": ident} if path == "/feedback" else body
            answer = httpx.post(url, json=sent, timeout=PATIENCE)
            if path == "/feedback":
                assert answer.json()["accepted"] == 1
            else:
                assert without_ids(answer.json()) == without_ids(answered(operation)), path
            if path == "/predict":
                ident = answer.json()["predictions"][0]["prediction_id"]
        assert answer.status_code == 200, (path, answer.text)


def test_an_example_says_nothing_that_counts_as_feedback(served: servers.Process) -> None:
    described = fetched(served)
    text = json.dumps(described)
    example = asked(described["paths"]["/feedback"]["post"])
    refused = httpx.post(f"{served.rest}/feedback", json=example, timeout=PATIENCE)
    assert (refused.status_code, refused.json()["code"]) == (422, "prediction_refused")
    assert set(re.findall(r'"prediction_ids?": "([^"]+)"', text)) == {example["prediction_id"]}


def test_the_binary_form_is_described_both_ways_and_packed_too(served: servers.Process) -> None:
    path, _, operation = next(each for each in operations(fetched(served)) if each[0].endswith("/infer"))
    assert OCTETS in operation["requestBody"]["content"]
    response = operation["responses"]["200"]
    assert {OCTETS, "application/json"} == set(response["content"])
    assert {LENGTH, "Content-Encoding"} < set(response["headers"])
    named_headers = {each["$ref"].rpartition("/")[2] for each in operation["parameters"] if "$ref" in each}
    assert named_headers == {"content-encoding", "accept-encoding", "json-length"}
    inputs: list[Any] = []
    buffers: list[bytes] = []
    for tensor in asked(operation)["inputs"]:
        buffers.append(frame(tensor["datatype"], tensor.pop("data")))
        inputs.append({**tensor, "parameters": {"binary_data_size": len(buffers[-1])}})
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {LENGTH: str(len(text)), "Content-Encoding": "gzip", "Content-Type": OCTETS}
    body = gzip.compress(b"".join([text, *buffers]))
    answer = httpx.post(served.rest + named(path, operation), content=body, headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, OCTETS), answer.text
    document_of = json.loads(answer.content[: int(answer.headers[LENGTH])])
    assert [output["name"] for output in document_of["outputs"]] == [
        output["name"] for output in answered(operation)["outputs"]
    ]


def test_what_a_route_refuses_a_request_with_is_described_there(served: servers.Process) -> None:
    described = fetched(served)
    too_long = b" " * (Settings().http.body_bytes + 1)
    provoked: list[tuple[str, dict[str, Any], int]] = [
        ("POST", {"content": b"{", "headers": {"Content-Encoding": "br"}}, 415),
        ("POST", {"content": b"{"}, 400),
        ("POST", {"json": {}}, 422),
        ("POST", {"content": too_long}, 413),
        ("DELETE", {}, 405),
        ("GET", {"headers": {"x": "y" * Settings().http.header_bytes}}, 431),
    ]
    with httpx.Client(timeout=PATIENCE) as client:
        for path, method, operation in operations(described):
            for sent, arguments, status in provoked:
                if sent == "POST" != method:
                    continue
                answer = client.request(sent, served.rest + named(path, operation), **arguments)
                assert answer.status_code == status, (path, answer.text)
                assert str(status) in operation["responses"], path
                assert set(answer.json()) == {"error", "code", "details"}
                promised = described["components"]["responses"][str(status)]["headers"]
                assert all(name in answer.headers for name in promised), (path, status)
            # These need a moment of their own; every route may answer with them, and only some with these others.
            assert {"400", "408", "413", "431", "500", "503"} <= set(operation["responses"]), path
            assert ("504" in operation["responses"]) is path.endswith("/infer")
            assert ("404" in operation["responses"]) is ("{" in path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_in_or_out_of_the_document_breaks_the_server(
    served: servers.Process, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    described = fetched(served)
    path, _, infer = next(each for each in operations(described) if each[0].endswith("/infer"))
    before = served.memory_mib()
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(tmp_path / "schemathesis.toml"),
        "run",
    ]
    command += [f"{served.rest}/openapi.json", "--checks", "all", "--max-examples", EXAMPLES, "--seed", "1"]
    command += [
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        str(PATIENCE),
        "--continue-on-failure",
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found is not None, done.stdout[-3000:]
    # A document that lost its operations would pass as well.
    assert int(found[1]) >= 12 * int(EXAMPLES)
    assert "Traceback" not in served.text()
    assert served.memory_mib() - before < 60
    for known in ("/v2/health/ready", "/openapi.json"):
        assert httpx.get(served.rest + known, timeout=PATIENCE).status_code == 200
    answer = httpx.post(served.rest + named(path, infer), json=asked(infer), timeout=PATIENCE)
    assert without_ids(answer.json()) == without_ids(answered(infer))
    with capsys.disabled():
        name = described["info"]["title"].rpartition(" ")[2]
        print(f"\nschemathesis: {found[1]} cases against {name}, no finding")  # noqa: T201  the run's own figure
