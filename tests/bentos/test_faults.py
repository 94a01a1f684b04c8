"""Faults are off, refused without the flag, and do through both doors what they say."""

from pathlib import Path
from time import perf_counter

import httpx
import pytest

from bentos.errors import SettingsError
from bentos.settings import Settings
from tests import servers

DUEL = {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}
FLAG = {"PDX_FAULT_ALLOWED": "yes-this-is-a-test"}


@pytest.mark.parametrize("fault", [{"slow_seconds": 0.5}, {"error_ratio": 0.1}])
def test_a_fault_without_the_flag_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=r"need PDX_FAULT_ALLOWED=yes-this-is-a-test beside them\.$"):
        Settings.read({"fault": fault})
    assert Settings.read({"fault": {**fault, "allowed": "yes-this-is-a-test"}}).fault.allowed


def test_a_process_with_a_fault_and_no_flag_does_not_start(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_ERROR_RATIO="0.5") as process:
        assert process.wait() == 78
        assert "PDX_FAULT_ALLOWED" in process.text()


def test_a_slow_model_is_slow_and_says_so_in_the_log(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_SLOW_SECONDS="0.4", **FLAG) as process:
        servers.ready(process)
        assert "FAULTS ARE INJECTED" in process.text()
        start = perf_counter()
        answer = httpx.post(f"{process.rest}/predict/battle", json=DUEL)
        assert answer.status_code == 200
        assert perf_counter() - start >= 0.4


def test_a_failing_model_fails_as_any_model_would(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, PDX_BUNDLE=str(bundle), PDX_FAULT_ERROR_RATIO="1", **FLAG) as process:
        servers.ready(process)
        answer = httpx.post(f"{process.rest}/predict/battle", json=DUEL)
        assert answer.status_code == 500
        assert answer.json()["code"] == "internal"
        assert "FAULT" not in answer.text
        metrics = httpx.get(f"{process.admin}/metrics").text
        lines = [line for line in metrics.splitlines() if 'code="internal"' in line and 'transport="rest"' in line]
        assert [line.rpartition(" ")[2] for line in lines] == ["1"]
