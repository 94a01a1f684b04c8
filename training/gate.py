"""The gate: may this version take the champion's place?

Both versions are assembled into bundles and opened as serving opens them, so what is judged is what would run: ONNX or
XGBoost, calibration and symmetrisation included. They answer the same replayed pairings, so every comparison is paired;
pairings of one unordered species pair depend on each other, so every interval is clustered by it.
"""

import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.bundle import assemble
from training.contender import USUAL_PAIRINGS, Contender, Showing, show
from training.expectation import draw_requests, expectation, requests_wanted
from training.registry import Registry
from training.replays import GateError, Replays
from training.statistics import clustered_mean
from training.verdict import FILE, PENDING, Criterion, Stamp, Verdict

SLOWDOWN: Final = "PDX_GATE_SLOWDOWN"
"""Variable that widens the bounds of time on a machine that is slower, or shared with others that take its caches."""


@dataclass(frozen=True)
class Bounds:
    """What the gate asks. The floors hold whether there is a champion or not, so margins cannot add up for ever.

    Attributes:
        confidence: of each one-sided bound of a difference.
        accuracy_floor: least expected accuracy on the replay set, where a perfect model shows about 0.947.
        accuracy_margin: expected accuracy that may be lost to the champion; several times the standard error of the
            difference between two trainings of one recipe, so that a healthy retraining passes.
        log_loss_margin: nats that may be lost to the champion.
        ece: largest expected calibration error.
        ece_margin: how much of it more than the champion's; a few times what noise alone gives.
        mae: largest mean absolute error against the replays' frequencies, of which 0.011 is their own noise.
        flips: largest share of pairings whose likelier side changes.
        antisymmetry: largest mean of abs(P(A beats B) + P(B beats A) - 1).
        mebibytes: largest bundle, in MiB; serving holds the model in memory beside the 193 MiB of an empty process.
        usual_ms, largest_ms: CPU time of a whole request on one core, for about 312 pairings and for the largest one
            there is, in ms, less on a slow machine (see request_ms).
    """

    confidence: float = 0.95
    accuracy_floor: float = 0.92
    accuracy_margin: float = 0.002
    log_loss_margin: float = 0.004
    ece: float = 0.01
    ece_margin: float = 0.002
    mae: float = 0.05
    flips: float = 0.08
    antisymmetry: float = 0.005
    mebibytes: float = 64.0
    usual_ms: float = 2.5
    largest_ms: float = 10.0

    @classmethod
    def here(cls) -> "Bounds":
        """The bounds, those of time as many times wider as ``PDX_GATE_SLOWDOWN`` says of this machine.

        Raises:
            GateError: it is no number from 1 on.
        """
        given = os.environ.get(SLOWDOWN) or "1"
        try:
            factor = float(given)
        except ValueError:
            factor = math.nan
        if not 1 <= factor < math.inf:
            raise GateError(f"{SLOWDOWN} is a number from 1 on, not {given!r}.")
        return cls(usual_ms=cls.usual_ms * factor, largest_ms=cls.largest_ms * factor)


def compare(
    challenger: Showing, champion: Showing | None, clusters: NDArray[np.int32], bounds: Bounds
) -> list[Criterion]:
    """Hold the challenger against the bounds, and against the champion where there is one."""
    c, k = challenger, champion

    def own(name: str, attribute: str, relation: Literal["≤", "≥"], bound: float, measure: str) -> Criterion:
        figure = float(np.mean(getattr(c, attribute)))
        other = None if k is None else float(np.mean(getattr(k, attribute)))
        return Criterion(
            name=name,
            challenger=figure,
            champion=other,
            judged=figure,
            measure=measure,
            relation=relation,
            bound=bound,
        )

    criteria = [
        own("expected accuracy", "right", "≥", bounds.accuracy_floor, "floor"),
        own("calibration error", "ece", "≤", bounds.ece, "15 equal-mass bins"),
        own("error of win probability", "mae", "≤", bounds.mae, "mean against replays"),
        own("asymmetry", "antisymmetry", "≤", bounds.antisymmetry, "mean |P(A) + P(B) − 1|"),
        own("bundle, MiB", "mebibytes", "≤", bounds.mebibytes, "all files"),
        own(f"{USUAL_PAIRINGS} pairings, ms", "usual_ms", "≤", bounds.usual_ms, "CPU time of a request"),
        own("largest request, ms", "largest_ms", "≤", bounds.largest_ms, "CPU time, Mew against Mew"),
    ]
    if k is None:
        return criteria
    level = f"{bounds.confidence:.0%}"
    accuracy = clustered_mean(c.right - k.right, clusters, bounds.confidence)
    loss = clustered_mean(c.loss - k.loss, clusters, bounds.confidence)
    flipped = float(((c.p > 0.5) != (k.p > 0.5)).mean())
    return [
        criteria[0],
        Criterion(
            name="accuracy not worse",
            challenger=float(c.right.mean()),
            champion=float(k.right.mean()),
            judged=accuracy.lower,
            measure=f"lower {level} bound of the paired difference {accuracy.mean:+.4f}",
            relation="≥",
            bound=-bounds.accuracy_margin,
        ),
        Criterion(
            name="log loss not worse, nats",
            challenger=float(c.loss.mean()),
            champion=float(k.loss.mean()),
            judged=loss.upper,
            measure=f"upper {level} bound of the paired difference {loss.mean:+.4f}",
            relation="≤",
            bound=bounds.log_loss_margin,
        ),
        criteria[1],
        Criterion(
            name="calibration not worse",
            challenger=c.ece,
            champion=k.ece,
            judged=c.ece - k.ece,
            measure="difference of the calibration errors",
            relation="≤",
            bound=bounds.ece_margin,
        ),
        *criteria[2:4],
        Criterion(
            name="flipped decisions",
            challenger=None,
            champion=None,
            judged=flipped,
            measure="share of pairings whose likelier side changed",
            relation="≤",
            bound=bounds.flips,
        ),
        *criteria[4:],
    ]


def judge(
    model: str, challenger: Contender, champion: Contender | None, replays: Replays, bounds: Bounds | None = None
) -> Verdict:
    """Judge one version by the replay set, against another one or by the floors alone.

    Raises:
        GateError: a variable of the gate's is not usable.
        UnknownName: a version's dex does not know a species or an attack of the replay set.
    """
    bounds, count = bounds or Bounds.here(), requests_wanted()
    criteria = compare(
        show(challenger, replays), show(champion, replays) if champion else None, replays.clusters, bounds
    )
    expected = expectation(challenger.core, champion.core, draw_requests(challenger.dex, count)) if champion else None
    return Verdict(
        model=model,
        version=challenger.version,
        against=champion.version if champion else None,
        dataset_digest=replays.digest,
        pairings=len(replays.outcomes),
        clusters=len(set(replays.clusters.tolist())),
        confidence=bounds.confidence,
        criteria=criteria,
        expectation=expected,
        created=datetime.now(UTC),
    )


def run(
    registry: Registry,
    replays: Replays,
    cache: Path,
    *,
    version: str | None = None,
    against: str | None = None,
    bounds: Bounds | None = None,
) -> Verdict:
    """Judge a registered version and log the verdict: tags on the version, ``gate.json`` on its run.

    Args:
        registry: where both versions are, and where the verdict goes.
        version: the challenger; the newest by default.
        against: the version to compare with; the champion by default, and nothing where there is none.
        replays: what to judge by.
        cache: folder for downloaded exports.
        bounds: what to ask.

    Raises:
        GateError: nothing is registered, or a variable of the gate's is not usable.
        RegistryError: a version or its export does not exist.
        BundleError: serving would refuse a version.
    """
    version = version or registry.newest()
    if version is None:
        raise GateError(f"No version of {registry.name} is registered yet, so there is nothing to judge.")
    against = against or registry.champion()
    for number in {version, against} - {None}:
        registry.version(str(number))
    registry.tag(version, PENDING)
    with tempfile.TemporaryDirectory(prefix="gate-") as scratch:
        bundles = dict(_bundles(registry, [version, against], cache, Path(scratch)))
        challenger = Contender.open(version, bundles[version])
        champion = Contender.open(against, bundles[against]) if against else None
        verdict = judge(registry.name, challenger, champion, replays, bounds)
    registry.log_json(version, verdict.document(), FILE)
    registry.tag(version, Stamp.on(verdict).tags())
    return verdict


def _bundles(
    registry: Registry, versions: Iterable[str | None], cache: Path, scratch: Path
) -> Iterable[tuple[str, Path]]:
    for version in dict.fromkeys(versions):
        if version:
            yield version, assemble(registry.export_folder(version, cache), version, None, scratch / version)
