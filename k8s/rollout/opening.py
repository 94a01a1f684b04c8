"""Before a user meets the new version: is it the right one, what may differ, and does it answer what is known?"""

import math
from typing import Final

from k8s.rollout.analysis import Analysis, AnalysisSettings, Expectation, plan
from k8s.rollout.errors import Held, Unreachable
from k8s.rollout.evidence import golden, versions
from k8s.rollout.live import Pod
from k8s.rollout.work import Failed, Work

_REFUSED: Final = 0.02
"""Share of golden rows that stable answers and the canary refuses, from which on it is no accident."""


def analysis(work: Work) -> Analysis:
    """The statistics of a rollout, at weight 0, with the golden pairs in them.

    Raises:
        Held: the new image is not what it should be, or does not say how differently it may answer.
        Failed: it refuses what stable answers.
        Silent: it gives no answer to what stable answers.
        Unreachable: there is no pod to ask, or no answer of stable.
    """
    there = work.live.pods()
    stable, canary = (versions.of(work.api, there, track) for track in ("stable", "canary"))
    work.record.versions = {"stable": stable.version, "canary": canary.version}
    expectation = versions.expected(stable, canary) if work.options.pairs else None
    if work.options.pairs and expectation is None and canary.version != stable.version:
        raise Held(
            f"The bundle of version {canary.version} does not say how differently it may answer: `pdx release` "
            f"measures that against version {stable.version}; --without-pairs judges errors and times alone."
        )
    settings = work.options.analysis(work.made().values["slo"])
    made = Analysis(settings, expectation)
    if expectation is not None:
        _expect(work, settings, expectation)
    if work.options.pairs:
        _compare(work, there, made)
    return made


def _expect(work: Work, settings: AnalysisSettings, expectation: Expectation) -> None:
    """Say anew what can be found, now that it is known how differently the canary may answer."""
    record, options = work.record, work.options
    per_minute = float(record.expected.get("requests_per_minute") or 0)
    made = plan(
        per_minute,
        settings,
        weights=options.steps,
        pairs_per_minute=per_minute * options.shadow,
        expectation=expectation,
    )
    record.expected |= {"minutes": finite(made.minutes), "flips_excess": finite(made.flips_excess)}
    excess = record.expected["flips_excess"]
    work.say(
        f"  expects {expectation.flip_rate:.2%} other answers, as measured on {expectation.pairs:,} requests; "
        + ("at this traffic no excess can be told" if excess is None else f"an excess of {excess:.2%} can be found")
    )


def _compare(work: Work, there: list[Pod], made: Analysis) -> None:
    stable, canary = (_ready(there, track) for track in ("stable", "canary"))
    rows = golden.rows(work.api, stable)
    if not rows:
        work.say("  stable's bundle has no golden requests")
        return
    work.say(f"  asks both versions {len(rows)} golden requests")
    compared = golden.compare(work.api, stable, canary, rows)
    if compared.refused > _REFUSED * len(rows):
        raise Failed(
            f"golden: the canary refuses {compared.refused} of {len(rows)} requests that stable answers: "
            f"{compared.sentence}"
        )
    other = compared.versions - {work.record.versions["canary"]}
    if other:
        raise Held(f"Answers of the canary name version {', '.join(sorted(other))}, and its contract does not.")
    made.add_golden(compared.golden)


def _ready(there: list[Pod], track: str) -> Pod:
    found = next((pod for pod in there if pod.track == track and pod.ready), None)
    if found is None:
        raise Unreachable(f"No pod of {track} is ready.")
    return found


def finite(value: float | None) -> float | None:
    """A number that JSON knows, or None."""
    return value if value is not None and math.isfinite(value) else None
