"""Checks what ships: every row usable and of its part, every file and every shard's rows those of the manifest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from bentos.battle.dex import Dex
from bentos.errors import ContractError
from training.dataset.draw import PART_OF_KIND, Kind
from training.dataset.errors import DatasetError, ShipError
from training.dataset.generate import load_attacks, make_shard
from training.dataset.read import duels, replays
from training.dataset.schema import digest
from training.dataset.ship import Shipped, manifest


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one file; ``fault`` is a sentence, or None when all is well. ``rows`` are species in a dex."""

    kind: Kind | Literal["dex"]
    rows: int
    fault: str | None


def check_shipped(folder: Path, dex: Path) -> list[Finding]:
    """Check the dex and every file that the manifest of a folder names.

    Nothing but the dex is checked where it cannot be read: every name of the others is looked up in it.

    Raises:
        ShipError: there is no manifest.
    """
    said = manifest(folder)
    try:
        table = Dex.load(dex)
    except FileNotFoundError:
        return [Finding("dex", 0, f"There is no file {dex}.")]
    except ContractError:
        return [Finding("dex", 0, f"{_other_bytes(dex, said.dex_sha256)} It cannot be read.")]
    first = Finding("dex", len(table.species_ids), _other_bytes(dex, said.dex_sha256))
    return [first, *(_check(folder, kind, entry, table) for kind, entry in said.kinds.items())]


def _other_bytes(path: Path, expected: str) -> str | None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found == expected:
        return None
    return f"{path.name} is not the file of the manifest: its sha256 is {found[:16]}…, not {expected[:16]}…."


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
    return Finding(kind, rows, _other_bytes(path, entry.sha256))


def verify_shard(folder: Path, kind: Kind, shard: int, dex: Path) -> int:
    """Play a shard again and compare its digest with the manifest; returns its number of rows.

    Raises:
        ShipError: the manifest has no such shard, or its digest is another.
        EngineError: the engine cannot play.
    """
    kinds = manifest(folder).kinds
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
