"""The way back: weight 0 in one revision, the canary kept for a look, then gone."""

import time
from typing import Final

from k8s.rollout import release
from k8s.rollout.errors import Refused, Unreachable
from k8s.rollout.live import image_of
from k8s.rollout.plan import Changes, Gate, Revision, gone, hundred
from k8s.rollout.record import ROLLED_BACK, now
from k8s.rollout.work import Work

_POLL_S: Final = 1.0
_BACK_S: Final = 300.0


def abort(work: Work, reason: str) -> None:
    """Take the new version out, whatever state Helm and the objects are in.

    Where stable runs the new image already it gets the old one back first, while the canary has the traffic: also on
    the way back a revision changes either who runs or who gets traffic.

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
    work.write()
    target = record.helm.get("0", record.before)
    if reached > all_canary:
        _old_stable(work, record.helm[str(all_canary)])
    newest = work.newest()
    if newest.number != target or newest.status != release.DEPLOYED or work.live.differences(newest):
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
    record.kept_until = time.time() + work.options.keep_minutes * 60 if "0" in record.helm else 0.0
    work.records.event(record, "CanaryRolledBack", f"{record.image} was taken out: {reason}", warning=True)
    work.write()
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
        work.sleep(left)
    if _still_ours(work):
        record.moving = len(record.plan) - 1
        work.write()
        work.upgrade(Revision("canary gone", Changes.PODS, Gate.DONE, 0, gone()), force=True)
    record.kept_until, record.moving = 0.0, None
    work.write()


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


def _until_stable(work: Work, image: str) -> None:
    deadline = time.monotonic() + _BACK_S
    while (reason := work.live.unready("stable", image)) is not None:
        if time.monotonic() > deadline:
            raise Unreachable(f"Stable did not get its old image back within {_BACK_S:g} s: {reason}.")
        work.lease.check()
        time.sleep(_POLL_S)
