"""What runs: the version a pod's bundle has, what its gate expects of it, and whether real answers carry it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from k8s.rollout.analysis import Expectation
from k8s.rollout.api import Api
from k8s.rollout.errors import Held, Unreachable
from k8s.rollout.evidence.pods import ask
from k8s.rollout.live import Pod


@dataclass(frozen=True)
class Version:
    """A bundle's own word on itself.

    Attributes:
        model, version: of the contract.
        task: binary, multiclass or regression.
        expectation: how differently it may answer, or None.
        against: the version that the expectation is of.
        run: id of the training run that it came of.
    """

    model: str
    version: str
    task: str
    expectation: Expectation | None
    against: str
    run: str


def of(api: Api, pods: Iterable[Pod], track: str) -> Version:
    """The one version that all ready pods of a track have.

    Raises:
        Unreachable: no pod answers, or they differ, which a rollout under way does.
    """
    found = {_read(ask(api, pod, "/contract")) for pod in pods if pod.track == track and pod.ready}
    if len(found) != 1:
        versions = ", ".join(sorted(each.version for each in found)) or "none"
        raise Unreachable(f"The ready pods of {track} do not have one version: {versions}.")
    return found.pop()


def expected(stable: Version, canary: Version) -> Expectation | None:
    """What the canary's answers are held against; None where its bundle expects nothing.

    Raises:
        Held: the gate measured against another version than the one that stable runs, or two bundles share a version.
    """
    if canary.model != stable.model:
        raise Held(f"The new image holds the model {canary.model}, and stable runs {stable.model}.")
    if canary.version == stable.version:
        if canary.run != stable.run:
            raise Held(
                f"Both images say that they hold version {canary.version}, and they come of the runs {stable.run} and "
                f"{canary.run}: their answers cannot be told apart, so give the new one a version of its own."
            )
        return None
    if canary.expectation is not None and canary.against != stable.version:
        raise Held(
            f"The expectation of version {canary.version} was measured against version {canary.against}, and stable "
            f"runs version {stable.version}: `pdx release` measures it against what runs."
        )
    return canary.expectation


def _read(contract: dict[str, Any]) -> Version:
    try:
        found = contract.get("expectation")
        expectation = (
            Expectation(
                pairs=int(found["pairs"]),
                flip_rate=float(found["flip_rate"]),
                mean_score_shift=float(found["mean_score_shift"]),
                score_shift_variance=float(found["score_shift_variance"]),
            )
            if found
            else None
        )
        against = found["against_version"] if found else ""
        run = str((contract.get("provenance") or {}).get("run_id", ""))
        return Version(contract["name"], contract["version"], contract["task"], expectation, against, run)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"A pod's contract cannot be read: {error!r}.") from None
