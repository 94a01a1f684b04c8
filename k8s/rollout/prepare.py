"""What has to be true before a rollout begins, and what it will then do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from k8s.rollout import analysis, chart, plan, release
from k8s.rollout.api import Api
from k8s.rollout.collect import traffic
from k8s.rollout.errors import Refused
from k8s.rollout.evidence import versions
from k8s.rollout.evidence.gateway import PRESETS, Prometheus
from k8s.rollout.helm import Helm
from k8s.rollout.live import ROUTES, Live, image_of
from k8s.rollout.options import Options
from k8s.rollout.record import Record, Records

_SERVER_SIDE: Final = "ssa"
TRAFFIC_S: Final = 10.0
"""Seconds over which the traffic is measured; ten times as many would change an estimate of minutes little."""


@dataclass(frozen=True)
class Prepared:
    """A rollout that can begin.

    Attributes:
        record: not yet written.
        live: the release's objects.
        per_minute: requests of stable a minute now.
        expected: of the statistics, at this traffic.
    """

    record: Record
    live: Live
    per_minute: float
    expected: analysis.Plan


def prepare(
    api: Api,
    helm: Helm,
    name: str,
    image: str,
    options: Options,
    *,
    given_chart: str | None,
    say: Callable[[str], None],
) -> Prepared:
    """Look at the release and make the plan; nothing is written.

    Raises:
        Refused: this release cannot be rolled out so, with the reason.
    """
    _require_options(api, options)
    records = Records(api, name)
    before = records.all()
    if before and (before[-1].open or before[-1].kept_until):
        raise Refused(
            f"Rollout {before[-1].number} of {name} is {before[-1].state}: `kubectl canary resume {name}` goes on with "
            f"it, `kubectl canary abort {name}` ends it."
        )
    newest = release.newest(api, name)
    _require_release(newest)
    if options.pairs and options.shadow and not (newest.values.get("ids") or {}).get("existingSecret"):
        raise Refused(
            f"{name} has no ids.existingSecret, with which copied requests are marked: give it one by a deploy, or "
            "judge errors and times alone by --without-pairs."
        )
    if options.pairs and not options.shadow:
        raise Refused(
            "Without copied requests (--shadow 0) pairs are never judged, and nothing passes: --without-pairs."
        )
    if given_chart:
        chart.require_same(helm, given_chart, newest.chart)
    live = Live(api, name, newest.chart["metadata"]["name"])
    _require_ours(api, live, newest)
    deployment = newest.object("Deployment", live.name("stable"))
    if deployment is None:
        raise Refused(f"The release {name} has no Deployment {live.name('stable')}: its chart is not that of serving.")
    running = image_of(deployment)
    parsed = plan.Image.parse(image)
    if str(parsed) == running:
        raise Refused(f"Stable runs {running} already.")
    size = _size(live)
    shape = plan.Shape(
        image=parsed,
        steps=options.steps,
        size=size,
        most=max(int(newest.values["autoscaling"]["max"]), size),
        shadow=options.shadow if options.pairs else 0.0,
    )
    revisions = plan.make(shape)
    stable = versions.of(api, live.pods(), "stable")
    say(f"measures the traffic of {name} for {TRAFFIC_S:g} s")
    slo = newest.values["slo"]
    per_minute, errors, slow = traffic(api, live, float(slo["latency"]["threshold"]), TRAFFIC_S)
    expected = analysis.plan(
        per_minute,
        options.analysis(slo),
        weights=options.steps,
        error_share=errors,
        slow_share=slow,
        pairs_per_minute=per_minute * shape.shadow,
    )
    record = Record(
        release=name,
        number=before[-1].number + 1 if before else 1,
        image=str(parsed),
        stable_image=running,
        settings=options.to_json(),
        plan=revisions,
        before=newest.number,
        current=newest.number,
        versions={"stable": stable.version},
        expected=_json(expected, per_minute),
    )
    return Prepared(record, live, per_minute, expected)


def _require_options(api: Api, options: Options) -> None:
    if options.gateway not in PRESETS:
        raise Refused(f"--gateway takes {' or '.join(PRESETS)}, and {options.gateway!r} is none of them.")
    if options.prometheus:
        Prometheus(api, options.prometheus)
    if not 0 <= options.shadow <= 1:
        raise Refused("--shadow is a share of the requests, between 0 and 1.")
    if options.interval <= 0 or options.min_intervals < 1 or options.warm_up < 0:
        raise Refused("--interval is more than 0, --min-intervals at least 1 and --warm-up at least 0.")


def _require_release(newest: release.Revision) -> None:
    name = newest.name
    if newest.status != release.DEPLOYED:
        raise Refused(
            f"Revision {newest.number} of {name} is {newest.status}: `helm history {name}` tells more, and "
            f"`helm rollback {name}` or a deploy makes it whole."
        )
    if newest.applied != _SERVER_SIDE:
        raise Refused(
            f"Helm merges {name} on the client's side, as helm 3 did, and no way back can be forced so: deploy it once "
            "by helm 4 with --server-side=true --force-conflicts."
        )
    chart.require_whole(newest.chart)
    values = newest.values
    if "canary" not in (newest.chart.get("values") or {}):
        raise Refused(
            f"The chart of {name}, {newest.chart['metadata']['version']}, knows no canary: deploy a newer one."
        )
    if values["canary"]["enabled"]:
        raise Refused(f"{name} has a canary that no rollout made: deploy it with canary.enabled=false first.")
    if not any(newest.of_kind(kind) for kind in ROUTES):
        raise Refused(
            f"{name} has no HTTPRoute, so nothing can send a share of the requests to a canary: route.enabled needs "
            "Gateway API; without it, deploy the image and watch `kubectl rollout status`."
        )


def _require_ours(api: Api, live: Live, newest: release.Revision) -> None:
    deployment = live.find("Deployment", live.name("stable"))
    for found in [each for each in (deployment,) if each is not None]:
        owner = release.gitops(found)
        if owner:
            raise Refused(owner)
    differences = live.differences(newest)
    if differences:
        raise Refused(
            f"Objects of {newest.name} in {api.namespace} are not as the release has them: {'; '.join(differences)}. "
            f"`helm rollback {newest.name} {newest.number} --force-conflicts` or a deploy takes that back."
        )


def _size(live: Live) -> int:
    deployment = live.find("Deployment", live.name("stable"))
    scaler = live.find("HorizontalPodAutoscaler", live.name("stable"))
    replicas = int(deployment["spec"].get("replicas", 1)) if deployment else 1
    return max(replicas, int(scaler["spec"].get("minReplicas", 1)) if scaler else 1)


def _json(expected: analysis.Plan, per_minute: float) -> dict[str, Any]:
    """A time that never comes, and a figure that is not known, are None."""
    found = {
        "requests_per_minute": per_minute,
        "minutes": expected.minutes,
        "weights": list(expected.weights),
        "errors_excess": expected.errors_excess,
        "slow_excess": expected.slow_excess,
        "flips_excess": expected.flips_excess,
        "pairs_needed": expected.pairs_needed,
    }
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in found.items()
    }
