"""Alerts, runbooks and the list in docs/monitoring.md name each other, and runbooks name only what there is."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.metrics import CODES
from bentos.settings import variables
from tests.monitoring.runbooks.printed import retraining

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "monitoring/runbooks"
FILES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
HEADINGS = ["## Meaning", "## Impact", "## Look at", "## Undo"]
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "helm/serving/values.yaml").read_text())
KUBERNETES = {"Pending", "Running", "OOMKilled", "CrashLoopBackOff"}
"""Words of Kubernetes that stand where codes of errors do."""
OUTSIDE = {"up"}
"""Series that Prometheus makes itself."""

Rules = Callable[[str], dict[str, Any]]


def alerts(rules: Rules) -> dict[str, dict[str, Any]]:
    """Every alert that any values render."""
    every = [rule for name in ("", "custom") for group in rules(name)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in every if "alert" in rule}


def commands(text: str) -> str:
    """The lines that are typed or pasted."""
    return "\n".join(line for line in text.splitlines() if line.startswith("    "))


def test_each_alert_has_its_runbook_and_its_row(rules: Rules) -> None:
    there = set(alerts(rules))
    assert {path.stem for path in FILES} == there
    listed = re.findall(r"^- \[(\w+)\]\(\1\.md\), dashboard (\w+)$", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    leads = {name: f"predictiondex-{dashboard}" for name, dashboard in listed}
    assert leads == {name: rule["annotations"]["dashboard"] for name, rule in alerts(rules).items()}
    rows = re.findall(r"^\| `(Model\w+)` \| (\w+) \|", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE)
    assert dict(rows) == {name: rule["labels"]["severity"] for name, rule in alerts(rules).items()}
    for name, rule in alerts(rules).items():
        assert rule["annotations"]["runbook_url"] == f"monitoring/runbooks/{name}.md"


def test_drift_and_accuracy_lead_to_the_training_of_the_chart(rules: Rules) -> None:
    called = {name for name in alerts(rules) if re.search("Drift|Accuracy|TooOld", name)}
    printed = {path.stem: retraining(path) for path in FILES if "$TRAINING" in commands(path.read_text())}
    assert printed.keys() == called
    assert len(set(printed.values())) == 1  # which tests/e2e/training runs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_runbook_has_its_parts(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n\n    NAMESPACE=")
    assert re.findall(r"^## .*", text, re.MULTILINE) == HEADINGS
    assert all(part.strip() for part in re.split(r"^## .*", text, flags=re.MULTILINE)[1:])
    assert len(text.splitlines()) <= 60
    given = set(re.findall(r"(\w+)=", text.splitlines()[2]))
    assert set(re.findall(r"\$([A-Z]+)", text)) <= given


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_runbook_finds_refusals_in_the_log_and_says_what_a_lone_pod_costs(path: Path) -> None:
    text = path.read_text()
    for pattern in re.findall(r"grep (?:-E )?'(\"level\"[^']*)'", commands(text)):
        # As bentos/logs.py writes what failed, and what was refused.
        assert re.search(pattern, '"level":"error"'), pattern
        assert re.search(pattern, '"level":"warning"'), pattern
    assert ("kubectl delete pod" in text) == ("before its successor is ready" in " ".join(text.split()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_runbook_names_what_there_is(path: Path, rules: Rules, exposed: set[str]) -> None:
    text = path.read_text()
    recorded = {rule["record"] for group in rules("")["groups"] for rule in group["rules"] if "record" in rule}
    asked = set(re.findall(r"([a-z][a-z0-9_:]*)\{", commands(text)))
    assert asked <= recorded | exposed | OUTSIDE
    assert set(re.findall(r"PDX_[A-Z_]+", text)) <= set(variables())
    for code in re.findall(r"^- `(\w+)`", text, re.MULTILINE):
        assert code in {*CODES, *KUBERNETES, "missing", "other_pairing"}, code
    for dotted in set(
        re.findall(r"`((?:slo|prometheusRule|autoscaling|serviceMonitor|networkPolicy|auth|ids)\.[\w.]+)`", text)
    ):
        assert list(_values(dotted)), dotted
    for dotted in set(re.findall(r"--set ([\w.]+)=", text)):
        assert list(_values(dotted)), dotted
    for other in re.findall(r"Model[A-Z]\w+", text):
        assert (RUNBOOKS / f"{other}.md").exists(), other
    for named in re.findall(r"`(docs/[\w-]+\.md)`", text):
        assert (ROOT / named).exists(), named


def _values(dotted: str) -> Iterator[Any]:
    """The value at a place, where there is one."""
    at: Any = VALUES
    for key in dotted.split("."):
        if key not in at:
            return
        at = at[key]
    yield at
