"""Whether the service keeps what it promises: rate, errors, times, saturation, error budgets."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.parts import (
    CHOSEN,
    NO_OTHERS,
    OWN,
    PODS,
    RATE,
    Query,
    alerts,
    dashboard,
    limit,
    lines,
    number,
    quantiles,
    row,
)

NAME: Final = "service"
ALERTS: Final = (
    "Model(Availability|Latency)Burn(Fast|Slow)|ModelErrorRatioHigh|ModelLatencyP95High|ModelClientErrorsSudden"
    "|ModelMetricsAbsent|ModelTargetDown|ModelPodsNotReady|ModelKeysNotReloaded"
)
_TIMED: Final = f'{CHOSEN},route!="other"'


def made() -> Dashboard:
    """The dashboard."""
    return (
        dashboard(NAME, "service", "Rate, errors, times, saturation and error budgets of one release.")
        .with_row(row("Objectives"))
        .with_panel(alerts(ALERTS))
        .with_panel(
            number(
                "Error budget left",
                "Of the last 30 days. Below zero the objective is missed.",
                [Query(f"slo:period_error_budget_remaining:ratio{{{OWN}}}", "{{sloth_slo}}")],
                "percentunit",
            )
        )
        .with_panel(
            lines(
                "Burn rate",
                "How many times faster than it may the budget is spent now; at 1 it lasts just as long as it should.",
                [Query(f"slo:current_burn_rate:ratio{{{OWN}}}", "{{sloth_slo}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Outside of the objective, over an hour",
                "Share of requests that failed, and of answers that took too long, against what may.",
                [
                    Query(f"slo:sli_error:ratio_rate1h{{{OWN}}}", "{{sloth_slo}}"),
                    Query(f"slo:error_budget:ratio{{{OWN}}}", "budget of {{sloth_slo}}"),
                ],
                "percentunit",
            )
        )
        .with_row(row("Requests"))
        .with_panel(
            lines(
                "Requests",
                "By whose fault they ended: ok, client or server.",
                [
                    Query(
                        f"sum by (transport, class) (rate(api_requests_total{{{CHOSEN}}}[{RATE}]))",
                        "{{transport}} {{class}}",
                    )
                ],
                "reqps",
            )
        )
        .with_panel(
            lines(
                "Requests by route",
                "The ten that are asked most.",
                [Query(f"topk(10, sum by (route) (rate(api_requests_total{{{CHOSEN}}}[{RATE}])))", "{{route}}")],
                "reqps",
            )
        )
        .with_panel(
            lines(
                "Errors by code",
                "The ten most frequent; docs/architecture.md says what each means.",
                [
                    Query(
                        f"topk(10, sum by (transport, code) (rate(api_errors_total{{{CHOSEN}}}[{RATE}])))",
                        "{{transport}} {{code}}",
                    )
                ],
                "reqps",
            )
        )
        .with_panel(
            lines(
                "Share of errors",
                "The service's own, and what callers did wrong, of five minutes.",
                [
                    Query(f"release:api_errors:ratio_rate5m{{{OWN}}}", "failed"),
                    Query(f"release:api_client_errors:ratio_rate5m{{{OWN}}}", "refused"),
                    limit("slo:errors:ratio", "limit of failures", percent=True),
                    limit("slo:errors:clients", "limit of refusals", percent=True),
                ],
                "percentunit",
            )
        )
        .with_panel(
            lines(
                "Time by route",
                "Of right answers.",
                [
                    *quantiles("api_request_duration_seconds", "route", _TIMED),
                    limit("slo:latency:threshold", "threshold"),
                ],
                "s",
            )
        )
        .with_panel(
            lines(
                "Time by transport",
                "Of right answers; the limit is that of the 95th percentile.",
                [
                    *quantiles("api_request_duration_seconds", "transport", _TIMED),
                    limit("slo:latency:p95", "limit of p95"),
                ],
                "s",
            )
        )
        .with_row(row("Saturation"))
        .with_panel(
            lines(
                "Requests in flight",
                "By pod. One that stays far above the others is stuck.",
                [Query(f"sum by (pod) (api_requests_in_flight{{{PODS}}} {NO_OTHERS})", "{{pod}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Time in the model",
                "Beside it, requests wait for a core.",
                quantiles("model_prediction_duration_seconds", "version"),
                "s",
            )
        )
        .with_panel(
            lines(
                "Pods with a model",
                "By track, against the bounds of the autoscaler.",
                [
                    Query(f"sum by (track) (model_info{{{CHOSEN}}})", "{{track}}"),
                    limit("release:pods:min", "at least"),
                    limit("release:pods:max", "at most"),
                ],
                "short",
            )
        )
    )
