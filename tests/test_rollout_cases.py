"""The table of rollouts on a cluster has a row for each of their tests, and says so where none has shown it."""

import ast
import json
from pathlib import Path

import pytest

from tools import rollout_cases

TESTS = Path(__file__).parent / "e2e/canary"


def test_each_case_is_a_test_and_each_test_a_case() -> None:
    there = {
        node.name
        for path in TESTS.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert {name.partition("[")[0] for name in rollout_cases.CASES} == there
    assert set(rollout_cases.RECORDED.values()) <= set(rollout_cases.CASES)


def test_a_case_without_a_result_is_not_shown() -> None:
    name, what = next(iter(rollout_cases.CASES.items()))
    text = rollout_cases.table({name: {"result": "promoted", "requests": 51_000, "failed": 0, "on": "2026-01-01"}})
    first, second = text.splitlines()[2:4]
    assert first == f"| {what} | promoted | 51,000 | 0 | 2026-01-01 |"
    assert "| not shown |" in second


def test_what_a_run_left_is_taken_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = "<!-- rollouts {}: by a tool -->\n", "<!-- end of rollouts -->\n"
    (tmp_path / "left").mkdir()
    for name, value in (("LEFT", "left"), ("RESULTS", "r.json"), ("DOCUMENT", "d.md"), ("README", "README.md")):
        monkeypatch.setattr(rollout_cases, name, tmp_path / value)
    monkeypatch.setattr(rollout_cases, "ROOT", tmp_path)
    (tmp_path / "d.md").write_text(f"a\n{begin.format('cases')}{end}b\n")
    (tmp_path / "README.md").write_text(f"{begin.format('bad')}{end}")
    look = "    5 s: stable 10 requests, 0 errors; canary 0, 0\n"
    found = {
        "name": rollout_cases.RECORDED["bad"], "result": "out", "requests": 7, "failed": 0, "on": "2026-01-01",
        "log": f"a plan\nFound ... over what is expected.\n1/9 canary up\n  waits: pods\n{3 * look}Out: golden\n",
    }  # fmt: skip
    (tmp_path / "left/one.json").write_text(json.dumps(found))
    assert rollout_cases.main(["--check"]) == 1
    assert rollout_cases.main([]) == 0
    assert rollout_cases.main(["--check"]) == 0
    assert "| out | 7 | 0 | 2026-01-01 |" in (tmp_path / "d.md").read_text()
    assert (tmp_path / "README.md").read_text().splitlines()[1:-1] == [
        "```", "1/9 canary up", look.rstrip(), "  …", "Out: golden", "```"
    ]  # fmt: skip


def test_a_log_in_other_words_makes_no_empty_recording() -> None:
    with pytest.raises(ValueError, match="has nothing after the plan"):
        rollout_cases.recording(
            {rollout_cases.RECORDED["bad"]: {"log": "a plan in other words\n1/8 canary up\n"}}, "bad"
        )
