"""Notices what someone else did: Helm's revisions, and live objects that are not as the last one has them."""

from k8s.rollout import release
from k8s.rollout.errors import Held
from k8s.rollout.work import Work


def require_ours(work: Work) -> None:
    """Hold where the release or its objects are not as the driver made them last.

    Raises:
        Held: with what was seen, and the command that takes the new version out.
    """
    record = work.record
    newest = work.newest()
    if newest.number != record.current:
        raise Held(
            f"Someone made revision {newest.number} of {record.release} ({newest.status}: {newest.description}), and "
            f"the rollout's last one was {record.current}. {ways(work)}"
        )
    if newest.status in release.PENDING:
        raise Held(f"Revision {newest.number} of {record.release} is {newest.status}. {ways(work)}")
    differences = work.live.differences(newest)
    if differences:
        raise Held(f"Someone changed objects of {record.release} by hand: {'; '.join(differences)}. {ways(work)}")


def ways(work: Work) -> str:
    """The commands that end it."""
    record = work.record
    back = record.helm.get("0", record.before)
    namespace = work.api.namespace
    return (
        f"`kubectl canary abort {record.release} -n {namespace}` takes the new version out, as does "
        f"`helm rollback {record.release} {back} --force-conflicts -n {namespace}`."
    )
