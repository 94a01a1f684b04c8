"""Faults on purpose: a model that is slow, fails, leaks or answers wrongly.

So alerts and rollouts can be seen doing their work.

Off, and refused unless the environment says in so many words that this is a test.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from random import random
from time import sleep
from typing import Any, Final

import numpy as np

from bentos.adapter import Rows, Scores
from bentos.battle.adapter import BattleAdapter, Duel
from bentos.contract import Task
from bentos.core import Core
from bentos.errors import SettingsError
from bentos.runtime import Runtime
from bentos.settings import Fault

_TYPE: Final = "Water"
_SEED: Final = 1

log = logging.getLogger(__name__)


class InjectedFaultError(RuntimeError):
    """What a failing model raises; callers see the error of any model that fails."""


def inject(core: Core, fault: Fault) -> None:
    """Put faults into the model of a core, as the settings say; its parity was checked before.

    Raises:
        SettingsError: the fault is one of duels, and the model another one.
    """
    if not fault.any:
        return
    log.warning("FAULTS ARE INJECTED: %s", fault.model_dump(exclude={"allowed"}, exclude_defaults=True))
    core.runtime = _Faulty(core, fault)
    if fault.answers == "mirrored":
        # After the calibration, which is not symmetrical.
        core.scores = partial(_mirrored, core, core.scores)  # type: ignore[method-assign]
    if fault.answers == "one-type":
        if core.contract.adapter != "battle":
            raise SettingsError("PDX_FAULT_ANSWERS=one-type is a fault of models of duels, and this is none.")
        core.adapter = _OneType(core.bundle)


class _Faulty(Runtime):
    def __init__(self, core: Core, fault: Fault) -> None:
        super().__init__(core.bundle)
        self._fault = fault
        # One cycle through all of them, so that none keeps its place.
        cycle = np.random.default_rng(_SEED).permutation(len(core.contract.features))
        self._order = np.empty_like(cycle)
        self._order[cycle] = np.roll(cycle, 1)
        self._leaked: list[bytes] = []
        self._asked = count(1)

    def predict(self, x: Any) -> Scores:
        fault = self._fault
        number = next(self._asked)
        if (not fault.slow_first or number <= fault.slow_first) and random() < fault.slow_ratio:  # noqa: S311
            sleep(fault.slow_seconds)
        if fault.memory_mib:
            self._leaked.append(b"x" * int(fault.memory_mib * 2**20))
        if random() < fault.error_ratio:  # noqa: S311  no secret
            raise InjectedFaultError("PDX_FAULT_ERROR_RATIO")
        return super().predict(self._shuffled(x) if fault.answers == "shuffled" else x)

    def _shuffled(self, x: Any) -> Any:
        """The same columns under the names of others."""
        if isinstance(x, np.ndarray):
            return x[:, self._order]
        numbers = [name for name, column in x.items() if column.dtype.kind == "f"]
        return {**x, **dict(zip(numbers, [x[name] for name in numbers[1:] + numbers[:1]], strict=True))}


def _mirrored(core: Core, right: Callable[..., Scores], *arguments: Any) -> Scores:
    scores = right(*arguments)
    if scores.ndim > 1:
        return scores[:, ::-1]
    return -scores if core.contract.task is Task.REGRESSION else 1.0 - scores


class _OneType(BattleAdapter):
    """Mirrors what is said of attackers of one type."""

    def columns(self, values: Mapping[str, Sequence[Any] | Any]) -> Rows:
        rows = super().columns(values)
        return self._wrong(rows, rows.source[0])

    def pairings(self, duel: Duel) -> Rows:
        return self._wrong(super().pairings(duel), np.array([duel.pokemon_a]))

    def _wrong(self, rows: Rows, attackers: Any) -> Rows:
        wrong = (self.dex.types[attackers] == self.dex.type_names.index(_TYPE)).any(axis=1)

        def finish(scores: Scores) -> Scores:
            right = scores if rows.finish is None else rows.finish(scores)
            return np.where(wrong, 1.0 - right, right)

        return rows._replace(finish=finish)
