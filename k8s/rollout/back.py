"""The way back: weight 0 in one revision, the canary kept for a look, then gone."""

import re
import time
from contextlib import suppress
from typing import Final

from k8s.rollout import release
from k8s.rollout.errors import Refused, Unreachable
from k8s.rollout.live import image_of
from k8s.rollout.plan import Changes, Gate, Revision, gone, hundred
from k8s.rollout.record import ROLLED_BACK, now
from k8s.rollout.work import SCALED_S, Asked, Work

_POLL_S: Final = 1.0
_BACK_S: Final = 300.0
_ALL: Final = 100
_ROLLBACK: Final = re.compile(r"Rollback to (\d+)")
"""How Helm describes a revision that it made by going back."""
_NO_WEIGHT: Final = Revision(
    "back to 0 %", Changes.TRAFFIC, Gate.ROUTED, 0, {"canary": {"weight": 0}, "shadow": {"share": 0}}
)


def abort(work: Work, reason: str) -> None:
    """Take the new version out, whatever state Helm and the objects are in.

    Where stable runs the new image already it gets the old one back first, while the canary has the traffic: also on
    the way back a revision changes either who runs or who gets traffic. Where the canary has all of it, stable first
    becomes as large as the canary is. What someone deployed meanwhile stays: of it the canary's weight alone is taken.

    Raises:
        Refused: stable has the new image and all traffic already, so there is nothing to go back to.
        Unreachable: helm or the API server did not do it.
    """
    record = work.record
    all_canary = hundred(record.plan)
    reached = max(record.place, -1 if record.moving is None else record.moving)
    if reached >= all_canary + 2:
        work.records.ask(record, None)
        raise Refused(
            f"{record.release} has been promoted: stable runs {record.image} and has all traffic. Finish with "
            f"`kubectl canary resume {record.release}`, and roll out {record.stable_image} to go back."
        )
    record.aborting = reason
    work.write_without_evidence()
    theirs = _theirs(work)
    if theirs is not None:
        _under(work, theirs)
    else:
        _before(work, reached)
    weight = work.live.weight(work.made())
    if weight:
        raise Unreachable(f"After the rollback the live route still gives the canary {weight} %.")
    if record.steps and not record.steps[-1].ended:
        record.steps[-1].ended = now()
        record.steps[-1].sentence = reason
    record.state, record.sentence, record.ended, record.moving = ROLLED_BACK, reason, now(), None
    record.aborting = ""
    there = work.live.find("Deployment", work.live.name("canary")) is not None
    record.kept_until = time.time() + work.options.keep_minutes * 60 if there else 0.0
    record.least_until = time.time() + SCALED_S if work.shrinks() else 0.0
    work.records.event(record, "CanaryRolledBack", f"{record.image} was taken out: {reason}", warning=True)
    work.write_without_evidence()
    work.records.ask(record, None)


def clean(work: Work) -> None:
    """Keep the canary for a look, then take it away and let stable's autoscaler go by itself again."""
    record = work.record
    if not record.kept_until:
        return
    left = record.kept_until - time.time()
    if left > 0:
        work.say(
            f"  the canary is kept for a look for {left / 60:.0f} minutes; Ctrl-C leaves it, `resume` takes it away"
        )
        with suppress(Asked):  # an abort ends the look
            work.sleep(left)
    while (left := record.least_until - time.time()) > 0:
        work.say(f"  stable's autoscaler has {left:.0f} s more to see the requests that it got back")
        try:
            work.sleep(left)
        except Asked:
            work.records.ask(record, None)
    if _still_ours(work):
        record.moving = len(record.plan) - 1
        work.write()
        work.upgrade(Revision("canary gone", Changes.PODS, Gate.DONE, 0, gone()), force=True)
    record.kept_until, record.least_until, record.moving = 0.0, 0.0, None
    work.write()
    work.records.ask(record, None)


def _still_ours(work: Work) -> bool:
    """Whether the canary is still to be taken away: what someone deployed since is theirs."""
    record, newest = work.record, work.newest()
    if newest.number == record.current:
        return True
    mine = record.moving is not None and newest.number == record.current + 1
    if mine and newest.status in release.UNFINISHED:
        work.rollback(record.current, force=True)
        return True
    if not work.is_ours(newest):
        work.say(f"  revision {newest.number} was made since, so the canary is left to whoever made it")
    return False


def _theirs(work: Work) -> release.Revision | None:
    """The last revision that was made whole, where someone deployed it since the driver's last one.

    A way back by hand to one of the driver's own, or to one before, is none.
    """
    record = work.record
    made = release.history(work.api, record.release)
    last = max((number for number, status in made.items() if status == release.DEPLOYED), default=0)
    if last > record.current:
        found = release.revision(work.api, record.release, last)
        back = _ROLLBACK.match(found.description)
        if not (work.is_ours(found) or (back and int(back[1]) <= record.current)):
            return found
    return release.revision(work.api, record.release, record.theirs) if record.theirs else None


def _under(work: Work, theirs: release.Revision) -> None:
    """Take the canary's weight out of a revision of someone else's, and leave the rest of it."""
    work.say(f"  revision {theirs.number} was made since, and stays")
    work.record.theirs = theirs.number
    newest = work.newest()
    # A driver before this one may have done some of it.
    work.take_over(newest.number if newest.status == release.DEPLOYED else theirs.number)
    work.write()
    if newest.status in release.UNFINISHED:
        work.rollback(theirs.number, force=True)
        work.write()
    if work.live.weight(work.made()):
        stable = theirs.object("Deployment", work.live.name("stable"))
        if stable is not None:
            _as_large(work, image_of(stable))
        _upgrade(work, _NO_WEIGHT)


def _before(work: Work, reached: int) -> None:
    """Go back to R0, or, where the canary has all requests and is larger than stable was, to weight 0 alone."""
    record, newest = work.record, work.newest()
    if newest.status == release.DEPLOYED and newest.description == work.description(_NO_WEIGHT.name):
        work.take_over(newest.number)  # a driver before this one came as far
        if not work.live.differences(newest):
            return
    canary = newest.values.get("canary") or {}
    least = int(canary.get("stableMin", 0)) if newest.status in release.UNFINISHED else 0
    all_canary = hundred(record.plan)
    hundredth = record.helm.get(str(all_canary))
    if reached > all_canary:
        _old_stable(work, record.helm[str(all_canary)])
    if hundredth is not None and work.live.weight(work.newest()) == _ALL:
        if work.newest().status in release.UNFINISHED:
            work.rollback(hundredth, force=True)
            work.write()
        if _as_large(work, record.stable_image):
            work.say("  weight 0")
            _upgrade(work, _NO_WEIGHT)
            return
    target, newest = record.helm.get("0", record.before), work.newest()
    if newest.number != target or newest.status != release.DEPLOYED or work.live.differences(newest):
        work.say(f"  back to revision {target}: weight 0")
        work.rollback(target, force=True)
        if least > _size(work):
            # A driver before this one was stopped in the middle of it, and stable has the requests of more pods.
            _upgrade(work, _larger(least, weight=0))


def _upgrade(work: Work, wanted: Revision) -> None:
    """Make a revision, and write down at once that it was this driver's."""
    work.upgrade(wanted, force=True)
    work.write()


def _larger(pods: int, *, weight: int) -> Revision:
    return Revision("stable larger", Changes.PODS, Gate.READY, weight, {"canary": {"stableMin": pods}})


def _as_large(work: Work, image: str) -> bool:
    """Make stable as large as a canary that has all requests; whether it is larger than at the start by that.

    Its autoscaler has seen it idle, and would give it no more pods than its least.
    """
    newest = work.newest()
    if work.live.weight(newest) < _ALL:
        return False
    canary = newest.values["canary"]
    pods, least = min(work.live.replicas("canary"), int(canary["autoscaling"]["max"])), int(canary["stableMin"])
    if pods > least:
        work.say(f"  stable becomes as large as the canary, {pods} pods")
        _upgrade(work, _larger(pods, weight=_ALL))
    larger = max(pods, least) > _size(work)
    if larger:
        _until_stable(work, image)
    return larger


def _old_stable(work: Work, number: int) -> None:
    """Give stable its old image where it does not run it, and wait for it where the canary has the traffic.

    Someone may have gone back by hand already: the revision with all traffic on the canary would undo that.
    """
    image = work.record.stable_image
    deployment = work.live.find("Deployment", work.live.name("stable"))
    if deployment is None or image_of(deployment) != image:
        work.say("  stable gets its old image back")
        work.rollback(number, force=True)
        work.write()
    if work.live.weight(work.made()):
        _until_stable(work, image)


def _size(work: Work) -> int:
    """Pods of stable when the rollout began."""
    return int(work.record.plan[0].values["canary"]["stableMin"])


def _until_stable(work: Work, image: str) -> None:
    """Wait for stable's pods; in the end as many as there were at the start have to do, where more find no room."""
    deadline = time.monotonic() + _BACK_S
    while (reason := work.live.unready("stable", image)) is not None:
        if time.monotonic() > deadline:
            if work.live.available("stable") >= _size(work):
                work.say(f"  goes on, although {reason}")
                return
            raise Unreachable(f"Stable does not run {image} after {_BACK_S:g} s: {reason}.")
        work.lease.check()
        time.sleep(_POLL_S)
