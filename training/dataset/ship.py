"""Merges finished shards into the files that ship, and writes down what they are and how to make them again."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from bentos.battle.dex import Dex
from training.dataset.card import CARD, fill, numbers
from training.dataset.draw import REPLAYS, REQUEST_ATTACKS, Kind, draw
from training.dataset.errors import ShipError
from training.dataset.generate import Job, load_attacks
from training.dataset.schema import PAIRING, digest
from training.settings import DATA

MANIFEST = "manifest.json"
RULES = {
    "level": 50,
    "individual_values": 31,
    "effort_and_awakening_values": 0,
    "nature": "neutral",
    "ability_item_gender": "none",
    "attacks_a_side": 1,
    "turn_limit": 1000,
    "replays": REPLAYS,
    "replays_a_half": REPLAYS // 2,
    "request_attacks_a_side": REQUEST_ATTACKS,
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What the manifest says of one kind.

    Attributes:
        job: the generation job that makes the rows again.
        digests: of each shard's rows, in order; ``schema.digest``.
        rows: how many rows each shard has.
        sha256: of the file.
    """

    job: Job
    digests: tuple[str, ...]
    rows: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder of shipped files says of itself.

    Attributes:
        dex_sha256: of the dex table that its duels were played with.
        kinds: the files.
    """

    dex_sha256: str
    kinds: dict[Kind, Shipped]


def manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder of shipped files.

    Raises:
        ShipError: there is none, or it is not one.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text())
        kinds: dict[Kind, Any] = document["kinds"]
        return Manifest(
            document["dex_sha256"],
            {
                kind: Shipped(
                    Job(kind, entry["seed"], len(entry["shards"]), entry["rows_per_shard"]),
                    tuple(shard["digest"] for shard in entry["shards"]),
                    tuple(shard["rows"] for shard in entry["shards"]),
                    entry["sha256"],
                )
                for kind, entry in kinds.items()
            },
        )
    except FileNotFoundError:
        raise ShipError(f"{folder} has no {MANIFEST}; `pdx dataset ship` writes it.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ShipError(f"{path} is not a dataset manifest: {error!r}.") from error


def ship(shards: Path, out: Path, dex: Path) -> dict[str, Any]:
    """Merge the finished shards of every kind found in ``shards`` into ``out`` and return the manifest written there.

    The numbers of the data card in ``out`` are written anew; a card is put there if there is none. Row order is shard
    order. Each shard's pairings are compared with what its seed draws from ``dex``, so a shard of another dex or of
    another version of the draw does not get in.

    Raises:
        ShipError: no shards, shards of several jobs, one missing in between, one that is not what its seed draws, or
            ``out`` ships a kind that ``shards`` lacks and that would be lost.
    """
    attacks = load_attacks(dex)
    table = json.loads(dex.read_bytes())
    jobs = [job for kind in get_args(Kind) if (job := _finished(shards, kind))]
    if not jobs:
        raise ShipError(f"{shards} holds no finished shard.")
    out.mkdir(parents=True, exist_ok=True)
    lost = set(manifest(out).kinds) - {job.kind for job in jobs} if (out / MANIFEST).is_file() else set()
    if lost:
        raise ShipError(
            f"{out} ships {', '.join(sorted(lost))} as well, and {shards} holds no shard of that; generate it too, or "
            "ship into another folder with --out."
        )
    kinds = {job.kind: _merge(job, shards, out, attacks) for job in jobs}
    written = {
        "engine": table["engine"],
        "mod": table["mod"],
        "dex_sha256": hashlib.sha256(dex.read_bytes()).hexdigest(),
        "rules": RULES,
        "kinds": kinds,
    }
    (out / MANIFEST).write_text(json.dumps(written, indent=1) + "\n")
    card = out / CARD if (out / CARD).is_file() else DATA / CARD
    (out / CARD).write_text(fill(card.read_text(), numbers(out, Dex.parse(dex.read_bytes()))))
    return written


def _finished(shards: Path, kind: Kind) -> Job | None:
    found = sorted(shards.glob(f"{kind}-seed*-rows*-*.parquet"))
    pattern = re.compile(rf"{kind}-seed(\d+)-rows(\d+)-(\d+)\.parquet")
    keys = [tuple(map(int, match.groups())) for path in found if (match := pattern.fullmatch(path.name))]
    if not keys:
        return None
    if len({key[:2] for key in keys}) > 1:
        raise ShipError(f"{shards} holds {kind} shards of several seeds or sizes; keep one job in a folder.")
    numbers = sorted(key[2] for key in keys)
    missing = sorted(set(range(numbers[-1] + 1)) - set(numbers))
    if missing:
        raise ShipError(f"{shards} lacks {kind} shard {missing[0]}, though later ones are there; generate it first.")
    return Job(kind, keys[0][0], len(keys), keys[0][1])


def _merge(job: Job, shards: Path, out: Path, attacks: dict[str, list[str]]) -> dict[str, Any]:
    tables, entries = [], []
    for shard in range(job.shards):
        path = job.path(shards, shard)
        table = pq.read_table(path)
        _compare(job, shard, table, attacks, path)
        tables.append(table)
        entries.append({"rows": table.num_rows, "digest": digest(table)})
    merged = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    file = out / f"{job.kind}.parquet"
    part = file.with_suffix(".part")
    pq.write_table(merged, part, compression="zstd", compression_level=19)
    part.replace(file)
    return {
        "file": file.name,
        "seed": job.seed,
        "rows_per_shard": job.rows,
        "rows": merged.num_rows,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "shards": entries,
    }


def _compare(job: Job, shard: int, table: pa.Table, attacks: dict[str, list[str]], path: Path) -> None:
    drawn = list(draw(job.kind, attacks, job.seed, shard, job.rows))
    names = (*PAIRING, "request") if job.kind == "requests" else PAIRING
    for name in names:
        if table[name].to_pylist() != [getattr(pairing, name) for pairing in drawn]:
            raise ShipError(f"{path.name} is not what its seed draws from this dex: {name} differs; generate it again.")
