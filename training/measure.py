"""Measures a registered version through the core that serves it."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from bentos.core import Core
from training.bundle import bundle
from training.dataset import read
from training.dataset.schema import PAIRING
from training.evaluate import Figures, figures
from training.outcomes import Outcomes
from training.registry import Registry
from training.regret import regret
from training.settings import DATA, Settings


def measure(places: Settings, version: str | None) -> tuple[str, Figures]:
    """Figures of a version (None: the champion) on the shipped gate replays and requests; returns its number too.

    Raises:
        RegistryError: there is no such version, or no champion.
        BundleError: serving would refuse it.
    """
    registry = Registry(places.tracking_uri)
    with tempfile.TemporaryDirectory(dir=places.home) as scratch:
        core = Core.open(bundle(registry, version, None, Path(scratch) / "bundle", places.home))
    dex = Dex.load(DATA / "dex.json")

    def ask(replays: read.Replays, *, exchanged: bool = False) -> tuple[Outcomes, NDArray[np.float64]]:
        names = [dex.species_ids, dex.attack_ids] * 2
        codes = (replays.pokemon_a, replays.move_a, replays.pokemon_b, replays.move_b)
        columns = [[name[code] for code in side.tolist()] for name, side in zip(names, codes, strict=True)]
        if exchanged:
            columns = columns[2:] + columns[:2]
        answered = core.probabilities(dict(zip(PAIRING, columns, strict=True)))
        return Outcomes.of(replays.wins, replays.draws, replays.replays), answered

    gate, requests = (read.replays(DATA / f"{name}.parquet", dex=dex) for name in ("gate", "requests"))
    outcomes, p = ask(gate)
    request_outcomes, request_p = ask(requests)
    assert requests.request is not None  # noqa: S101  (the shipped file of requests numbers them)
    return core.contract.version, figures(
        p,
        outcomes,
        reversed_p=ask(gate, exchanged=True)[1],
        clusters=gate.pairs(),
        regret=regret(request_p, request_outcomes, requests.request, requests.move_a, requests.move_b),
    )
