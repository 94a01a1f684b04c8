"""The stable track and the canary side by side."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.parts import (
    ASKED,
    CHOSEN,
    OWN,
    PODS,
    RATE,
    Query,
    alerts,
    dashboard,
    limit,
    lines,
    quantiles,
    row,
)

NAME: Final = "rollout"
ALERTS: Final = "ModelCanaryStalled|ModelVersionsMixed"
_TIMED: Final = f'{CHOSEN},route!="other"'


def made() -> Dashboard:
    """The dashboard."""
    asked = f"rate(api_requests_total{{{ASKED}}}[{RATE}])"
    counted = f'rate(api_requests_total{{{ASKED},class!="client"}}[{RATE}])'
    failed = f'rate(api_requests_total{{{ASKED},class="server"}}[{RATE}])'
    score = "model_confidence_score"
    return (
        dashboard(NAME, "rollout", "Stable and canary of one release, side by side.")
        .with_row(row("Traffic"))
        .with_panel(alerts(ALERTS))
        .with_panel(
            lines(
                "Share of the requests",
                "What the gateway's weights came to; the weight is the one that Helm gave the canary.",
                [
                    Query(f"sum by (track) ({asked}) / on () group_left () (sum({asked}) > 0)", "{{track}}"),
                    limit("release:canary:weight", "weight of the canary", percent=True),
                ],
                "percentunit",
            )
        )
        .with_panel(lines("Requests", "By track.", [Query(f"sum by (track) ({asked})", "{{track}}")], "reqps"))
        .with_panel(
            lines(
                "Pods by version",
                "A track holds one version but while it changes.",
                [Query(f"count by (track, version) (model_info{{{CHOSEN}}})", "{{track}} {{version}}")],
                "short",
            )
        )
        .with_row(row("Errors and times"))
        .with_panel(
            lines(
                "Share of failed requests",
                "By the service's own fault, of those that were not refused for what they ask.",
                [
                    Query(f"sum by (track) ({failed}) / (sum by (track) ({counted}) > 0)", "{{track}}"),
                    limit("slo:errors:ratio", "limit", percent=True),
                ],
                "percentunit",
            )
        )
        .with_panel(lines("Time", "Of right answers.", quantiles("api_request_duration_seconds", "track", _TIMED), "s"))
        .with_panel(
            lines(
                "Share of slow answers",
                "Those that take longer than slo.latency.threshold, where a slower version shows first.",
                [Query(f"track:api_slow_answers:ratio_rate5m{{{PODS}}}", "{{track}}")],
                "percentunit",
            )
        )
        .with_row(row("What they say"))
        .with_panel(
            lines(
                "Mean confidence",
                "Of the answered class. Both tracks are asked the same kind of things, so they should agree.",
                [
                    Query(
                        f"sum by (track) (rate({score}_sum{{{CHOSEN}}}[{RATE}]))"
                        f" / (sum by (track) (rate({score}_count{{{CHOSEN}}}[{RATE}])) > 0)",
                        "{{track}}",
                    )
                ],
                "percentunit",
            )
        )
        .with_panel(
            lines(
                "Drift of the score",
                "Over an hour, by version.",
                [Query(f'model:model_score_drift:psi{{{OWN},version=~"$version",window="1h"}}', "version {{version}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Pairs that were compared, and flips",
                "Requests that the canary answered too, 0 where none is copied; a flip is another answered class.",
                [
                    Query(f"sum(rate(shadow_pairs_total{{{OWN}}}[{RATE}])) or on () vector(0)", "pairs"),
                    Query(f"sum(rate(shadow_flips_total{{{OWN}}}[{RATE}])) or on () vector(0)", "flips"),
                ],
                "short",
            )
        )
    )
