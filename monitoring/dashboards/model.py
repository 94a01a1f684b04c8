"""What the model says, whether it is asked about other things than before, and how often it is right."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.parts import CHOSEN, OWN, RATE, Query, alerts, dashboard, heat, limit, lines, row

NAME: Final = "model"
ALERTS: Final = "Model(Input|Score)Drift(Severe)?|ModelAccuracy(Low|BelowOffline)|ModelTooOld"
_OWN: Final = f'{OWN},version=~"$version"'
"""Of what is recorded by version, over all its pods."""


def _drift(window: str) -> list[Query]:
    own = f'{_OWN},window="{window}"'
    return [
        Query(f"column:model_input_drift:psi{{{own}}}", "{{column}} ({{version}})"),
        Query(f"max by (version) (column:model_input_drift:bound{{{own}}})", "bound by chance ({{version}})"),
        limit("slo:drift:floor", "floor"),
        limit("slo:drift:ceiling", "ceiling"),
    ]


def made() -> Dashboard:
    """The dashboard."""
    return (
        dashboard(NAME, "model", "Predictions, drift and live accuracy of the versions of one release.")
        .with_row(row("Predictions"))
        .with_panel(alerts(ALERTS))
        .with_panel(
            lines(
                "Predictions",
                "Rows that were scored; a duel is some hundred.",
                [Query(f"sum by (version) (rate(model_predictions_total{{{CHOSEN}}}[{RATE}]))", "version {{version}}")],
                "short",
            )
        )
        .with_panel(
            heat(
                "Confidence",
                "Probability of the answered class, one a request. A model that has grown unsure moves down.",
                Query(f"sum by (le) (increase(model_confidence_score_bucket{{{CHOSEN}}}[{RATE}]))", "{{le}}"),
            )
        )
        .with_panel(
            lines(
                "Versions",
                "Pods by version and track.",
                [Query(f"count by (track, version) (model_info{{{CHOSEN}}})", "{{track}} {{version}}")],
                "short",
            )
        )
        .with_row(row("Drift"))
        .with_panel(
            lines(
                "Inputs, over an hour",
                "Population stability index by column. Above its bound it is no chance; above the floor it matters.",
                _drift("1h"),
                "short",
            )
        )
        .with_panel(lines("Inputs, over a day", "The same over a day: small shifts that last.", _drift("24h"), "short"))
        .with_panel(
            lines(
                "Scores",
                "The same of the score.",
                [
                    Query(f"model:model_score_drift:psi{{{_OWN}}}", "{{window}} ({{version}})"),
                    Query(
                        f"max by (version, window) (model:model_score_drift:bound{{{_OWN}}})",
                        "bound by chance, {{window}} ({{version}})",
                    ),
                    limit("slo:drift:floor", "floor"),
                    limit("slo:drift:ceiling", "ceiling"),
                ],
                "short",
            )
        )
        .with_panel(
            lines(
                "Score, by bin",
                "Share of the requests of an hour in each bin, stacked; compare with the panel beside it.",
                [
                    Query(
                        f'sum by (bin) (bin:model_score_observations:increase{{{_OWN},window="1h"}})'
                        f' / on () group_left () sum(model:model_score_observations:increase{{{_OWN},window="1h"}})',
                        "{{bin}}",
                    )
                ],
                "percentunit",
                bars=True,
            )
        )
        .with_panel(
            lines(
                "Score, by bin, in the reference",
                "What it was when the version was made.",
                [Query(f"avg by (bin) (model_score_reference_ratio{{{CHOSEN}}})", "{{bin}}")],
                "percentunit",
                bars=True,
            )
        )
        .with_panel(
            lines(
                "Observed requests",
                "Of the window; below the minimum no alert on drift fires.",
                [Query(f"model:model_score_observations:increase{{{_OWN}}}", "{{window}} ({{version}})")],
                "short",
            )
        )
        .with_row(row("Outcomes"))
        .with_panel(
            lines(
                "Live accuracy",
                "Of a day, from feedback, with its interval of 95 percent, against its offline figure and the floor.",
                [
                    Query(f"model_accuracy{{{_OWN}}}", "right ({{version}})"),
                    Query(f"model_accuracy:lower{{{_OWN}}}", "from ({{version}})"),
                    Query(f"model_accuracy:upper{{{_OWN}}}", "to ({{version}})"),
                    Query(f"max by (version) (model_offline_accuracy_ratio{{{CHOSEN}}})", "offline ({{version}})"),
                    limit("slo:accuracy:floor", "floor", percent=True),
                ],
                "percentunit",
            )
        )
        .with_panel(
            lines(
                "Outcomes",
                "What feedback said, in an hour. `other_pairing`, `duplicate` and `refused` count in no figure.",
                [Query(f"sum by (result) (increase(model_feedback_total{{{CHOSEN}}}[1h]))", "{{result}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Brier score",
                "Mean squared error of the probability, of a day; 0.25 is a coin's.",
                [Query(f"model_brier{{{_OWN}}}", "version {{version}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Age",
                "Days since the version was trained.",
                [
                    Query(
                        f"(time() - max by (version) (model_created_timestamp_seconds{{{CHOSEN}}})) / 86400",
                        "version {{version}}",
                    ),
                    limit("slo:age:days", "limit"),
                ],
                "d",
            )
        )
    )
