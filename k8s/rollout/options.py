"""What a rollout goes by beside the chart's ``slo`` block."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from k8s.rollout import plan
from k8s.rollout.analysis import AnalysisSettings


class OnTimeout(StrEnum):
    """What becomes of a rollout that ran out of time, or of data."""

    HOLD = "hold"
    ABORT = "abort"


@dataclass(frozen=True)
class Options:
    """Of ``kubectl canary start``; a resumed rollout has those it was started with.

    Attributes:
        steps: percent of the requests.
        interval: seconds between two looks at the counters.
        warm_up: intervals after a step's begin that are no evidence.
        min_intervals: intervals of evidence that a step takes at least.
        on_timeout: hold or abort.
        max_minutes: minutes of one driver's work until the time is out.
        wait_minutes: minutes without data, or without a request, until the time is out.
        ready_minutes: minutes until pods that are not ready have failed.
        keep_minutes: minutes that a canary which was taken out is kept for a look.
        shadow: share of stable's requests that are copied.
        pairs: whether answers are judged by pairs; without, errors and times alone are.
        prometheus: URL or NAMESPACE/SERVICE:PORT; empty leaves the gateway unasked.
        gateway: name of the preset of its counters.
        values: file of the deploy's values, which promotion writes the image into; empty prints it.
    """

    steps: tuple[int, ...] = plan.STEPS
    interval: float = 15.0
    warm_up: int = 4
    min_intervals: int = 12
    on_timeout: OnTimeout = OnTimeout.HOLD
    max_minutes: float = 120.0
    wait_minutes: float = 5.0
    ready_minutes: float = 5.0
    keep_minutes: float = 10.0
    shadow: float = 0.1
    pairs: bool = True
    prometheus: str = ""
    gateway: str = "traefik"
    values: str = ""

    def to_json(self) -> dict[str, Any]:
        """Of JSON's own types."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What ``to_json`` made."""
        return cls(**{**state, "steps": tuple(state["steps"]), "on_timeout": OnTimeout(state["on_timeout"])})

    def analysis(self, slo: dict[str, Any]) -> AnalysisSettings:
        """Settings of the statistics, by the chart's margins."""
        return AnalysisSettings.from_slo(
            slo,
            gateway=bool(self.prometheus),
            interval_seconds=self.interval,
            warmup_intervals=self.warm_up,
            minimum_intervals=self.min_intervals,
        )
