import json
from pathlib import Path

import httpx
import pytest

from bentos.admin import Admin
from bentos.http import Request, Response
from bentos.metrics import Metrics
from bentos.settings import Live
from bentos.state import State
from bentos.watchdog import REST, Watchdog
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


def test_what_makes_no_progress_is_first_not_ready_and_then_not_alive() -> None:
    now = [0.0]
    watchdog = Watchdog(lambda: now[0])
    state = State()
    admin = Admin(state, Metrics(), watchdog.stalled, Live(unready_seconds=5, stall_seconds=20))

    def statuses() -> tuple[int, int]:
        answers = [admin.handle(Request("GET", path, "", {})) for path in ("/readyz", "/livez")]
        assert all(isinstance(answer, Response) for answer in answers)
        return tuple(answer.status for answer in answers)  # type: ignore[union-attr,return-value]  # asserted above

    watchdog.beat(REST)
    assert statuses() == (503, 200)  # the model is still loading
    state.core = object()  # type: ignore[assignment]  # it is not asked
    assert statuses() == (200, 200)
    now[0] = 6.0
    assert statuses() == (503, 200)
    now[0] = 21.0
    assert statuses() == (503, 503)
    watchdog.beat(REST)
    assert statuses() == (200, 200)
