"""Moves the alias ``champion``: the one door, past the gate, one process at a time, checked after writing."""

from dataclasses import dataclass
from datetime import UTC, datetime

from training.lock import WAIT_S, exclusive
from training.registry import REPLACED_TAG, PromotionConflict, PromotionRefused, Registry, Version
from training.verdict import NO_VERSION, TAG, WITHDRAWN, Stamp


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did.

    Attributes:
        version: the champion now.
        replaced: the champion before, None where there was none.
        moved: False where the version was the champion already and nothing was written.
    """

    version: str
    replaced: str | None
    moved: bool


def promote(
    registry: Registry, number: str, dataset_digest: str, *, why: str | None = None, wait_s: float = WAIT_S
) -> Promotion:
    """Make a version the champion.

    Args:
        registry: where.
        number: the version.
        dataset_digest: SHA-256 of the replay set a verdict must be of.
        why: the reason to go past the gate; kept as a tag on the version. None asks the gate's verdict.
        wait_s: how long to wait for another promotion, in seconds.

    Raises:
        UnknownVersion: there is none of this number.
        PromotionRefused: there is no verdict of yes, or it is of another champion or another replay set.
        PromotionConflict: another promotion is under way, or moved the alias after we did.
    """
    registry.version(number)
    with exclusive(registry, wait_s) as claim:
        champion = registry.champion()
        if champion == number:
            return Promotion(number, registry.previous(), moved=False)
        if why is None:
            require_verdict(registry.version(number), champion, dataset_digest)
        tags = {
            # Before the alias moves: a process killed in between leaves a tag that nothing reads yet.
            REPLACED_TAG: champion or NO_VERSION,
            "promotion.time": datetime.now(UTC).isoformat(timespec="seconds"),
            "promotion.forced_because": why or "",
        }
        registry.tag(number, tags)
        if why and champion:
            # Or the yes that made it champion would bring back at once what somebody has just taken away.
            registry.tag(champion, WITHDRAWN)
        claim.check()
        registry.point_champion_at(number)
        now = registry.champion()
        if now != number:
            raise PromotionConflict(
                f"Version {number} was made champion, but the alias now names {now or 'nothing'}: somebody moved it "
                "without asking; look before promoting again."
            )
    return Promotion(number, champion, moved=True)


def require_verdict(version: Version, champion: str | None, dataset_digest: str) -> None:
    """Let pass what the gate said yes to, against this champion, on this replay set.

    Raises:
        PromotionRefused: one sentence says which of these does not hold.
    """
    stamp = Stamp.of(version.tags)
    if version.tags.get(TAG) == WITHDRAWN[TAG]:
        raise PromotionRefused(
            f"Version {version.number} was taken back by a forced promotion; run `pdx gate {version.number}` again."
        )
    if stamp is None:
        raise PromotionRefused(f"The gate has not judged version {version.number}; run `pdx gate {version.number}`.")
    if not stamp.passed:
        raise PromotionRefused(f"The gate said no to version {version.number} on {stamp.created}.")
    if stamp.against != champion:
        raise PromotionConflict(
            f"The champion is {_named(champion)}, but the gate compared version {version.number} with "
            f"{_named(stamp.against)}; run `pdx gate {version.number}` again."
        )
    if stamp.dataset_digest != dataset_digest:
        raise PromotionRefused(
            f"The gate judged version {version.number} on another replay set "
            f"({stamp.dataset_digest[:12]}, now {dataset_digest[:12]}); run `pdx gate {version.number}` again."
        )


def replaced_version(registry: Registry) -> str:
    """The version that the champion replaced.

    Raises:
        PromotionRefused: there is none to go back to.
    """
    previous = registry.previous()
    if previous is None:
        raise PromotionRefused("The champion replaced no version, so there is none to go back to.")
    return previous


def _named(version: str | None) -> str:
    return f"version {version}" if version else "no version"
