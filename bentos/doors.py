"""The three doors of a process, made of its settings, and the model that is put behind them."""

import contextlib
import ctypes
import gc
import logging
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bentos import faults, logs, telemetry
from bentos.admin import Admin
from bentos.asgi import App
from bentos.cohorts import Cohorts
from bentos.core import Core
from bentos.grpc_door import GrpcDoor
from bentos.ids import Ids
from bentos.keys import Keys
from bentos.metrics import Metrics
from bentos.reader import Limits
from bentos.rest import Rest
from bentos.settings import Http, Settings
from bentos.shadow import Shadow
from bentos.state import State
from bentos.telemetry import Tracing
from bentos.watchdog import Watchdog

_SWITCH_SECONDS: Final = 0.0005
"""How long a thread keeps Python to itself while others wait; with its default of 5 ms, a row of the REST loop would
wait that long for a batch or a gRPC call."""

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2

_COLLECT_EVERY: Final = 50_000
"""New objects between two looks for garbage: a long JSON body has a million, and none of them is garbage."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """Attributes are the doors or their handlers, and what they share."""

    rest: Rest
    grpc: GrpcDoor
    admin: Admin
    metrics: Metrics
    tracing: Tracing | None
    watchdog: Watchdog
    cohorts: Cohorts
    shadow: Shadow | None

    @classmethod
    def make(cls, settings: Settings, state: State, bento: App | None = None) -> "Doors":
        """Make them.

        Args:
            settings: of the process.
            state: of the process.
            bento: BentoML's app inside of ours; None where BentoML's server runs the process, which says so later.

        Raises:
            SettingsError: a file of keys, or an address, cannot be had.
        """
        sys.setswitchinterval(_SWITCH_SECONDS)
        _bound_arenas()
        metrics = Metrics()
        if settings.scratch is not None:
            metrics.watch_scratch(partial(_size, settings.scratch))
        keys = None if settings.auth.keys_file is None else Keys.open(settings.auth.keys_file)
        if keys is not None:
            metrics.watch_keys(lambda: keys.ok)
        tracing = telemetry.start()
        cohorts = Cohorts(settings.cohort.header)
        shadow = Shadow.of(settings, cohorts, metrics)
        rest = Rest(
            bento,
            state=state,
            settings=settings,
            metrics=metrics,
            keys=keys,
            tracing=tracing,
            cohorts=cohorts,
            shadow=shadow,
        )
        grpc = GrpcDoor(settings, state, keys=keys, metrics=metrics, tracing=tracing, cohorts=cohorts, shadow=shadow)
        watchdog = Watchdog(progressed=lambda: grpc.desk.progressed)
        admin = Admin(state, metrics, watchdog.stalled, settings.live, cohorts)
        return cls(rest, grpc, admin, metrics, tracing, watchdog, cohorts, shadow)

    def load(self, folder: Path, settings: Settings, state: State) -> None:
        """Open a bundle and put it behind the doors; raises BundleError and SettingsError."""
        ids = Ids.open(settings.ids)
        self.metrics.watch_ids(lambda: ids.ok)
        core = Core.open(folder, ids, settings.limit.rows)
        faults.inject(core, settings.fault)
        name, version = core.contract.name, core.contract.version
        self.metrics.bind(core.contract)
        self.cohorts.bind(ids, name)
        logs.bind(name, version)
        if self.tracing is not None:
            self.tracing.bind(name, version)
        # What a model is made of stays: no collection has to look at it again, and one that does stalls every request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_EVERY)
        state.core = core
        if self.shadow is not None:
            self.shadow.start(core)
        log.info("ready with %s version %s", name, version)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, at any depth; what goes while it is looked at counts for nothing."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(at) / name).lstat().st_size
    return total


def _bound_arenas() -> None:
    """Let the threads of gRPC share glibc's heaps; with one each, memory goes on growing for minutes.

    Source: mallopt(3). Another C library, or another system, has no such setting and needs none.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def limits_of(http: Http) -> Limits:
    """The protocol's limits from the settings of the REST door."""
    return Limits(
        header_bytes=http.header_bytes,
        header_seconds=http.header_seconds,
        body_bytes=http.body_bytes,
        body_seconds=http.body_seconds,
        arriving_bytes=http.arriving_bytes,
        keep_alive_seconds=http.keep_alive_seconds,
        connections=http.connections,
    )
