import json
from pathlib import Path

import httpx
import pytest

from tests import servers


def test_a_ready_process_says_so(server: servers.Process) -> None:
    for path, status in (("/livez", "live"), ("/readyz", "ready")):
        response = httpx.get(server.admin + path)
        assert (response.status_code, response.json()) == (200, {"status": status})


def test_the_contract_is_the_bundles(server: servers.Process, bundle: Path) -> None:
    shown = httpx.get(f"{server.admin}/contract").json()
    written = json.loads((bundle / "contract.json").read_text())
    assert {key: shown[key] for key in ("name", "version", "files", "features", "parity")} == {
        **{key: written[key] for key in ("name", "version", "files", "features")},
        "parity": {**written["parity"], "tolerance": 1e-5, "compared_rows": 0, "max_difference": 0.0},
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/predict/battle", 404, "not_found"), ("POST", "/readyz", 405, "method_not_allowed")],
)
def test_nothing_else_is_answered(server: servers.Process, method: str, path: str, status: int, code: str) -> None:
    response = httpx.request(method, server.admin + path)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_another_method_is_told_which_ones_there_are(server: servers.Process) -> None:
    assert httpx.post(f"{server.admin}/readyz").headers["allow"] == "GET, HEAD"
    head = httpx.head(f"{server.admin}/readyz")
    assert (head.status_code, head.content) == (200, b"")
