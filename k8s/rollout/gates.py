"""What has to hold before the next revision: pods, routes, golden pairs, and evidence interval by interval."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from k8s.rollout import opening
from k8s.rollout.analysis import Analysis, Counts, Interval, Outcome, Reading, Tracks, pairs_asked
from k8s.rollout.collect import Collector, trouble_of
from k8s.rollout.errors import Held, Silent, Unreachable
from k8s.rollout.evidence import pods
from k8s.rollout.evidence.gateway import PRESETS, Gateway, Prometheus
from k8s.rollout.live import Pod, image_of
from k8s.rollout.plan import Changes, Gate, Revision
from k8s.rollout.watch import require_ours
from k8s.rollout.work import SCALED_S, Failed, TimedOut, Work

_POLL_S: Final = 2.0
_ROUTED_S: Final = 90.0
_ABSENT: Final = 4
"""Looks in a row, at a weight, without a ready pod of the canary where stable has one: users meet no pod."""
_SETTLED: Final = 4
"""Looks after which requests that still come to a track of weight 0 come past the gateway."""


class Gates:
    """The gates of one rollout.

    Args:
        work: of the driver.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._analysis: Analysis | None = None
        self._readings: list[Reading] = []
        self._absent = 0

    def wait(self, revision: Revision) -> None:
        """Wait until the next revision may come.

        Raises:
            Failed: the new version is worse, or does not run.
            TimedOut: there is no verdict, or no data.
            Held: something is not as the driver made it.
        """
        gates: dict[Gate, Callable[[Revision], None]] = {
            Gate.GOLDEN: self._golden,
            Gate.READY: self._ready,
            Gate.EVIDENCE: self._evidence,
            Gate.PASS: self._evidence,
            Gate.ROUTED: self._routed,
        }
        if revision.gate in gates:
            gates[revision.gate](revision)

    def _until(self, why_not: Callable[[], str | None], minutes: float) -> str | None:
        """Poll; returns the last reason where the time is out, and None where there is no reason left."""
        deadline = time.monotonic() + minutes * 60
        shown = ""
        while True:
            try:
                reason = why_not()
            except Unreachable as error:
                reason = str(error)
            if reason is None or time.monotonic() > deadline:
                return reason
            if reason != shown:
                self._waits(reason)
                shown = reason
            self._work.sleep(_POLL_S)

    def _waits(self, reason: str) -> None:
        self._work.record.steps[-1].sentence = f"Waits: {reason}."
        self._work.say(f"  waits: {reason}")
        with suppress(Unreachable):
            self._work.save()

    def _ready(self, revision: Revision) -> None:
        """Both tracks wholly there; what keeps the new image from that is its own failure."""
        work = self._work
        made = work.made()
        wanted = {track: made.object("Deployment", work.live.name(track)) for track in ("canary", "stable")}
        images = {track: image_of(deployment) for track, deployment in wanted.items() if deployment is not None}
        blamed = {"canary", "stable"} if _stable_rolls(revision) else {"canary"}
        late = ""

        def why_not() -> str | None:
            nonlocal late
            # Someone who goes back by hand while pods start is no failure of theirs.
            require_ours(work)
            there = work.live.pods()
            trouble = trouble_of(there) or _trouble_of_roll(there, revision)
            if trouble:
                raise Failed(f"The new version does not run: {trouble}.")
            reasons = ((track, work.live.unready(track, images[track])) for track in images)
            late, reason = next(((track, reason) for track, reason in reasons if reason), ("", None))
            return reason

        reason = self._until(why_not, work.options.ready_minutes)
        if reason is not None:
            with suppress(Unreachable):
                why = next((pod.waits for pod in work.live.pods() if pod.track == late and pod.waits), None)
                reason = f"{reason}: {why}" if why else reason
            said = f"After {work.options.ready_minutes:g} minutes {reason}."
            raise Failed(said) if late in blamed else TimedOut(said)

    def _golden(self, revision: Revision) -> None:
        """The canary runs; is it the version it should be, and does it answer what is known?"""
        self._ready(revision)
        work, silent = self._work, False

        def unanswered() -> None:
            nonlocal silent
            trouble = trouble_of(work.live.pods())
            if trouble:
                raise Failed(f"The new version does not run: {trouble}.")
            try:
                silent = False
                self._analysis = opening.analysis(work)
            except Silent:
                silent = True
                raise

        reason = self._until(unanswered, work.options.wait_minutes)
        if reason is not None:
            said = f"After {work.options.wait_minutes:g} minutes: {reason}"
            raise Failed(f"golden: {said}") if silent else TimedOut(said)
        self._keep()
        self._verdict()

    def _routed(self, revision: Revision) -> None:
        """The gateway has the weights, and the track that is left gets no more requests."""
        work = self._work
        require_ours(work)
        reason = self._until(lambda: work.live.unrouted(work.made()), _ROUTED_S / 60)
        if reason is not None:
            raise TimedOut(f"After {_ROUTED_S:g} s {reason}.")
        left = "canary" if revision.weight == 0 else "stable"
        self._empty(left)
        if left == "canary" and work.shrinks():
            work.say(f"  stable's autoscaler has {SCALED_S:.0f} s to see the requests that it got back")
            work.sleep(SCALED_S)

    def _empty(self, left: str) -> None:
        """Wait a while for a track to get no more requests."""
        work = self._work
        before = pods.read(work.api, work.live.pods())
        asked = math.nan
        for _ in range(_SETTLED):
            work.sleep(work.options.interval)
            after = pods.read(work.api, work.live.pods())
            asked = pods.counts(list(getattr(pods.grown(before, after), left)), self._threshold()).requests
            if asked == 0:
                return
            before = after
        still = "could not be read" if math.isnan(asked) else "still gets requests, which come past the gateway"
        work.say(f"  {left} {still}")

    def _threshold(self) -> float:
        return float(self._work.made().values["slo"]["latency"]["threshold"])

    def _evidence(self, revision: Revision) -> None:
        work, analysis = self._work, self._known()
        made = work.made()
        reason = self._until(lambda: work.live.unrouted(made), _ROUTED_S / 60)
        if reason is not None:
            raise TimedOut(f"After {_ROUTED_S:g} s {reason}.")
        asked = (
            Gateway(
                Prometheus(work.api, work.options.prometheus),
                PRESETS[work.options.gateway],
                work.api.namespace,
                work.record.release,
            )
            if work.options.prometheus
            else None
        )
        collector = Collector(work.api, work.live, asked, self._threshold(), work.record.versions)
        copies = float(work.record.expected.get("requests_per_minute") or 0) * work.options.shadow
        analysis.begin_step(revision.weight, pairs_asked(copies, analysis.settings))
        collector.look()
        heard = time.monotonic()
        step = work.record.steps[-1]
        while True:
            work.sleep(work.options.interval)
            try:
                require_ours(work)
                if self._one(collector, revision):
                    heard = time.monotonic()
                self._keep()
            except Unreachable as error:
                analysis.add_gap()
                step.sentence = f"Waits: {error}"
                work.say(f"  no data: {error}")
            self._verdict()
            asked_canary = step.requests["canary"] > 0 or revision.weight == 0
            passed = revision.gate is not Gate.PASS or analysis.verdict() is Outcome.PASS
            if asked_canary and passed and analysis.may_advance():
                return
            if time.monotonic() - heard > work.options.wait_minutes * 60:
                raise TimedOut(f"There was no data for {work.options.wait_minutes:g} minutes: {step.sentence}")
            if work.overdue():
                raise TimedOut(f"There was no verdict within {work.options.max_minutes:g} minutes.")

    def _one(self, collector: Collector, revision: Revision) -> bool:
        """One interval; returns whether anything was to be seen in it."""
        work, analysis, step = self._work, self._known(), self._work.record.steps[-1]
        look = collector.look()
        if look.trouble:
            raise Failed(f"The new version does not run: {look.trouble}.")
        self._absent = self._absent + 1 if look.absent and revision.weight else 0
        if self._absent >= _ABSENT:
            raise Failed(f"The new version does not run: no pod of it was ready in {_ABSENT} looks, and stable's are.")
        if look.interval is None:
            self._past_the_pods(look.gateway)
            analysis.add_gap()
            step.sentence = f"Waits: {look.missing}."
            work.say(f"  no data: {look.missing}")
            return False
        step.requests["stable"] += look.interval.stable.requests
        step.requests["canary"] += look.interval.canary.requests
        counted = analysis.add(look.interval)
        if counted and look.pairs is not None and work.options.shadow > 0 and work.options.pairs:
            analysis.add_pairs(look.pairs)
        step.intervals += counted
        step.sentence = "Collects evidence." if counted else "Warms up, or the interval was no evidence."
        busy = look.interval.canary.requests if revision.weight else look.interval.stable.requests
        if not busy:
            step.sentence = "Waits: no request came."
        if analysis.pairs_missing:
            # Requests of stable alone show nothing of the canary.
            busy = float(look.pairs is not None and look.pairs.pairs > 0)
            if not analysis.warming_up:
                step.sentence = f"Waits: {analysis.pairs_missing:.0f} more answers to copied requests are asked for."
        work.say(
            f"  {look.interval.seconds:4.0f} s: stable {look.interval.stable.requests:.0f} requests, "
            f"{look.interval.stable.errors:.0f} errors; canary {look.interval.canary.requests:.0f}, "
            f"{look.interval.canary.errors:.0f}"
        )
        if look.missing:
            step.sentence = f"Waits: {look.missing}."
            work.say(f"  no pass without all data: {look.missing}")
        return bool(busy) and not look.missing

    def _past_the_pods(self, counted: Tracks[Counts] | None) -> None:
        """What the gateway alone has counted is evidence against the canary, in an interval that stays a gap."""
        analysis, nothing = self._known(), Counts(0.0, 0.0)
        interval = Interval(self._work.options.interval, nothing, nothing, gateway=counted)
        if counted is not None and interval.usable() and not analysis.warming_up:
            analysis.intervals.append(interval)

    def _known(self) -> Analysis:
        """The analysis, also of a driver before this one."""
        if self._analysis is None:
            state = self._work.record.analysis
            if state is None:
                raise Held("The record has no state of the statistics: abort, and start again.")
            self._analysis = Analysis.from_json(state)
        return self._analysis

    def _keep(self) -> None:
        analysis = self._known()
        self._work.record.analysis = analysis.to_json()
        self._readings = analysis.readings()
        self._work.record.steps[-1].readings = [shown(each) for each in self._readings]
        self._work.save()

    def _verdict(self) -> None:
        failed = [each for each in self._readings if each.outcome is Outcome.FAIL]
        if failed:
            raise Failed("; ".join(f"{each.check}: {each.sentence}" for each in failed) + ".")


def shown(reading: Reading) -> dict[str, Any]:
    """A reading of JSON's own types; a bound that is infinite is none."""
    found = {
        key: opening.finite(value) if isinstance(value, float) else value for key, value in asdict(reading).items()
    }
    return {**found, "outcome": reading.outcome.value}


def _trouble_of_roll(there: list[Pod], revision: Revision) -> str:
    """While stable takes the new image its pods are the new version's too."""
    if not _stable_rolls(revision):
        return ""
    return next((pod.trouble for pod in there if pod.track == "stable" and pod.trouble), "") or ""


def _stable_rolls(revision: Revision) -> bool:
    return revision.changes is Changes.PODS and "image" in revision.values
