"""Writes what a run hands to the registry: the model's files and a contract that lacks only its version.

Nothing here is repeated later: the parity of training model, ONNX and UBJ, the crossover of the two runtimes and the
sample that serving checks itself by are measured once, on what serving runs (``bentos.runtime``).
"""

import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.bundle import MODEL_ONNX, MODEL_UBJ, Bundle
from bentos.calibration import calibrate
from bentos.contract import (
    Calibration,
    Column,
    Contract,
    LiveReference,
    MonitoredColumn,
    Output,
    ParitySample,
    Provenance,
    RuntimePlan,
    Scalar,
    ScoreBins,
    Task,
)
from training import convert, crossover
from training.crossover import Timing
from training.folder import replacing
from training.golden import Golden, pack
from training.settings import MODEL_NAME

if TYPE_CHECKING:
    from training.candidates import Fitted

DRAFT: Final = "contract.draft.json"
DEX: Final = "dex.json"
GOLDEN: Final = "golden.json.gz"
CARD: Final = "card.md"
LEAST_ROWS: Final = 10_000
TOLERANCE: Final = 1e-5  # of a probability
OBSERVATION: Final = (
    "One observation a request: the first type and the summed base stats of both species, how much faster A is, the "
    "type of the recommended attack, and as the score its win probability against the best reply; what flips is the "
    "recommended attack."
)
_SAMPLE_ROWS: Final = 64
_SAMPLE_INPUTS: Final = 3
_LIBRARIES: Final = ("numpy", "onnx", "onnxmltools", "onnxruntime", "scikit-learn", "skl2onnx", "xgboost")

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


class ExportError(Exception):
    """The trained model cannot become a bundle; one sentence says why."""


class Pairings(NamedTuple):
    """n duels as int32 codes [n] of the dex."""

    pokemon_a: Codes
    move_a: Codes
    pokemon_b: Codes
    move_b: Codes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the model came from; the rest of ``Provenance`` the export knows itself."""

    run_id: str
    git_commit: str
    dataset_digest: str
    dataset_rows: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What live traffic is held against; left out where it was not measured."""

    monitored: Sequence[MonitoredColumn] = ()
    score_bins: ScoreBins | None = None
    live_reference: LiveReference | None = None


class Draft(NamedTuple):
    """A finished export.

    Attributes:
        folder: what was written.
        contract: its contract of version "0", without digests of files and without an expectation.
        timings: both runtimes by batch size; empty where there is one runtime.
    """

    folder: Path
    contract: Contract
    timings: list[Timing]


def export(
    fitted: "Fitted",
    out: Path,
    *,
    dex: Path,
    calibration: Calibration,
    golden: Sequence[Golden],
    metrics: Mapping[str, float],
    origin: Origin,
    card: Callable[[Contract], str],
    watched: Watched | None = None,
    name: str = MODEL_NAME,
    rows: int = 2 * LEAST_ROWS,
    seed: int = 1,
) -> Draft:
    """Write the export folder ``out``, in one step; an export that was there before is replaced.

    Args:
        fitted: the trained candidate.
        out: the folder.
        dex: ``dex.json``, copied.
        calibration: applied after either runtime.
        golden: requests with their truth, from ``training.golden.from_replays``.
        metrics: offline figures by name.
        origin: run, commit and dataset.
        card: makes the model card, Markdown, from the finished contract.
        watched: references for drift and live accuracy.
        name: name of the model.
        rows: how many random legal pairings the training model and the runtimes are compared on.
        seed: draws them.

    Raises:
        ExportError: the runtimes do not answer as the training model does, there are too few rows to say so, there is
            no golden request or too many, or ``out`` holds other files.
    """
    if rows < LEAST_ROWS:
        raise ExportError(f"Parity needs at least {LEAST_ROWS:,} rows, not {rows:,}.")
    if not golden:
        raise ExportError("An export needs golden requests, and there is none.")
    table = Dex.load(dex)
    pairings = random_pairings(table, rows, seed)
    matrix = features.rows(table, *pairings)
    raw = fitted.predict(matrix.x)
    with replacing(out, DRAFT, ExportError) as folder:
        shutil.copyfile(dex, folder / DEX)
        _write_golden(folder, golden)
        files = _write_models(fitted, folder, matrix.x.shape[1])
        contract = Contract(
            name=name,
            version="0",
            adapter="battle",
            task=Task.BINARY,
            columns=[Column(name=column, dtype="string") for column in Pairings._fields],
            outputs=[
                Output(name="probabilities", datatype="FP32", columns=2),
                Output(name="label", datatype="BYTES"),
            ],
            classes=["b_wins", "a_wins"],
            features=list(features.FEATURES),
            features_digest=hashlib.sha256("\n".join(features.FEATURES).encode()).hexdigest(),
            symmetrisation="canonical_order",
            calibration=calibration,
            runtime=RuntimePlan(onnx_input=convert.INPUT, onnx_output=convert.OUTPUT),
            parity=_sample(table, pairings, _answer(calibration, raw, matrix)),
            observation=OBSERVATION,
            monitored=list(watched.monitored) if watched else [],
            score_bins=watched.score_bins if watched else None,
            live_reference=watched.live_reference if watched else None,
            sample_inputs=[request["request"] for request in golden[:_SAMPLE_INPUTS]],
            metrics=dict(metrics),
            provenance=_provenance(origin, fitted.algorithm, dex),
            files=files,
        )
        contract, timings = _prove(contract, folder, raw, matrix)
        (folder / CARD).write_text(card(contract), encoding="utf-8")
        (folder / DRAFT).write_text(contract.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Draft(out, contract, timings)


def random_pairings(dex: Dex, rows: int, seed: int) -> Pairings:
    """Draw both species uniformly among those with an attack, and an attack of each uniformly."""
    rng = np.random.default_rng(seed)
    able = [code for code in range(len(dex.species_ids)) if len(dex.attacks_of(code))]
    sides: list[Codes] = []
    for _ in "ab":
        species = rng.choice(able, rows).astype(np.int32)
        counts = np.array([len(dex.attacks_of(code)) for code in range(len(dex.species_ids))])
        which = (rng.random(rows) * counts[species]).astype(np.int64)
        attack = [dex.attacks_of(code)[number] for code, number in zip(species.tolist(), which.tolist(), strict=True)]
        sides += [species, np.array(attack, np.int32)]
    return Pairings(*sides)


def _answer(calibration: Calibration, raw: Floats, matrix: features.Matrix) -> Floats:
    return features.restore(calibrate(calibration, raw), matrix)


def _write_golden(folder: Path, golden: Sequence[Golden]) -> None:
    try:
        (folder / GOLDEN).write_bytes(pack(golden))
    except ValueError as error:
        raise ExportError(str(error)) from error


def _write_models(fitted: "Fitted", folder: Path, width: int) -> dict[str, str]:
    """Write the model's files; returns their digests."""
    estimator = fitted.estimator
    texts: dict[str, bytes] = {}
    if isinstance(estimator, xgb.Booster):
        estimator = convert.strip(estimator)
        texts[MODEL_UBJ] = convert.to_ubj(estimator)
    texts[MODEL_ONNX] = convert.to_onnx(estimator, width)
    for file, text in texts.items():
        (folder / file).write_bytes(text)
    return {file: hashlib.sha256(text).hexdigest() for file, text in texts.items()}


def _sample(dex: Dex, pairings: Pairings, answers: Floats) -> ParitySample:
    """Rows spread evenly over the answers from the lowest to the highest, and one duel of a side against itself."""
    ranks = np.linspace(0, len(answers) - 1, _SAMPLE_ROWS - 1).round().astype(int)
    chosen = np.argsort(answers, kind="stable")[ranks]
    columns = [
        [(dex.attack_ids if field.startswith("move") else dex.species_ids)[code] for code in codes[chosen].tolist()]
        for field, codes in zip(Pairings._fields, pairings, strict=True)
    ]
    rows: list[list[Scalar]] = [list(row) for row in zip(*columns, strict=True)]
    mirror = rows[0][:2] * 2
    return ParitySample(
        rows=[*rows, mirror], expected=[[p] for p in [*answers[chosen].tolist(), 0.5]], tolerance=TOLERANCE
    )


def _prove(contract: Contract, folder: Path, raw: Floats, matrix: features.Matrix) -> tuple[Contract, list[Timing]]:
    """Compare the runtimes with the training model on every row, find their crossover, and complete the contract."""
    from bentos.runtime import Runtime

    runtime = Runtime(Bundle(folder, contract))
    answers = _answer(contract.calibration, raw, matrix)
    largest = 0.0
    for name in runtime.names:
        scored = runtime.predict_with(name, matrix.x)
        # Calibration may be steep, so the answer can be off by more than the score is.
        gaps = np.abs([scored - raw, _answer(contract.calibration, scored, matrix) - answers])
        if not (gaps <= TOLERANCE).all():
            raise ExportError(
                f"The exported {contract.provenance.algorithm} is not the trained one: through {name} its scores are "
                f"off by up to {gaps[0].max():.2g} and its answers by up to {gaps[1].max():.2g} on {len(raw):,} rows, "
                f"and {TOLERANCE:.0e} is allowed."
            )
        largest = max(largest, float(gaps.max()))
    timings: list[Timing] = []
    if "xgboost" in runtime.names:
        timings = crossover.measure(
            lambda x: runtime.predict_with("onnx", x), lambda x: runtime.predict_with("xgboost", x), matrix.x
        )
    rows = crossover.crossover(timings)
    if rows is None:
        (folder / MODEL_UBJ).unlink(missing_ok=True)
    parity = contract.parity.model_copy(update={"compared_rows": len(raw), "max_difference": largest})
    plan = contract.runtime.model_copy(update={"crossover_rows": rows})
    return contract.model_copy(update={"parity": parity, "runtime": plan, "files": {}}), timings


def _provenance(origin: Origin, algorithm: str, dex: Path) -> Provenance:
    return Provenance(
        run_id=origin.run_id,
        git_commit=origin.git_commit,
        dataset_digest=origin.dataset_digest,
        dataset_rows=origin.dataset_rows,
        tables_digest=hashlib.sha256(dex.read_bytes()).hexdigest(),
        algorithm=algorithm,
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        created=datetime.now(UTC).replace(microsecond=0),
    )
