"""Dashboards ask for what there is, of the release that is chosen, and each alert leads to the one that lists it."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from monitoring.dashboards import __main__ as generator
from monitoring.dashboards import model, resources, rollout, service
from tests.helm.charts import Chart, with_image
from tests.helm.charts import helm as find_helm

MADE = {each.NAME: each for each in (service, model, resources, rollout)}
OUTSIDE = {"up", "ALERTS"}
"""Series that Prometheus makes itself; those of the kubelet begin with container_."""
INSTEAD = {"$__rate_interval": "5m", "$namespace": "models", "$release": "battle", "$version": ".*", "$track": ".*"}

Rules = Callable[[str], dict[str, Any]]


class Asked(NamedTuple):
    """A query of a panel."""

    dashboard: str
    panel: str
    expr: str


def queries() -> Iterator[Asked]:
    """Every query of every dashboard."""
    for name, text in generator.texts().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", []):
                yield Asked(name, panel["title"], target["expr"])


def names(expr: str) -> set[str]:
    """Names of the series that an expression asks for."""
    return set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", expr))


def test_committed_dashboards_are_what_their_source_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generator.main(["--check"]) == 0
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_queries_ask_for_what_there_is(rules: Rules, exposed: set[str]) -> None:
    recorded = {rule["record"] for group in rules("")["groups"] for rule in group["rules"] if "record" in rule}
    for asked in queries():
        assert names(asked.expr), asked
        unknown = {name for name in names(asked.expr) if not name.startswith("container_")}
        assert unknown <= recorded | exposed | OUTSIDE, asked


def test_queries_are_of_the_chosen_release() -> None:
    for asked in queries():
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", asked.expr):
            assert 'namespace="$namespace"' in selector, asked
            kubelets = name.startswith("container_") and "and on (namespace, pod) (up{" in asked.expr
            assert 'release="$release"' in selector or kubelets, asked


def test_each_variable_can_be_chosen_and_changes_what_is_seen() -> None:
    for name, text in generator.texts().items():
        made = json.loads(text)
        listed = {each["name"]: each for each in made["templating"]["list"]}
        assert list(listed) == ["datasource", "namespace", "model", "release", "version", "track"], name
        asked = " ".join(query.expr for query in queries() if query.dashboard == name)
        for variable in ("namespace", "release", "version", "track"):
            assert f'"${variable}"' in asked, (name, variable)
        # A release serves one model, so a model chooses among releases.
        assert '"$model"' in json.dumps(listed["release"]["query"]).replace('\\"', '"'), name


def test_failures_are_shares_of_what_the_rules_count(rules: Rules) -> None:
    recorded = next(
        rule["expr"]
        for group in rules("")["groups"]
        for rule in group["rules"]
        if rule.get("record") == "release:api_errors:ratio_rate5m"
    )
    drawn = next(asked.expr for asked in queries() if asked.panel == "Share of failed requests")
    drawn = drawn.replace(',version=~"$version",track=~"$track"', "")
    for variable, value in INSTEAD.items():
        drawn = drawn.replace(variable, value)
    assert re.findall(r"\{[^}]*\}", drawn) == re.findall(r"\{[^}]*\}", recorded)


def test_queries_are_promql(program: str, tmp_path: Path) -> None:
    exprs = [asked.expr for asked in queries()]
    for variable, value in INSTEAD.items():
        exprs = [expr.replace(variable, value) for expr in exprs]
    records = [{"record": f"asked:{number}", "expr": expr} for number, expr in enumerate(exprs)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": records}]}))
    command = [program, "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_number_of_the_values_is_written_in_a_query() -> None:
    for asked in queries():
        numbers = set(re.findall(r"(?<![\w:.\"])\d+(?:\.\d+)?(?![\w:\"])", asked.expr))
        assert numbers <= {"0", "1", "10", "100", "86400", "0.5", "0.95", "0.99"}, asked


def test_each_alert_leads_to_the_dashboard_that_lists_it(rules: Rules) -> None:
    every = [rule for name in ("", "custom") for group in rules(name)["groups"] for rule in group["rules"]]
    for rule in every:
        if "alert" not in rule:
            continue
        listed = [name for name, each in MADE.items() if re.fullmatch(each.ALERTS, rule["alert"])]
        assert [f"predictiondex-{name}" for name in listed] == [rule["annotations"]["dashboard"]], rule["alert"]


def test_the_chart_ships_them_and_alerts_name_them(tmp_path: Path) -> None:
    helm = find_helm()
    if helm is None:
        pytest.skip("helm 4 is not there (make tools)")
    grafana = {
        "url": "https://grafana.example/",
        "dashboards": {"enabled": True, "additionalLabels": {"team": "duels"}},
    }
    chart = Chart(helm, tmp_path)
    values = with_image(grafana=grafana, prometheusRule={"enabled": True})
    (shipped,) = (each for each in chart.manifests(values) if each["metadata"]["name"] == "battle-grafana")
    assert shipped["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "team": "duels"}.items()
    assert {name: json.loads(text) for name, text in shipped["data"].items()} == {
        f"predictiondex-{name}": json.loads(text) for name, text in generator.texts().items()
    }
    uids = {json.loads(text)["uid"] for text in shipped["data"].values()}
    for group in chart.one("PrometheusRule", values)["spec"]["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                url = rule["annotations"]["dashboard_url"]
                uid = url.removeprefix("https://grafana.example/d/").removesuffix(
                    "?var-namespace=models&var-release=battle"
                )
                assert uid in uids, url
