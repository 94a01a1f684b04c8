"""Faults on purpose: a model that is slow, or fails, so that alerts and rollouts can be seen doing their work.

Off, and refused unless the environment says in so many words that this is a test.
"""

import logging
from random import random
from time import sleep
from typing import Any

from bentos.adapter import Scores
from bentos.core import Core
from bentos.runtime import Runtime
from bentos.settings import Fault

log = logging.getLogger(__name__)


class InjectedFaultError(RuntimeError):
    """What a failing model raises; callers see the error of any model that fails."""


def inject(core: Core, fault: Fault) -> None:
    """Make the model of a core slow or failing, as the settings say; its parity was checked before."""
    if not (fault.slow_seconds or fault.error_ratio):
        return
    log.warning("FAULTS ARE INJECTED: %g s a request, %g of them fail", fault.slow_seconds, fault.error_ratio)
    core.runtime = _Faulty(core, fault)


class _Faulty(Runtime):
    def __init__(self, core: Core, fault: Fault) -> None:
        super().__init__(core.bundle)
        self._fault = fault

    def predict(self, x: Any) -> Scores:
        sleep(self._fault.slow_seconds)
        if random() < self._fault.error_ratio:  # noqa: S311  no secret
            raise InjectedFaultError("PDX_FAULT_ERROR_RATIO")
        return super().predict(x)
