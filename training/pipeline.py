"""The main job as a chain of the steps that also stand alone: train, register, gate, promote, bundle, package."""

from dataclasses import dataclass
from pathlib import Path

from training import prepare, settings
from training.bundle import bundle
from training.candidates import CANDIDATES, SEED
from training.dataset.errors import SourceError
from training.dataset.read import Bad
from training.gate import run as judge
from training.package import Package, package
from training.promote import promote
from training.registry import Registry
from training.replays import Replays
from training.train import Options, Result, Tell, train
from training.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user chose of data and training; the defaults are the shipped data and every candidate.

    Attributes:
        source: Parquet file, folder of shards or SQLAlchemy URL; None for the shipped duels.
        table: table of a database source.
        bad: what to do with rows that cannot be used.
        rows: train on a random subsample of this many duels.
        algorithms, trials, folds, curve, seed: as in ``Options``; no algorithm means all.
    """

    source: str | None = None
    table: str = "duels"
    bad: Bad = "refuse"
    rows: int | None = None
    algorithms: tuple[str, ...] = ()
    trials: int = 0
    folds: int = 0
    curve: bool = False
    seed: int = SEED

    def options(self) -> Options:
        """The part that training reads.

        Raises:
            SourceError: an algorithm is not known.
        """
        for name in self.algorithms:
            if name not in CANDIDATES:
                raise SourceError(f"There is no candidate {name!r}; the candidates are {', '.join(CANDIDATES)}.")
        return Options(self.algorithms or tuple(CANDIDATES), self.trials, self.folds, self.curve, self.seed)


@dataclass(frozen=True, slots=True)
class Release:
    """What the whole chain came to.

    Attributes:
        result: the candidates.
        version: the winner's version in the registry.
        verdict: what the gate said of it.
        champion: the version that is the champion now; None where the gate said no and there was none.
        bundle: folder of the champion's bundle.
        packed: its bento.
    """

    result: Result
    version: str
    verdict: Verdict
    champion: str | None
    bundle: Path | None = None
    packed: Package | None = None


def train_and_register(
    choice: Choice, places: settings.Settings, tell: Tell, *, register: bool = True
) -> tuple[Result, str | None]:
    """Train on the chosen data; register the winner's run as a new version and return its number.

    Raises:
        DatasetError: the data or a choice cannot be used.
        ExportError: the winner cannot be served as it was trained.
    """
    options = choice.options()
    tell("Reading duels and building features")
    data = prepare.load(choice.source, table=choice.table, bad=choice.bad, rows=choice.rows, seed=options.seed)
    if data.duels.bad:
        tell(f"{data.duels.bad} of {data.duels.rows} rows were set aside into {data.duels.aside}")
    result = train(data, places, options, tell)
    if not register:
        return result, None
    version = Registry(places.tracking_uri).register(result.winner.run_id)
    tell(f"Registered {settings.MODEL_NAME} version {version}")
    return result, version


def release(choice: Choice, places: settings.Settings, tell: Tell) -> Release:
    """Dataset to bento: the version goes on only where the gate says yes; on a no the champion stays what it was.

    Raises:
        DatasetError, ExportError, GateError, RegistryError, BundleError: as the steps do.
    """
    result, version = train_and_register(choice, places, tell)
    assert version is not None  # noqa: S101  (registering was asked for)
    registry = Registry(places.tracking_uri)
    replays = Replays.read()
    tell(f"Gate: version {version} against {registry.champion() or 'the floors, since there is no champion yet'}")
    verdict = judge(registry, replays, places.home / "exports", version=version)
    if verdict.passed:
        promote(registry, version, replays.digest)
    champion = registry.champion()
    if champion is None:
        return Release(result, version, verdict, None)
    tell(f"Packaging version {champion}")
    folder = bundle(registry, None, None, None, places.home)
    packed = package(folder)
    return Release(result, version, verdict, champion, folder, packed)
