"""The driver: revision after revision, each behind its gate, from wherever the record and the cluster say it is."""

import time
from typing import Final

from k8s.rollout import back, deploy, release
from k8s.rollout.errors import Held, Refused, RolledBack, RolloutError, Taken, Unreachable
from k8s.rollout.gates import Gates
from k8s.rollout.options import OnTimeout
from k8s.rollout.plan import Gate, resize
from k8s.rollout.record import HELD, PROMOTED, ROLLED_BACK, RUNNING, Step, now
from k8s.rollout.watch import require_ours, ways
from k8s.rollout.work import Asked, Failed, TimedOut, Work

_PENDING_S: Final = 20.0
"""A helm that outlives its killed driver may still finish what it began."""
_POLL_S: Final = 1.0


class Engine:
    """Drives one rollout to its end.

    Args:
        work: of the driver.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._gates = Gates(work)

    def run(self, *, resumed: bool = False) -> None:
        """Go on until the new version is promoted.

        Raises:
            RolledBack: it is out.
            Held: a person has to decide.
            Taken: another driver goes on.
            Unreachable: the cluster does not do what it is asked; ``resume`` goes on from there.
        """
        work, record = self._work, self._work.record
        if record.state == ROLLED_BACK:
            back.clean(work)
            raise RolledBack(record.sentence)
        try:
            record.state, record.sentence = RUNNING, ""
            if record.aborting:
                self._abort(record.aborting)
            if resumed:
                self._recover()
            self._to_the_end()
        except (Failed, Asked) as error:
            self._abort(str(error))
        except TimedOut as error:
            if work.options.on_timeout is OnTimeout.ABORT and record.place < self._last_evidence:
                self._abort(f"The time is out: {error}")
            self._hold(f"The time is out: {error} {ways(work)}")
        except Held as error:
            self._hold(str(error))

    def _to_the_end(self) -> None:
        while True:
            try:
                return self._go()
            except Asked as error:
                try:
                    self._abort(str(error))
                except Refused as refused:
                    self._work.say(f"  {refused}")

    @property
    def _last_evidence(self) -> int:
        """Place after the one where the pass is required."""
        return next(place for place, each in enumerate(self._work.record.plan) if each.gate is Gate.PASS) + 1

    def _go(self) -> None:
        work, record = self._work, self._work.record
        if record.place >= 0 and not record.steps[-1].ended:
            self._wait()
        while record.place + 1 < len(record.plan):
            self._forward(record.place + 1)
            self._wait()
        record.state, record.ended = PROMOTED, now()
        record.sentence = f"{record.image} is stable." + (" A person promoted it." if record.by_hand else "")
        work.records.event(record, "CanaryPromoted", record.sentence)
        work.write()
        work.say(record.sentence)
        work.say(deploy.keep(work.options.values, record.plan[-1].values["image"]))

    def _forward(self, place: int) -> None:
        """Make one revision. The record says so before, so that a driver after this one knows what may be half done."""
        work, record = self._work, self._work.record
        require_ours(work)
        resize(record.plan, place, work.live.replicas("stable"), work.live.replicas("canary"))
        wanted = record.plan[place]
        record.moving = place
        work.save()
        work.say(f"{place + 1}/{len(record.plan)} {wanted.name}")
        try:
            work.upgrade(wanted)
        except Unreachable as error:
            # The record stays as it is: ``resume`` takes a revision that was left failed one step back.
            raise Held(f"{error} {ways(work)}") from None
        self._made(place)

    def _made(self, place: int) -> None:
        record = self._work.record
        record.place, record.moving = place, None
        record.helm[str(place)] = record.current
        record.steps.append(Step(record.plan[place].name, record.plan[place].weight, record.current))
        self._work.save()

    def _wait(self) -> None:
        record = self._work.record
        wanted = record.plan[record.place]
        passed = record.by_hand and wanted.gate in {Gate.EVIDENCE, Gate.PASS}
        if not passed:
            self._gates.wait(wanted)
        record.steps[-1].ended = now()
        record.steps[-1].sentence = "A person went on without a verdict." if passed else "Done."
        self._work.save()

    def _recover(self) -> None:
        """Find out how far the driver before this one came: the record, the release and the live objects say so."""
        work, record = self._work, self._work.record
        newest = self._settled()
        if record.moving is None or newest.number == record.current:
            record.moving = None
            return
        wanted = record.plan[record.moving]
        ours = newest.number == record.current + 1 and work.is_ours(newest)
        if newest.status == release.DEPLOYED and ours:
            work.say(f"  revision {newest.number} ({wanted.name}) had been made")
            record.current = newest.number
            self._made(record.moving)
            return
        if newest.status in release.UNFINISHED and newest.number == record.current + 1:
            weight = work.live.weight(work.made())
            work.say(
                f"  revision {newest.number} ({wanted.name}) was left half made, live weight {weight}: one step back"
            )
            work.rollback(record.current, force=False)
            record.moving = None
            if record.place >= 0:
                record.helm[str(record.place)] = record.current
            else:
                record.before = record.current
            work.write()

    def _settled(self) -> release.Revision:
        deadline = time.monotonic() + _PENDING_S
        while (newest := self._work.newest()).status in release.PENDING and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return newest

    def _abort(self, reason: str) -> None:
        work = self._work
        work.say(f"Out: {reason}")
        back.abort(work, reason)
        try:
            back.clean(work)
        except Taken:
            raise
        except RolloutError as error:
            work.say(f"  the canary is still there, at weight 0: {error}")
        raise RolledBack(reason)

    def _hold(self, reason: str) -> None:
        record = self._work.record
        record.state, record.sentence = HELD, reason
        if record.steps:
            record.steps[-1].sentence = reason
        self._work.records.event(record, "CanaryHeld", reason, warning=True)
        self._work.write()
        raise Held(reason)
