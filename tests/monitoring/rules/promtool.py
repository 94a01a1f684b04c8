"""Prometheus' own tests of rules: which alerts fire on given series."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from k8s.local import tools
from tests.monitoring.rules.pods import Pod

_LONG = 120
_SELDOM = 5
MISSING = "promtool is not there (make tools)"


def promtool() -> str | None:
    """The promtool that `make tools` built, or one on PATH."""
    ours = tools.path("promtool")
    return str(ours) if ours.exists() else shutil.which("promtool")


def check(program: str, rules: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What `promtool check rules` says of the spec of a PrometheusRule, every lint on."""
    (folder / "rules.yaml").write_text(json.dumps(rules))
    command = [program, "check", "rules", "--lint=all", "--lint-fatal", str(folder / "rules.yaml")]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def complaint(
    program: str,
    rules: dict[str, Any],
    pods: Iterable[Pod],
    firing: set[str],
    folder: Path,
    *,
    interval_s: int = 60,
    evaluated_s: int | None = None,
    true: str = "",
) -> str:
    """Whether exactly these alerts fire at the last scrape.

    Args:
        program: promtool.
        rules: spec of a PrometheusRule.
        pods: what was scraped.
        firing: names of alerts.
        folder: an empty one.
        interval_s: time between two scrapes.
        evaluated_s: time between two evaluations, the last scrape at one of them; else that between two scrapes, or
            five times as long where there are many of them.
        true: an expression that has to be 1 for every series it has.

    Returns:
        What promtool says where they do not; nothing where they do.
    """
    given = list(pods)
    text = json.dumps(rules)
    found = [(name, values) for pod in given for name, values in pod.series() if name.partition("{")[0] in text]
    scrapes = max((pod.scrapes for pod in given), default=120)
    evaluated_s = evaluated_s or interval_s * (1 if scrapes < _LONG or scrapes % _SELDOM else _SELDOM)
    test: dict[str, Any] = {
        "interval": f"{interval_s}s",
        "input_series": [{"series": name, "values": values} for name, values in found],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{scrapes * interval_s}s",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
            }
        ],
    }
    if true:
        asked = {"expr": f"min({true})", "eval_time": f"{scrapes * interval_s}s"}
        test["promql_expr_test"] = [{**asked, "exp_samples": [{"labels": "{}", "value": 1}]}]
    (folder / "rules.yaml").write_text(text)
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{evaluated_s}s", "tests": [test]}
    (folder / "tests.yaml").write_text(json.dumps(whole))
    command = [program, "test", "rules", "tests.yaml"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
