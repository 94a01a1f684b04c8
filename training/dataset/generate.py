"""Plays duels with the real battle engine, shard by shard, on several processes, and resumes where it stopped."""

import json
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from training.dataset.draw import REPLAYS, REQUEST_ATTACKS, Kind, Pairing, draw
from training.dataset.engine import ENGINE, installed, require
from training.dataset.errors import EngineError
from training.dataset.schema import DUEL_SCHEMA, REPLAY_SCHEMA, REQUEST_SCHEMA

_HALF = REPLAYS // 2
_WINNERS = {"a": "a", "b": "b", "d": "draw"}


@dataclass(frozen=True, slots=True)
class Job:
    """What to generate.

    Attributes:
        kind: what the rows are for.
        seed: what every draw and every duel follows from.
        shards: how many files.
        rows: rows of a file; for ``requests`` the number of requests, 16 rows each.
    """

    kind: Kind
    seed: int
    shards: int
    rows: int

    def path(self, folder: Path, shard: int) -> Path:
        """Where a finished shard lies; its presence is what resume goes by."""
        return folder / f"{self.kind}-seed{self.seed}-rows{self.rows}-{shard:04d}.parquet"

    @property
    def duels_a_shard(self) -> int:
        """How many duels the engine plays for one shard."""
        a_row = {"duels": 1, "requests": REPLAYS * REQUEST_ATTACKS**2}.get(self.kind, REPLAYS)
        return self.rows * a_row

    def missing(self, folder: Path, only: Iterable[int] | None = None) -> list[int]:
        """Shards that are not there yet, of all or of some."""
        wanted = range(self.shards) if only is None else sorted(set(only))
        return [shard for shard in wanted if not self.path(folder, shard).exists()]


def load_attacks(dex: Path) -> dict[str, list[str]]:
    """Read engine id -> damaging attacks from the dex table; species without one are left out."""
    table = json.loads(dex.read_bytes())
    return {row["id"]: row["attacks"] for row in table["species"] if row["attacks"]}


def play(pairings: Iterable[Pairing], count: int) -> Generator[list[str], None, None]:
    """Play each pairing ``count`` times in one engine process; yields ``["a12", "b3", …]`` a pairing, in order.

    The engine process ends with the iteration, however that ends.

    Raises:
        EngineError: Node is missing, the engine is not installed, or it stopped before the last answer.
    """
    node = require("node")
    if not installed():
        raise EngineError("The battle engine is not installed; run `npm ci --ignore-scripts` in training/engine.")
    items = list(pairings)
    with (
        subprocess.Popen(  # noqa: S603  (fixed program, fixed script)
            [node, "play.mjs"], cwd=ENGINE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        ThreadPoolExecutor(1) as feeder,
    ):
        feeder.submit(_feed, process, items, count)
        answered = 0
        try:
            for line in process.stdout or ():
                answered += 1
                yield line.split()
            code = process.wait()
        finally:
            process.kill()  # frees the feeder too, which waits for room in a pipe that nobody reads any more
    if code or answered != len(items):
        raise EngineError(f"The battle engine stopped with code {code} after {answered} of {len(items)} pairings.")


def _feed(process: subprocess.Popen[str], items: list[Pairing], count: int) -> None:
    stdin = process.stdin
    if stdin is None:
        return
    # Both fail when the engine ended first; the reader counts the answers.
    with suppress(BrokenPipeError):
        for p in items:
            stdin.write(f"{p.pokemon_a} {p.move_a} {p.pokemon_b} {p.move_b} {p.seed} 0 {count}\n")
    with suppress(BrokenPipeError):
        stdin.close()


def make_shard(job: Job, shard: int, attacks: dict[str, list[str]], tick: Callable[[int], None]) -> pa.Table:
    """Play one shard and return its rows; the same job and shard always give the same rows.

    Raises:
        EngineError: as ``play`` does.
    """
    pairings = list(draw(job.kind, attacks, job.seed, shard, job.rows))
    if job.kind == "duels":
        return _duel_table(pairings, play(pairings, 1), tick)
    schema = REQUEST_SCHEMA if job.kind == "requests" else REPLAY_SCHEMA
    return _replay_table(pairings, play(pairings, REPLAYS), schema, tick)


def _duel_table(pairings: list[Pairing], results: Iterator[list[str]], tick: Callable[[int], None]) -> pa.Table:
    winners, turns = [], []
    for (result,) in results:
        winners.append(_WINNERS[result[0]])
        turns.append(int(result[1:]))
        tick(1)
    return _table(pairings, DUEL_SCHEMA, {"winner": winners, "turns": turns})


def _replay_table(
    pairings: list[Pairing], results: Iterator[list[str]], schema: pa.Schema, tick: Callable[[int], None]
) -> pa.Table:
    measured = ("wins_1", "draws_1", "wins_2", "draws_2", "replays", "mean_turns")
    columns: dict[str, list[Any]] = {name: [] for name in measured}
    for replays in results:
        for half, part in ((1, replays[:_HALF]), (2, replays[_HALF:])):
            columns[f"wins_{half}"].append(sum(r[0] == "a" for r in part))
            columns[f"draws_{half}"].append(sum(r[0] == "d" for r in part))
        columns["replays"].append(len(replays))
        columns["mean_turns"].append(sum(int(r[1:]) for r in replays) / len(replays))
        tick(len(replays))
    return _table(pairings, schema, columns)


def _table(pairings: list[Pairing], schema: pa.Schema, measured: dict[str, list[Any]]) -> pa.Table:
    arrays = []
    for field in schema:
        values = measured.get(field.name) or [getattr(pairing, field.name) for pairing in pairings]
        array = pa.array(values)
        arrays.append((array.dictionary_encode() if pa.types.is_dictionary(field.type) else array).cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def generate(
    job: Job,
    folder: Path,
    attacks: dict[str, list[str]],
    *,
    workers: int,
    only: Iterable[int] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Play every shard of a job that is not there yet, ``workers`` at a time, and return all its files.

    A shard is written under a temporary name and renamed when whole, so an interrupted run loses at most the
    shards under way, and several processes may play the same job into one folder. ``tick`` is called with numbers of
    duels played, from several threads; what it raises ends the run. ``only`` limits the run to some shards.

    Raises:
        EngineError: as ``play`` does; finished shards stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = range(job.shards) if only is None else sorted(set(only))
    stopped = threading.Event()

    def counted(duels: int) -> None:
        if stopped.is_set():
            raise EngineError("The run was stopped.")
        tick(duels)

    def run(shard: int) -> None:
        path = job.path(folder, shard)
        # A name of its own: another process may be playing the same shard, to the same rows; the last rename stays.
        part = path.with_name(f"{path.stem}-{uuid4().hex}.part")
        table = make_shard(job, shard, attacks, counted)
        try:
            pq.write_table(table, part, compression="zstd")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(run, shard) for shard in job.missing(folder, wanted)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # a keyboard interrupt too must not wait for hours of queued shards
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [job.path(folder, shard) for shard in wanted]
