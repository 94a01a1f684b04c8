"""The OpenAPI document, and the server held against it by schemathesis: valid, invalid and odd requests.

``FUZZ_EXAMPLES`` sets how many each operation gets in each phase: the default is short, and 300 make some 10,000.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import bundles, servers, tabular

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "15")
CONFIG = """
[checks.positive_data_acceptance]
# What a schema cannot say, which attacks a species learns or how many values a shape needs, is answered with these.
expected-statuses = ["2xx", 401, 404, 413, 422]

[checks.negative_data_rejection]
# 413 is missing in its own list: a wrong request may also have too many rows.
expected-statuses = [400, 401, 404, 405, 413, 415, 422]
"""


@pytest.fixture(scope="module", params=["battle", "classifier", "pipeline", "regressor"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    folder = tmp_path_factory.mktemp(request.param)
    made = bundles.write(folder / "bundle") if request.param == "battle" else tabular.write(request.param, folder / "b")
    with servers.start(folder, "--bundle", str(made)) as process:
        yield servers.ready(process)


def document(process: servers.Process) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{process.rest}/openapi.json").raise_for_status().json()
    return found


def test_every_example_of_the_document_is_answered(served: servers.Process) -> None:
    for path, operations in document(served)["paths"].items():
        body = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in body and path != "/feedback":
            for name in re.findall(r"{(\w+)}", path):
                parameters = operations["post"]["parameters"]
                value = next(each["schema"]["enum"][0] for each in parameters if each["name"] == name)
                path = path.replace(f"{{{name}}}", value)  # noqa: PLW2901
            answer = httpx.post(served.rest + path, json=body["example"])
            assert answer.status_code == 200, (path, answer.text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_in_or_out_of_the_document_breaks_the_server(served: servers.Process, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
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
        "10",
        "--continue-on-failure",
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found is not None, done.stdout[-3000:]
    # A document that lost its operations would pass as well.
    assert int(found[1]) >= 20 * int(EXAMPLES)
    print(f"schemathesis: {found[1]} cases")  # noqa: T201  shown with -s
    assert "Traceback" not in served.text()
    assert served.memory_mib() - before < 60
    for path in ("/v2/health/ready", "/openapi.json"):
        assert httpx.get(served.rest + path).status_code == 200
