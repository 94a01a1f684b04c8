"""tools/values_schema.py: what it makes of values.yaml, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bentos.metrics.labels import EDGES
from bentos.settings import variables
from tests.helm.charts import ROOT
from tools.values_schema import END, SERVING, START, THE_CHARTS_OWN, TRAINING, Chart, Refused, generate

VALUES = SERVING.values.read_text()
EMPTY = f"before\n{START}\n{END}\nafter\n"


def schema(chart: Chart = SERVING) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(generate(chart, chart.values.read_text(), EMPTY)[chart.schema])
    return made


def objects(part: Any) -> list[dict[str, Any]]:
    """Every schema of an object, at any depth."""
    found = [part] if isinstance(part, dict) and part.get("type") == "object" else []
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return found + [each for value in inner for each in objects(value)]


@pytest.mark.parametrize(("chart", "least"), [(SERVING, 30), (TRAINING, 25)])
def test_every_object_is_closed_or_holds_names_of_one_kind(chart: Chart, least: int) -> None:
    every = objects(schema(chart))
    assert len(every) > least
    for each in every:
        if "properties" in each:
            assert each["additionalProperties"] is False
        else:
            assert each["additionalProperties"]["type"] == "string"
            assert "pattern" in each["propertyNames"]


def test_every_setting_of_the_server_can_be_given() -> None:
    given = schema()["properties"]["settings"]["properties"]
    assert given.keys() == set(variables()) - THE_CHARTS_OWN
    assert set(variables()) >= THE_CHARTS_OWN
    assert given["PDX_LIMIT_NESTING"] == {"type": "integer", "minimum": 4, "maximum": 200}
    assert given["PDX_STOP_DRAIN_SECONDS"]["maximum"] == 3600
    assert given["PDX_LOG_FORMAT"]["enum"] == ["json", "text"]
    assert all(each.get("type") or each.get("enum") for each in given.values())


def test_the_threshold_is_an_edge_of_the_histogram() -> None:
    threshold = schema()["properties"]["slo"]["properties"]["latency"]["properties"]["threshold"]
    assert threshold["enum"] == list(EDGES)


def test_the_table_replaces_what_is_between_the_marks() -> None:
    made = generate(SERVING, VALUES, f"before\n{START}\nold\n{END}\nafter\n")[SERVING.document]
    assert made.startswith(f"before\n{START}\n| value | default | meaning |\n")
    assert made.endswith(f"{END}\nafter\n")
    assert "\n| `autoscaling.min` | `2` | Pods, at least |\n" in made
    assert "\nold\n" not in made


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ("  min: 2 # pods, at least", "  min: 2", "autoscaling.min needs a comment beside it"),
        ("  min: 2 # pods, at least", "  min: 2 #", "autoscaling.min needs a comment beside it"),
        (
            "  min: 2 # pods, at least",
            "  min: 2 # pods\n  step: 1 # pods",
            "needs a rule for autoscaling.step: only true and false speak for themselves",
        ),
        ("  max: 10 # pods, at most\n", "", "has rules for autoscaling.max, which serving/values.yaml does not"),
        ("    maxSkew: 1 # pods", "    maxSkew: 1 #pods", "topologySpread needs a comment beside it"),
    ],
)
def test_values_that_say_too_little_are_refused(line: str, instead: str, sentence: str) -> None:
    assert line in VALUES
    with pytest.raises(Refused, match=sentence):
        generate(SERVING, VALUES.replace(line, instead, 1), EMPTY)


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(Refused, match=r"docs/chart\.md lacks the lines"):
        generate(SERVING, VALUES, "nothing")
    with pytest.raises(Refused, match=r"docs/training-chart\.md lacks the lines"):
        generate(TRAINING, TRAINING.values.read_text(), "nothing")


@pytest.mark.parametrize(
    ("stale", "word"),
    [
        ("helm/serving/values.schema.json", "pods, at least"),
        ("docs/chart.md", "Pods, at least"),
        ("helm/training/values.schema.json", "shards, each a file"),
        ("docs/training-chart.md", "Shards, each a file"),
    ],
)
def test_the_check_names_what_is_stale(tmp_path: Path, stale: str, word: str) -> None:
    for name in (
        "tools/values_schema.py",
        "helm/serving/values.yaml",
        "helm/serving/values.schema.json",
        "docs/chart.md",
        "helm/training/values.yaml",
        "helm/training/values.schema.json",
        "docs/training-chart.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "tools/values_schema.py"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *options], cwd=tmp_path, check=False, capture_output=True, text=True)

    assert run("--check").returncode == 0
    written = (tmp_path / stale).read_text()
    assert word in written
    (tmp_path / stale).write_text(written.replace(word, "something else"))
    checked = run("--check")
    assert checked.returncode == 1
    assert checked.stdout == f"{stale} is not what the chart's values say; run tools/values_schema.py\n"
    assert run().returncode == 0
    assert run("--check").returncode == 0
