"""One look after another at everything that counts: what both tracks did since the last one."""

import math
import time
from dataclasses import dataclass

from k8s.rollout.analysis import Counts, Interval, Pairs, Tracks
from k8s.rollout.api import Api
from k8s.rollout.errors import Unreachable
from k8s.rollout.evidence import gateway, pods
from k8s.rollout.evidence.counters import values
from k8s.rollout.evidence.gateway import Gateway
from k8s.rollout.live import Live, Pod


@dataclass(frozen=True)
class Look:
    """One interval.

    Attributes:
        interval, pairs: evidence, or None where there is none.
        missing: why there is none, or what it lacks, in a sentence's part.
        trouble: a crash or the like of the canary's pods, of which stable's pods have none.
        absent: whether no pod of the canary is ready, and one of stable is.
        gateway: what the gateway counted, where no counter of the canary could be read.
    """

    interval: Interval | None = None
    pairs: Pairs | None = None
    missing: str = ""
    trouble: str = ""
    absent: bool = False
    gateway: Tracks[Counts] | None = None


class Collector:
    """Remembers the last reading of each source, and compares the next one with it.

    Args:
        api: the cluster.
        live: the release's objects.
        asked: the gateway's counters, or None.
        threshold: seconds from which on an answer is slow.
        versions: of the model, by track.
    """

    def __init__(self, api: Api, live: Live, asked: Gateway | None, threshold: float, versions: dict[str, str]) -> None:
        self._api = api
        self._live = live
        self._gateway = asked
        self._threshold = threshold
        self._versions = versions
        self._scrapes: pods.Scrapes | None = None
        self._counted: Tracks[gateway.Reading] | None = None
        self._at = 0.0

    def look(self) -> Look:
        """Read everything; the first look after a start has nothing to compare with."""
        try:
            there = self._live.pods()
        except Unreachable as error:
            self._scrapes = None
            return Look(missing=str(error))
        scrapes, now = pods.read(self._api, there), time.monotonic()
        before, seconds = self._scrapes, now - self._at
        self._scrapes, self._at = scrapes, now
        trouble = trouble_of(there)
        if before is None:
            return Look(missing="this was the first look", trouble=trouble)
        counted, unread = None, ""
        try:
            counted = self._gateway_counts()
        except Unreachable as error:
            unread = str(error)
        if counted is not None and not (counted.stable.usable() and counted.canary.usable()):
            counted, unread = None, "what the gateway counted is no number, or began anew"
        grown = pods.grown(before, scrapes)
        if not grown.complete:
            empty = [track for track in ("stable", "canary") if not getattr(grown, track)]
            missing = f"no pod of {' and '.join(empty)} could be read at both ends"
            ready = {pod.track for pod in there if pod.ready}
            absent = "stable" in ready and "canary" not in ready
            return Look(missing=missing, trouble=trouble, absent=absent, gateway=counted)
        other = self._other_version(grown)
        if other:
            return Look(missing=other, trouble=trouble)
        interval = Interval(
            seconds=seconds,
            stable=pods.counts(grown.stable, self._threshold),
            canary=pods.counts(grown.canary, self._threshold),
            gateway=counted,
            scores=pods.scores(grown),
            outcomes=pods.outcomes(grown, self._versions),
            copies=pods.copies(grown.canary),
        )
        if not interval.usable():
            return Look(missing="a counter is missing, is no number or began anew", trouble=trouble)
        # Of a gateway that was not read nothing is known, and what pods counted speaks against the canary even so.
        return Look(interval, pods.pairs(grown.stable, self._versions["canary"]), unread, trouble)

    def _gateway_counts(self) -> Tracks[Counts] | None:
        if self._gateway is None:
            return None
        before = self._counted
        try:
            after = self._gateway.read()
        except Unreachable:
            self._counted = None
            raise
        # One that was empty, of a gateway that nobody had asked yet, has no sample to tell a new one by.
        if before is None or not (before.stable or before.canary):
            self._counted = after
            return None
        counted = self._gateway.counts(before, after)
        # Until a scrape has come the old reading stays, so that nothing is left out.
        if counted is not None:
            self._counted = after
        return counted

    def _other_version(self, grown: pods.Grown) -> str:
        """Counters name the version whose answers they count; another one is no evidence about these two."""
        for track in ("stable", "canary"):
            named = values(getattr(grown, track), "api_requests_total", "version")
            if named != {self._versions[track]}:
                return f"pods of {track} answer as version {', '.join(sorted(named)) or 'unknown'}"
        return ""


def trouble_of(there: list[Pod]) -> str:
    """What is wrong with the canary's pods alone; where stable's have it too, the cause is not the new version.

    A pod of stable that takes requests again has come over it, and stands for nothing the canary has now.
    """
    if any(pod.trouble and not pod.ready for pod in there if pod.track == "stable"):
        return ""
    return next((pod.trouble for pod in there if pod.track == "canary" and pod.trouble), "")


def traffic(api: Api, live: Live, threshold: float, seconds: float) -> tuple[float, float, float]:
    """Stable's requests a minute, share of errors and share of slow answers, measured over some seconds.

    Without a request the shares are those of a good service, and the rate is 0.
    """
    before = pods.read(api, live.pods())
    start = time.monotonic()
    time.sleep(seconds)
    after = pods.read(api, live.pods())
    counted = pods.counts(pods.grown(before, after).stable, threshold)
    if not counted.requests or math.isnan(counted.requests):
        return 0.0, 0.001, 0.001
    slow = 0.0 if math.isnan(counted.slow) else counted.slow
    per_minute = counted.requests / (time.monotonic() - start) * 60
    return per_minute, counted.errors / counted.requests, slow / counted.requests
