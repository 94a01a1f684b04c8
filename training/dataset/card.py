"""The numbers of the data card, counted from the files that ship."""

import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from training.dataset.draw import PART_OF_KIND, Kind
from training.dataset.errors import ShipError
from training.dataset.names import PARTS, Names
from training.dataset.read import Duels, Replays, duels, replays

CARD = "README.md"
_BLOCK = re.compile(r"(<!-- numbers: [^\n]* -->\n).*?(<!-- end of numbers -->)", re.DOTALL)


def numbers(folder: Path, dex: Dex) -> str:
    """The figures as Markdown tables, for the kinds whose file is in ``folder``.

    Raises:
        SourceError, BadRows: a file cannot be read, or has rows of another part.
    """
    names = Names(dex)
    kinds = [kind for kind in get_args(Kind) if (folder / f"{kind}.parquet").is_file()]
    read: dict[Kind, Duels | Replays] = {
        kind: duels(folder / f"{kind}.parquet", dex=dex)
        if kind == "duels"
        else replays(folder / f"{kind}.parquet", part=PART_OF_KIND[kind], dex=dex)
        for kind in kinds
    }
    return "\n\n".join(["## Numbers", _sizes(folder, read, names), _outcomes(read), _turns(read), _evenness(read)])


def fill(card: str, block: str) -> str:
    """Put the numbers into the card's text.

    Raises:
        ShipError: the card has no place for them.
    """
    if not _BLOCK.search(card):
        raise ShipError("The data card has lost the two comments that its numbers stand between.")
    return _BLOCK.sub(lambda match: f"{match[1]}{block}\n{match[2]}", card)


def _sizes(folder: Path, read: dict[Kind, Duels | Replays], names: Names) -> str:
    lines = [
        "| file | rows | duels played | species pairs covered | of the part's | species-attack pairs covered | MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lower = np.tril(np.ones_like(names.part, bool))
    fighters = np.asarray(names.dex.legal.any(axis=1))
    lower &= np.logical_and.outer(fighters, fighters)
    for kind, data in read.items():
        part = PART_OF_KIND[kind]
        pairs = len(np.unique(data.pairs()))
        total = int((lower & (names.part == PARTS.index(part))).sum())
        width = len(names.dex.attack_ids)
        used = np.union1d(data.pokemon_a * width + data.move_a, data.pokemon_b * width + data.move_b)
        played = len(data) * (data.replays if isinstance(data, Replays) else 1)
        size = (folder / f"{kind}.parquet").stat().st_size / 1e6
        lines.append(
            f"| `{kind}.parquet` | {len(data):,} | {played:,} | {pairs:,} | {total:,} ({part}) "
            f"| {len(used):,} of {int(names.dex.legal.sum()):,} | {size:.2f} |"
        )
    return "\n".join(lines)


def _outcomes(read: dict[Kind, Duels | Replays]) -> str:
    lines = ["| share of duels | A won | B won | draw |", "| --- | --- | --- | --- |"]
    for kind, data in read.items():
        if isinstance(data, Duels):
            a, draw = float((data.label == 1).mean()), float((data.label == 0.5).mean())
        else:
            played = len(data) * data.replays
            a, draw = int(data.wins.sum()) / played, int(data.draws.sum()) / played
        lines.append(f"| {kind} | {a:.4f} | {1 - a - draw:.4f} | {draw:.6f} |")
    return "\n".join(lines)


def _turns(read: dict[Kind, Duels | Replays]) -> str:
    at = (0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
    lines = [
        f"| turns (of a pairing, its mean), quantile | {' | '.join(f'{q:.0%}' for q in at)} |",
        "| --- |" + " --- |" * len(at),
    ]
    for kind, data in read.items():
        turns: NDArray[np.float64] = np.asarray(data.turns if isinstance(data, Duels) else data.mean_turns, np.float64)
        lines.append(f"| {kind} | {' | '.join(f'{value:.4g}' for value in np.quantile(turns, at))} |")
    return "\n".join(lines)


def _evenness(read: dict[Kind, Duels | Replays]) -> str:
    edges = (0.5, 0.6, 0.75, 0.9, 1)
    ranges = " | ".join(f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges))
    lines = [
        f"| share of pairings whose favourite won | {ranges} | every replay |",
        "| --- |" + " --- |" * len(edges),
    ]
    for kind, data in read.items():
        if isinstance(data, Replays):
            frequency = data.frequency()
            favourite = np.maximum(frequency, 1 - frequency)
            counts = [*np.histogram(favourite[favourite < 1], edges)[0], (favourite == 1).sum()]
            lines.append(f"| {kind} | {' | '.join(f'{count / len(data):.3f}' for count in counts)} |")
    return "\n".join(lines)
