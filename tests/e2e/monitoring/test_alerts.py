"""Each fault fires the alerts it should and no other, and reference traffic none, in a real Prometheus.

Every release has a namespace of its own and all run at once, so no case waits for another's alerts to end. The chart's
``prometheusRule.speedup`` makes every window and wait sixty times shorter; the full ones are promtool's job.

What the dashboards then show is recorded into ``.pdx/e2e/pictures``, which ``python -m monitoring.pictures draw`` makes
the pictures of the documentation from.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from monitoring.dashboards import __main__ as dashboards
from monitoring.pictures.draw import draw, silent
from monitoring.pictures.panels import dashboard
from monitoring.pictures.recording import MOST_BYTES, Recording, Span, record
from tests.e2e.cluster import Cluster, Namespace, until
from tests.e2e.conftest import RECORDS, Measured
from tests.e2e.images import Images
from tests.e2e.monitoring.eyes import Eyes
from tests.e2e.monitoring.traffic import Traffic, reference, shifted
from tests.e2e.release import Release, Values

SPEEDUP: Final = 60
FAST: Final[Values] = {
    # One pod a release: prediction ids are signed with a key of its own, so outcomes reach who predicted.
    "autoscaling": {"min": 1, "max": 1},
    "resources": {"requests": {"cpu": "50m"}},
    "serviceMonitor": {"interval": "1s"},
    "prometheusRule": {"speedup": SPEEDUP, "minimumRequests": 20},
    "slo": {"accuracy": {"outcomesBelowOffline": 300}, "age": {"days": 100_000}},
}
ALLOWED: Final = "yes-this-is-a-test"
SETTLED_S: Final = 20
"""From the first scrape of all pods, until what starting them did to the alerts has passed."""
PICTURED: Final = {"service": "errors", "model": "shift", "resources": "reference", "rollout": "reference"}
"""Of which case each dashboard is recorded."""
_FIRED_S: Final = 300
_MORE_S: Final = 30
"""How long other alerts may still come after the expected ones."""

pytestmark = [pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Case:
    """A release, what is done to it, and what that should fire.

    Attributes:
        expected: names of alerts.
        settings: of the server.
        rate: requests a second; 0 for nobody.
        shift: whether one duel is asked for ever.
        right: share of outcomes that confirm the prediction.
        corrupt: whether a version is rolled out that cannot start.
        unwatched: whether the Service that its targets are found by is taken away.
    """

    expected: frozenset[str] = frozenset()
    settings: dict[str, Any] = field(default_factory=dict)
    rate: float = 8
    shift: bool = False
    right: float | None = None
    corrupt: bool = False
    unwatched: bool = False


CASES: Final[dict[str, Case]] = {
    "reference": Case(right=0.95),
    "silence": Case(rate=0),
    "slow": Case(
        frozenset({"ModelLatencyBurnFast", "ModelLatencyBurnSlow", "ModelLatencyP95High"}),
        {"PDX_FAULT_ALLOWED": ALLOWED, "PDX_FAULT_SLOW_SECONDS": 0.7},
        rate=1.2,
    ),
    "errors": Case(
        frozenset({"ModelAvailabilityBurnFast", "ModelAvailabilityBurnSlow", "ModelErrorRatioHigh"}),
        {"PDX_FAULT_ALLOWED": ALLOWED, "PDX_FAULT_ERROR_RATIO": 0.5},
    ),
    "shift": Case(
        frozenset({"ModelInputDrift", "ModelInputDriftSevere", "ModelScoreDrift", "ModelScoreDriftSevere"}),
        shift=True,
        right=0.95,
    ),
    "wrong": Case(frozenset({"ModelAccuracyLow", "ModelAccuracyBelowOffline"}), right=0.5),
    "corrupt": Case(frozenset({"ModelTargetDown"}), rate=2, corrupt=True),
    "unwatched": Case(frozenset({"ModelMetricsAbsent"}), rate=0, unwatched=True),
}


@dataclass
class Seen:
    """What came of the cases.

    Attributes:
        fired: names of the alerts of each case.
        received: those that Alertmanager has.
        after_s: seconds from the fault to the first sight of each expected alert.
        panels: queries of the reference's dashboards, and how many series each gave.
        answers: HTTP statuses by case.
        recordings: of each dashboard, from before the fault to the end.
    """

    fired: dict[str, set[str]]
    received: dict[str, set[str]]
    after_s: dict[str, dict[str, float]]
    panels: dict[tuple[str, str, str], int]
    answers: dict[str, dict[int, int]]
    recordings: list[Recording]


def queries(release: Release) -> Iterator[tuple[str, str, str]]:
    """Every query of every dashboard, of one release: dashboard, panel, expression."""
    chosen = {
        "$namespace": release.space.name, "$release": release.name, "$version": ".*", "$track": ".*",
        "$__rate_interval": "20s",
    }  # fmt: skip
    for name, text in dashboards.texts().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", []):
                expr: str = target["expr"]
                for variable, value in chosen.items():
                    expr = expr.replace(variable, value)
                yield name, panel["title"], expr


def recorded(releases: dict[str, Release], eyes: Eyes, since_s: float) -> list[Recording]:
    """What the dashboards show of the last seconds, each of its case."""
    end = time.time()
    span = Span(end - since_s, end, max(2, round(since_s / 120)), 20)
    found = []
    for name, case in PICTURED.items():
        chosen = {"namespace": releases[case].space.name, "release": releases[case].name}
        of = f"the case {case} of the test on the cluster, {SPEEDUP} times as fast"
        found.append(record(eyes.prometheus, dashboard(name), chosen, span, of))
    return found


def installed(releases: dict[str, Release], image: Values, eyes: Eyes) -> None:
    """Install every release, and wait until Prometheus has its rules and its pod."""

    def install(name: str) -> None:
        releases[name].install(image, FAST, {"settings": CASES[name].settings})

    def watched(name: str) -> bool:
        space = releases[name].space.name
        return bool(eyes.ask(f'up{{namespace="{space}"}} == 1 and on () slo:age:days{{namespace="{space}"}}'))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(install, releases))
    until("Rules and targets of all", lambda: all(map(watched, releases)), 180, poll_s=2)


@pytest.fixture(scope="module")
def seen(cluster: Cluster, images: Images, spaces: Callable[[str], Namespace]) -> Seen:
    image, corrupt, eyes = images.version("1").values, images.corrupt().values, Eyes(cluster)
    releases = {name: Release(spaces(name), "battle") for name in CASES}
    where = {name: release.space.name for name, release in releases.items()}
    installed(releases, image, eyes)
    time.sleep(SETTLED_S)
    after: dict[str, dict[str, float]] = {name: {} for name in CASES}
    with ExitStack() as stack:
        start = time.monotonic()
        traffic: dict[str, Traffic] = {}
        for name, case in CASES.items():
            if case.rate:
                bodies = shifted() if case.shift else reference()
                users = Traffic(releases[name].host, case.rate, bodies, case.right)
                traffic[name] = stack.enter_context(users)
            if case.corrupt:
                releases[name].upgrade(corrupt, words=())
            if case.unwatched:
                # As without a ServiceMonitor no target is found; news of that one takes minutes to arrive.
                releases[name].space.kubectl("delete", "service", f"{releases[name].name}-admin")
        whole = False
        while not whole and time.monotonic() < start + _FIRED_S:
            time.sleep(2)
            for name in CASES:
                passed = time.monotonic() - start
                for alert in eyes.fired(where[name], passed) - after[name].keys():
                    after[name][alert] = passed
            whole = all(case.expected <= after[name].keys() for name, case in CASES.items())
        time.sleep(_MORE_S)
        passed = time.monotonic() - start
        return Seen(
            {name: eyes.fired(space, passed) for name, space in where.items()},
            {name: eyes.received(space) for name, space in where.items()},
            after,
            {asked: len(eyes.ask(asked[2])) for asked in queries(releases["reference"])},
            {name: dict(each.answers) for name, each in traffic.items()},
            recorded(releases, eyes, time.monotonic() - start + SETTLED_S),
        )


@pytest.mark.parametrize("name", CASES)
def test_a_fault_fires_what_it_should(name: str, seen: Seen, measured: Measured) -> None:
    times = ", ".join(f"{alert} after {after_s:.0f} s" for alert, after_s in sorted(seen.after_s[name].items()))
    measured(f"{times or 'silent'}; answers {seen.answers.get(name, {})}")
    assert seen.fired[name] == CASES[name].expected


def test_alertmanager_receives_them(seen: Seen) -> None:
    assert seen.received == {name: case.expected for name, case in CASES.items()}


def test_every_panel_has_data_under_load(seen: Seen) -> None:
    assert [asked for asked, series in seen.panels.items() if not series] == []


def test_every_panel_can_be_drawn_from_what_was_recorded(seen: Seen, measured: Measured) -> None:
    folder = RECORDS / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for recording in seen.recordings:
        assert recording.write(folder).stat().st_size <= MOST_BYTES
        draw(recording, folder)
        assert silent(recording) == []
    measured(f"drawn in {folder}; python -m monitoring.pictures draw {folder} --keep draws them into docs/pictures")
