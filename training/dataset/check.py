"""Checks what ships: every row usable and of its part, every shard's rows those of the manifest."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from bentos.battle.dex import Dex
from training.dataset.draw import PART_OF_KIND, Kind
from training.dataset.errors import DatasetError, ShipError
from training.dataset.generate import load_attacks, make_shard
from training.dataset.read import duels, replays
from training.dataset.schema import digest
from training.dataset.ship import Shipped, manifest


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one kind; ``fault`` is a sentence, or None when all is well."""

    kind: Kind
    rows: int
    fault: str | None


def check_shipped(folder: Path, dex: Dex) -> list[Finding]:
    """Check every file that the manifest of a folder names.

    Raises:
        ShipError: there is no manifest.
    """
    return [_check(folder, kind, entry, dex) for kind, entry in manifest(folder).items()]


def _check(folder: Path, kind: Kind, entry: Shipped, dex: Dex) -> Finding:
    path = folder / f"{kind}.parquet"
    try:
        part = PART_OF_KIND[kind]
        rows = len(duels(path, part=part, dex=dex) if kind == "duels" else replays(path, part=part, dex=dex))
    except DatasetError as error:
        return Finding(kind, 0, str(error))
    if rows != sum(entry.rows):
        return Finding(kind, rows, f"{path.name} has {rows} rows, its manifest says {sum(entry.rows)}.")
    table, offset = pq.read_table(path), 0
    for shard, (length, expected) in enumerate(zip(entry.rows, entry.digests, strict=True)):
        if digest(table.slice(offset, length)) != expected:
            return Finding(kind, rows, f"The rows of shard {shard} in {path.name} are not those of the manifest.")
        offset += length
    return Finding(kind, rows, None)


def verify_shard(folder: Path, kind: Kind, shard: int, dex: Path) -> int:
    """Play a shard again and compare its digest with the manifest; returns its number of rows.

    Raises:
        ShipError: the manifest has no such shard, or its digest is another.
        EngineError: the engine cannot play.
    """
    kinds = manifest(folder)
    if kind not in kinds or not 0 <= shard < kinds[kind].job.shards:
        raise ShipError(f"The manifest has no shard {shard} of {kind}.")
    entry = kinds[kind]
    table = make_shard(entry.job, shard, load_attacks(dex), lambda _: None)
    found = digest(table)
    if found != entry.digests[shard]:
        raise ShipError(
            f"Shard {shard} of {kind} has digest {found[:16]}… when played again, the manifest says "
            f"{entry.digests[shard][:16]}…: engine, dex or draw are not those it was made with."
        )
    return int(table.num_rows)
