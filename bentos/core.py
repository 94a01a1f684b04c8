"""The transport-free core: a verified bundle that answers. Every door translates to this and back, nothing more."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.battle.adapter import BattleAdapter
from bentos.battle.features import Matrix, restore
from bentos.battle.schemas import BattleAnswer, ModelVersion
from bentos.bundle import Bundle
from bentos.calibration import calibrate
from bentos.contract import Contract, Task
from bentos.errors import BundleError, ContractError, ParityError, RequestError
from bentos.runtime import Name, Runtime

log = logging.getLogger(__name__)


class Core:
    """A model ready to answer; safe to use from several threads.

    Attributes:
        bundle: the verified bundle.
        runtime: its model files, loaded.
        adapter: what turns requests into rows and scores into answers.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, adapter: BattleAdapter) -> None:
        self.bundle = bundle
        self.runtime = runtime
        self.adapter = adapter
        self._version = ModelVersion(name=bundle.contract.name, version=bundle.contract.version)

    @classmethod
    def open(cls, folder: Path) -> "Core":
        """Load a bundle and answer its parity sample through every runtime it has.

        Raises:
            BundleError: the bundle cannot be served; one sentence says why.
        """
        try:
            return cls._open(folder)
        except BundleError:
            raise
        # What a damaged or foreign file does to NumPy and the runtimes has no common base but Exception.
        except Exception as error:
            log.debug("the bundle cannot be opened", exc_info=True)
            raise BundleError(f"The bundle cannot be opened: {type(error).__name__}.") from error

    @classmethod
    def _open(cls, folder: Path) -> "Core":
        bundle = Bundle.load(folder)
        if bundle.contract.adapter != "battle":
            raise ContractError(f"This server has no {bundle.contract.adapter} adapter.")
        if bundle.contract.task is not Task.BINARY:
            raise ContractError(f"A battle model answers the task binary, and this one's is {bundle.contract.task}.")
        adapter = BattleAdapter(bundle)
        core = cls(bundle, Runtime(bundle), adapter)
        core.check_parity()
        return core

    @property
    def contract(self) -> Contract:
        """The contract of the bundle."""
        return self.bundle.contract

    def probabilities(self, columns: Mapping[str, Sequence[str] | NDArray[Any]]) -> NDArray[np.float64]:
        """Probability of the positive class [n], calibrated, for rows given as ``contract.columns``, each [n].

        Raises:
            InvalidInput: a row cannot be scored.
        """
        return self._answer(self.adapter.matrix(columns))

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
        """
        duel = self.adapter.duel(pokemon_a, pokemon_b, moves_a, moves_b)
        p = self._answer(self.adapter.pairings(duel)).reshape(len(duel.moves_a), len(duel.moves_b))
        ranking = self.adapter.rank(duel, p)
        return BattleAnswer(
            recommended_move=ranking[0].move,
            win_probability=ranking[0].win_probability,
            all_moves=ranking,
            model=self._version,
            prediction_id=uuid.uuid4().hex,
        )

    def check_parity(self) -> None:
        """Answer the parity sample through every runtime; raises ParityError with the runtime and the difference."""
        parity = self.contract.parity
        names = [column.name for column in self.contract.columns]
        columns = {name: [str(row[i]) for row in parity.rows] for i, name in enumerate(names)}
        try:
            matrix = self.adapter.matrix(columns)
        except RequestError as error:
            raise ParityError(f"The parity sample does not fit the bundle's tables: {error}") from error
        # A binary task is expected as the one probability that is answered, or as that of each class.
        expected = np.array([row[-1] for row in parity.expected])
        for name in self.runtime.names:
            off = np.abs(self._answer(matrix, name) - expected)
            # NaN is no agreement, so the question is not whether the difference is above the tolerance.
            if not np.all(off <= parity.tolerance):
                raise ParityError(
                    f"The model does not answer its parity sample through {name}: "
                    f"off by up to {np.max(off):.2g}, and {parity.tolerance:.0e} is allowed."
                )

    def _answer(self, matrix: Matrix, runtime: Name | None = None) -> NDArray[np.float64]:
        raw = self.runtime.predict(matrix.x) if runtime is None else self.runtime.predict_with(runtime, matrix.x)
        p = calibrate(self.contract.calibration, raw)
        return restore(p, matrix) if self.contract.symmetrisation == "canonical_order" else p
