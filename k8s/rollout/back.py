"""The way back: weight 0 in one revision, the canary kept for a look, then gone."""

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
_ROLLBACK: Final = "Rollback to "
"""How Helm describes a revision that it made by going back."""
_NO_WEIGHT: Final = Revision(
    "0 %, nothing copied", Changes.TRAFFIC, Gate.ROUTED, 0, {"canary": {"weight": 0}, "shadow": {"share": 0}}
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
        target = record.helm.get("0", record.before)
        if reached > all_canary:
            _old_stable(work, record.helm[str(all_canary)])
        grown = reached >= all_canary and _as_large(work)
        newest = work.newest()
        if grown:
            work.say("  weight 0")
            work.upgrade(_NO_WEIGHT, force=True)
        elif newest.number != target or newest.status != release.DEPLOYED or work.live.differences(newest):
            work.say(f"  back to revision {target}: weight 0")
            work.rollback(target, force=True)
    weight = work.live.weight(work.made())
    if weight:
        raise Unreachable(f"After the rollback the live route still gives the canary {weight} %.")
    if record.steps and not record.steps[-1].ended:
        record.steps[-1].ended = now()
        record.steps[-1].sentence = reason
    record.state, record.sentence, record.ended, record.moving = ROLLED_BACK, reason, now(), None
    record.aborting = ""
    there = work.live.find("Deployment", work.live.name("canary")) is not None
    least_s = SCALED_S if work.shrinks() else 0.0
    record.kept_until = time.time() + max(work.options.keep_minutes * 60, least_s) if there else 0.0
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
            f"  the canary is kept for a look for {left / 60:.1f} minutes; Ctrl-C leaves it, `resume` takes it away"
        )
        with suppress(Asked):  # an abort ends the look
            work.sleep(left)
    if _still_ours(work):
        record.moving = len(record.plan) - 1
        work.write()
        work.upgrade(Revision("canary gone", Changes.PODS, Gate.DONE, 0, gone()), force=True)
    record.kept_until, record.moving = 0.0, None
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
    if not newest.description.startswith(f"{record.name}: "):
        work.say(f"  revision {newest.number} was made since, so the canary is left to whoever made it")
    return False


def _theirs(work: Work) -> release.Revision | None:
    """The newest revision, where someone deployed it since the driver's last one.

    A way back by hand is none: it leads to one of the driver's own. Neither is one that failed, or is under way.
    """
    record, newest = work.record, work.newest()
    ours = newest.number <= record.current or newest.description.startswith((f"{record.name}: ", _ROLLBACK))
    return None if ours or newest.status != release.DEPLOYED else newest


def _under(work: Work, theirs: release.Revision) -> None:
    """Take the canary's weight out of a revision of someone else's, and leave the rest of it."""
    work.say(f"  revision {theirs.number} was made since, and stays")
    work.take_over(theirs.number)
    if not work.live.weight(theirs):
        return
    stable = theirs.object("Deployment", work.live.name("stable"))
    if stable is not None:
        _until_stable(work, image_of(stable))
    work.upgrade(_NO_WEIGHT, force=True)


def _as_large(work: Work) -> bool:
    """Make stable as large as a canary that has all requests; whether that had to be.

    Its autoscaler has seen it idle, and would give it no more pods than its least.
    """
    made = work.made()
    if work.live.weight(made) < _ALL:
        return False
    canary = made.values["canary"]
    pods = min(work.live.replicas("canary"), int(canary["autoscaling"]["max"]))
    if pods <= int(canary["stableMin"]):
        return int(canary["stableMin"]) > _size(work)  # an abort before this one has done it
    work.say(f"  stable becomes as large as the canary, {pods} pods")
    work.upgrade(Revision("stable larger", Changes.PODS, Gate.READY, _ALL, {"canary": {"stableMin": pods}}), force=True)
    _until_stable(work, work.record.stable_image)
    return True


def _old_stable(work: Work, number: int) -> None:
    """Give stable its old image where it does not run it, and wait for it where the canary has the traffic.

    Someone may have gone back by hand already: the revision with all traffic on the canary would undo that.
    """
    image = work.record.stable_image
    deployment = work.live.find("Deployment", work.live.name("stable"))
    if deployment is None or image_of(deployment) != image:
        work.say("  stable gets its old image back")
        work.rollback(number, force=True)
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
