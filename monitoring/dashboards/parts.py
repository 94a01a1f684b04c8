"""What the dashboards are made of: their variables, links and kinds of panels."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.common import GraphDrawStyle, LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OWN: Final = 'namespace="$namespace",release="$release"'
"""Matchers of one release, for what is recorded of all of it."""
CHOSEN: Final = OWN + ',version=~"$version",track=~"$track"'
"""Matchers of the chosen versions and tracks of it, for what a server counts under its model's labels."""
PODS: Final = OWN + ',track=~"$track"'
"""Matchers of the pods of the chosen tracks, for what has no label of a version."""
NO_OTHERS: Final = f'unless on (namespace, pod) model_info{{{OWN},version!~"$version"}}'
"""Leaves out pods of versions that are not chosen; pods that have not loaded a model yet stay."""
ASKED: Final = CHOSEN + (
    ',route!~"/v2/health/.*|/v2/models/.*ready|Server.*|ModelReady|/docs.*|/openapi.json|/static_content/.*"'
)
"""Matchers of its requests that ask for something; the chart's rules have the same."""
RATE: Final = "$__rate_interval"
TAG: Final = "predictiondex"
_SOURCE: Final = DataSourceRef("prometheus", "$datasource")
_HEIGHT, _WIDTH = 8, 8  # of a panel; a row is 24 wide
_LIMITS: Final = "/^(budget|threshold|bound|floor|ceiling|limit|offline|at least|at most).*/"


class Query(NamedTuple):
    """An expression and what its series are called."""

    expr: str
    legend: str


def dashboard(name: str, title: str, description: str) -> build.Dashboard:
    """An empty dashboard of one release."""
    made = (
        build.Dashboard(f"PredictionDex / {title}")
        .uid(f"predictiondex-{name}")
        .description(description)
        .tags([TAG])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("Dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    # `up` knows releases that answer nothing; it has no label of a model, which `.*` matches too.
    releases = '{__name__=~"up|model_info",namespace="$namespace",release!="",model=~"$model"}'
    for variable, label, query, several in (
        ("namespace", "Namespace", 'label_values(up{release!=""}, namespace)', False),
        ("model", "Model", 'label_values(model_info{namespace="$namespace"}, model)', True),
        ("release", "Release of the model", f"label_values({releases}, release)", False),
        ("version", "Version", f"label_values(model_info{{{OWN}}}, version)", True),
        ("track", "Track", f"label_values(up{{{OWN}}}, track)", True),
    ):
        chosen = build.QueryVariable(variable).label(label).query(query).datasource(_SOURCE)
        chosen = chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        if several:
            chosen = chosen.multi(True).include_all(True).all_value(".*")
        made = made.with_variable(chosen)
    return made


def row(title: str) -> build.Row:
    """A heading."""
    return build.Row(title)


def lines(
    title: str, description: str, queries: Sequence[Query], unit: str, *, bars: bool = False, width: int = _WIDTH
) -> timeseries.Panel:
    """Lines over time; those whose names begin as a limit does are dashed.

    Args:
        title: what is seen.
        description: what to look for.
        queries: what is drawn, limits last.
        unit: Grafana's name of it.
        bars: whether they are stacked bars instead.
        width: of 24.
    """
    style: list[DynamicConfigValue] = [
        DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
        DynamicConfigValue("custom.fillOpacity", 0),
        DynamicConfigValue("custom.drawStyle", "line"),
        DynamicConfigValue("custom.stacking", {"mode": "none"}),
    ]
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .height(_HEIGHT)
        .span(width)
        .unit(unit)
        .fill_opacity(60 if bars else 8)
        .draw_style(GraphDrawStyle.BARS if bars else GraphDrawStyle.LINE)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .override_by_regexp(_LIMITS, style)
    )
    if bars:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + place)))
    return panel


def number(title: str, description: str, queries: Sequence[Query], unit: str, *, width: int = _WIDTH) -> stat.Panel:
    """The latest number of each series."""
    panel = stat.Panel().title(title).description(description).datasource(_SOURCE).height(_HEIGHT).span(width)
    panel = panel.unit(unit)
    for place, query in enumerate(queries):
        panel = panel.with_target(_target(query, chr(ord("A") + place)))
    return panel


def heat(title: str, description: str, query: Query, *, width: int = _WIDTH) -> heatmap.Panel:
    """A histogram over time, from its buckets."""
    panel = heatmap.Panel().title(title).description(description).datasource(_SOURCE).height(_HEIGHT).span(width)
    asked = _target(query, "A").format(PromQueryFormat.HEATMAP)
    return panel.with_target(asked)


def quantiles(metric: str, by: str, matchers: str = CHOSEN) -> list[Query]:
    """The 50th, 95th and 99th percentile of a histogram, by a label."""
    return [
        Query(
            f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{matchers}}}[{RATE}])))",
            f"{name} {{{{{by}}}}}",
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]


def limit(series: str, legend: str, *, percent: bool = False) -> Query:
    """A recorded number of the release as a line; ``percent`` makes a share of it."""
    expr = f"max({series}{{{OWN}}})"
    return Query(f"{expr} / 100" if percent else expr, legend)


def alerts(names: str) -> timeseries.Panel:
    """Which alerts fire, of those that lead here; none is 0."""
    firing = f'sum by (alertname) (ALERTS{{{OWN},alertstate="firing",alertname=~"{names}"}}) or on () vector(0)'
    title, text = "Alerts that fire", "Those whose runbooks lead to this dashboard; 0 is none."
    return lines(title, text, [Query(firing, "{{alertname}}")], "short", width=24)


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).datasource(_SOURCE).range()
