"""The transport-free core: a verified bundle that answers. Every door translates to this and back, nothing more."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.adapter import Adapter, Features, Rows, Scores
from bentos.battle.adapter import BattleAdapter, Duel
from bentos.battle.schemas import BattleAnswer, ModelVersion
from bentos.bundle import Bundle
from bentos.calibration import calibrate
from bentos.contract import Contract, Task
from bentos.errors import BundleError, ContractError, NotFound, ParityError, RequestError, TooManyRows
from bentos.ids import Ids
from bentos.records import Records
from bentos.runtime import Name, Runtime
from bentos.tabular import TabularAdapter
from bentos.tensor import DTYPES, Tensor, TensorSpec

MOST_ROWS: Final = 10_000
IDS_UP_TO: Final = 64
"""Rows of a request up to which each gets a prediction id without being asked for."""

log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """What the core says of one request, and what it took.

    Attributes:
        outputs: tensors in the order of ``Core.outputs``; none for a duel, which has an answer of its own.
        ids: a signed prediction id a row, or none.
        rows: how many rows were scored.
        seconds: time in the model and its calibration, in seconds.
        score: what is watched for drift: P(class 1), the greatest P of a class, or the value, of the observed row.
        observe: gives the monitored columns of the observed row [monitored]; None where nothing is monitored.
        answer: the ranking of a duel.
        asked: the rows, or the duel, that were scored.
        seen: the one of the rows that is observed, drawn at random.
    """

    outputs: tuple[Tensor, ...]
    ids: list[str]
    rows: int
    seconds: float
    score: float
    observe: Callable[[], Features] | None = None
    answer: BattleAnswer | None = None
    asked: Rows | Duel | None = None
    seen: int = 0


class Core:
    """A model ready to answer; safe to use from several threads.

    Attributes:
        bundle: the verified bundle.
        runtime: its model files, loaded.
        adapter: what turns requests into rows.
        outputs: the tensors that are answered, in order.
        ids: signs prediction ids.
        most_rows: rows that one request may have.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, adapter: Adapter, ids: Ids, most_rows: int) -> None:
        contract = bundle.contract
        self.bundle = bundle
        self.runtime = runtime
        self.adapter = adapter
        self.ids = ids
        self.most_rows = most_rows
        self._records = Records(contract)
        self.outputs = tuple(
            TensorSpec(output.name, output.datatype, (-1, output.columns)) for output in contract.outputs
        )
        self._version = ModelVersion(name=contract.name, version=contract.version)
        self._calibrated = contract.calibration.method != "none"
        self._monitored = bool(contract.monitored)
        self._classes = np.array(contract.classes or [], np.object_)
        usual = [(output.name, output.datatype) for output in contract.outputs] == _Single.OUTPUTS
        self._single = _Single(contract.classes or []) if usual and contract.task is Task.BINARY else None
        self._random = np.random.default_rng()

    @classmethod
    def open(cls, folder: Path, ids: Ids | None = None, most_rows: int = MOST_ROWS) -> "Core":
        """Load a bundle and answer its parity sample through every runtime it has.

        Args:
            folder: the bundle.
            ids: signs prediction ids; None makes ids that only this core can read.
            most_rows: rows that one request may have.

        Raises:
            BundleError: the bundle cannot be served; one sentence says why.
        """
        try:
            return cls._open(folder, ids or Ids(), most_rows)
        except BundleError:
            raise
        # What a damaged or foreign file does to NumPy and the runtimes has no common base but Exception.
        except Exception as error:
            log.debug("the bundle cannot be opened", exc_info=True)
            raise BundleError(f"The bundle cannot be opened: {type(error).__name__}.") from error

    @classmethod
    def _open(cls, folder: Path, ids: Ids, most_rows: int) -> "Core":
        bundle = Bundle.load(folder)
        task = bundle.contract.task
        if bundle.contract.adapter == "battle" and task is not Task.BINARY:
            raise ContractError(f"A battle model answers the task binary, and this one's is {task}.")
        adapter = BattleAdapter(bundle) if bundle.contract.adapter == "battle" else TabularAdapter(bundle)
        core = cls(bundle, Runtime(bundle), adapter, ids, most_rows)
        core.check_parity()
        return core

    @property
    def contract(self) -> Contract:
        """The contract of the bundle."""
        return self.bundle.contract

    @property
    def duels(self) -> BattleAdapter:
        """The adapter of a model of duels; raises NotFound where the model is another one."""
        if not isinstance(self.adapter, BattleAdapter):
            raise NotFound(f"{self.contract.name} is no model of duels.")
        return self.adapter

    def check_model(self, name: str, version: str | None = None) -> None:
        """Raise NotFound where a model or version is asked for that is not the one here."""
        if name != self.contract.name:
            raise NotFound(f"There is no model {name[:64]!r}; this server has {self.contract.name}.")
        if version is not None and version != self.contract.version:
            raise NotFound(
                f"There is no version {version[:64]!r} of {self.contract.name}; this server has "
                f"{self.contract.version}."
            )

    def scores(self, rows: Rows, runtime: Name | None = None) -> Scores:
        """Score rows: calibrated, and finished as their adapter wants it; by the faster runtime, or by a given one."""
        raw = self.runtime.predict(rows.x) if runtime is None else self.runtime.predict_with(runtime, rows.x)
        p = calibrate(self.contract.calibration, raw) if self._calibrated else raw
        return p if rows.finish is None else rows.finish(p)

    def probabilities(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> Scores:
        """Scores of rows given as ``contract.columns``, each [n].

        Raises:
            InvalidInput: a row cannot be scored.
        """
        return self.scores(self.adapter.columns(columns))

    def tensors(self, given: Sequence[Tensor]) -> Rows:
        """Rows from the tensors of a request; raises InvalidInput and TooManyRows."""
        if given and given[0].data.ndim:
            self._bound(len(given[0].data))
        return self.adapter.tensors(given)

    def records(self, given: Sequence[Any]) -> Rows:
        """Rows from JSON objects of named columns; raises InvalidInput, naming row and column, and TooManyRows."""
        self._bound(len(given))
        return self.adapter.columns(self._records.columns(given))

    def predict(self, rows: Rows, *, ids: bool | None = None) -> Prediction:
        """Score the rows of one request.

        Args:
            rows: from the adapter.
            ids: whether each row gets a prediction id; None gives them up to 64 rows.
        """
        n = rows.n
        start = perf_counter()
        scores = self.scores(rows)
        seconds = perf_counter() - start
        signed = self.ids.rows(self.bundle.contract, scores) if ids or (ids is None and n <= IDS_UP_TO) else []
        seen = 0 if n == 1 else int(self._random.integers(n))
        score = float(scores[seen] if scores.ndim == 1 else scores[seen].max())
        outputs = self._outputs(scores) if n > 1 or self._single is None else self._single.outputs(score)
        observe = partial(self.adapter.observation, rows, seen) if self._monitored else None
        return Prediction(outputs, signed, n, seconds, score, observe, None, rows, seen)

    def battle(
        self,
        pokemon_a: str,
        pokemon_b: str,
        moves_a: Sequence[str] | None = None,
        moves_b: Sequence[str] | None = None,
    ) -> BattleAnswer:
        """Rank the attacks of A; every pairing with an attack of B is a row of one batch.

        Raises:
            InvalidInput: a name is unknown, an attack is not A's or B's, or there is none.
            NotFound: the model is none of duels.
        """
        answer = self.rank(self.duel(pokemon_a, pokemon_b, moves_a, moves_b)).answer
        assert answer is not None  # noqa: S101  for the type checker: rank always has one
        return answer

    def duel(
        self, pokemon_a: str, pokemon_b: str, moves_a: Sequence[str] | None, moves_b: Sequence[str] | None
    ) -> Duel:
        """A request of the battle route in codes, checked; raises as ``battle`` does."""
        return self.duels.duel(pokemon_a, pokemon_b, moves_a, moves_b)

    def rank(self, duel: Duel) -> Prediction:
        """Score all pairings of a duel and rank the attacks of A."""
        adapter = self.duels
        rows = adapter.pairings(duel)
        start = perf_counter()
        p = self.scores(rows).reshape(len(duel.moves_a), len(duel.moves_b))
        seconds = perf_counter() - start
        ranking = adapter.rank(duel, p)
        best = ranking[0]
        ident = self.ids.duel(
            self.contract, duel.pokemon_a, best.move, duel.pokemon_b, best.best_reply, p=best.win_probability
        )
        answer = BattleAnswer(
            recommended_move=best.move,
            win_probability=best.win_probability,
            all_moves=ranking,
            model=self._version,
            prediction_id=ident,
        )
        observe = partial(adapter.duel_observation, duel, best.move) if self._monitored else None
        return Prediction((), [ident], rows.n, seconds, best.win_probability, observe, answer, duel)

    def check_parity(self) -> None:
        """Answer the parity sample through every runtime; raises ParityError with the runtime and the difference."""
        parity = self.contract.parity
        columns = {column.name: [row[i] for row in parity.rows] for i, column in enumerate(self.contract.columns)}
        try:
            rows = self.adapter.columns(columns)
        except RequestError as error:
            raise ParityError(f"The parity sample does not fit the bundle's tables: {error}") from error
        expected = np.array(parity.expected)
        # A binary task is expected as the one probability that is answered, or as that of each class.
        expected = expected if self.contract.task is Task.MULTICLASS else expected[:, -1]
        # Probabilities are compared as they are, values relative to their own size.
        size = np.maximum(1.0, np.abs(expected)) if self.contract.task is Task.REGRESSION else 1.0
        for name in self.runtime.names:
            off = np.abs(self.scores(rows, name) - expected) / size
            # NaN is no agreement, so the question is not whether the difference is above the tolerance.
            if not np.all(off <= parity.tolerance):
                raise ParityError(
                    f"The model does not answer its parity sample through {name}: "
                    f"off by up to {np.max(off):.2g}, and {parity.tolerance:.0e} is allowed."
                )

    def _bound(self, rows: int) -> None:
        if rows > self.most_rows:
            raise TooManyRows(
                f"The request has {rows} rows, and {self.most_rows} are accepted.", [{"limit_rows": self.most_rows}]
            )

    def _outputs(self, scores: Scores) -> tuple[Tensor, ...]:
        return tuple(Tensor(spec.name, spec.datatype, self._output(spec, scores)) for spec in self.outputs)

    def _output(self, spec: TensorSpec, scores: Scores) -> NDArray[Any]:
        dtype = DTYPES[spec.datatype]
        if spec.name == "value":
            return scores.reshape(-1, 1).astype(dtype)
        binary = scores.ndim == 1
        if spec.name == "probabilities":
            whole = np.empty((len(scores), 2)) if binary else scores
            if binary:
                whole[:, 1] = scores
                whole[:, 0] = 1.0 - scores
            return whole.astype(dtype)
        winner = (scores >= 0.5).astype(np.intp) if binary else scores.argmax(axis=1)
        labels: NDArray[Any] = self._classes[winner].astype(dtype)
        return labels.reshape(-1, 1)


class _Single:
    """The outputs of one row of two classes, the commonest request: the general way takes four times as long.

    Args:
        classes: both labels.
    """

    OUTPUTS: Final = [("probabilities", "FP32"), ("label", "BYTES")]
    """What a model must answer for it."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._labels = [Tensor("label", "BYTES", np.array([[name]], np.object_)) for name in classes]
        for tensor in self._labels:
            # All answers share it.
            tensor.data.flags.writeable = False

    def outputs(self, p: float) -> tuple[Tensor, ...]:
        """The tensors [1, 2] and [1, 1] of P(class 1)."""
        return Tensor("probabilities", "FP32", np.array([[1.0 - p, p]], np.float32)), self._labels[p >= 0.5]
