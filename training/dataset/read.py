"""Reads duels and replays from any source into arrays of codes; every row that cannot be used is accounted for."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from training.dataset.aside import Aside
from training.dataset.errors import BadRows, SourceError
from training.dataset.judge import DUEL_COLUMNS, Judgement, judge_duels, judge_mean, judge_number, judge_pairings
from training.dataset.names import PARTS, Names
from training.dataset.progress import Tick
from training.dataset.rows import Duels, Replays, digest_of, pair_numbers
from training.dataset.schema import PAIRING, REPLAY_SCHEMA
from training.dataset.sources import Columns, resolve
from training.dataset.split import Part
from training.settings import DATA

__all__ = ["Bad", "Duels", "Replays", "duels", "pair_numbers", "replays"]

FIRST_SHOWN = 20
Bad = Literal["refuse", "set-aside"]
_COUNTS = ("wins_1", "draws_1", "wins_2", "draws_2", "replays")


def duels(
    source: str | Path | None = None,
    *,
    table: str = "duels",
    bad: Bad = "refuse",
    aside: Path | None = None,
    part: Part | None = Part.TRAINING,
    dex: Dex | None = None,
    tick: Tick | None = None,
) -> Duels:
    """Read duels from the shipped file (the default), a Parquet file, a folder of shards, a database or the engine.

    Species and attacks may be engine ids, English or French names. Columns beyond ``DUEL_COLUMNS`` are allowed and
    not used. Row numbers in messages count data rows from 1; a database is read in the order of its primary key,
    without one in the order of the columns.

    Args:
        source: a path, a SQLAlchemy URL, or ``generator:seed=1,shards=2,rows=50000`` to play what is not played yet.
        table: the table of a database.
        bad: ``refuse`` uses nothing when a row cannot be used; ``set-aside`` writes such rows, whole and with the
            reason, to a file and uses the others.
        aside: that file, .parquet or .csv; beside the source by default.
        part: the only part of the split that is allowed; None for any.
        dex: the dex; the shipped one by default.
        tick: called with numbers of duels played by the generator; None shows its progress on stderr.

    Raises:
        SourceError: the source cannot be read, or the file for bad rows cannot be written.
        BadRows: rows cannot be used and ``bad`` is ``refuse``, or not one can be used.
        EngineError: the generator cannot play.
    """
    found = resolve(source, DATA / "duels.parquet", table, tick)
    names = Names(dex or Dex.load(DATA / "dex.json"))
    tally = _Tally(Aside(found, aside) if bad == "set-aside" else None)
    kept: list[dict[str, NDArray[np.int32]]] = []
    with tally:
        for batch in found.batches(DUEL_COLUMNS):
            judged = judge_duels(batch, names, part)
            good = tally.add(batch, judged)
            kept.append({name: values[good] for name, values in judged.columns.items()})
        tally.refuse(unless=bad == "set-aside" and tally.bad < tally.rows)
    if not tally.rows:
        raise SourceError(f"{found.title} holds no rows.")
    columns = {name: np.concatenate([batch[name] for batch in kept]) for name in DUEL_COLUMNS}
    return Duels(
        **{name: columns[name] for name in PAIRING},
        label=columns["winner"].astype(np.float32) / np.float32(2),
        turns=columns["turns"],
        digest=digest_of(names.dex, columns),
        rows=tally.rows,
        bad=tally.bad,
        counts=dict(tally.counts),
        first=tuple(tally.first),
        aside=tally.aside.path if tally.aside and tally.bad else None,
    )


def replays(path: Path | None = None, *, part: Part | None = None, dex: Dex | None = None) -> Replays:
    """Read a Parquet file of replays, of requests too; the shipped gate part by default.

    Its pairs must all be of one part of the split, and not of the training part.

    Args:
        path: the file.
        part: the part they must be of; None for the one the first row is of.
        dex: the dex; the shipped one by default.

    Raises:
        SourceError: the file cannot be read, or is empty.
        BadRows: any row cannot be used.
    """
    found = resolve(path, DATA / "gate.parquet")
    names = Names(dex or Dex.load(DATA / "dex.json"))
    tally = _Tally(None)
    kept: list[dict[str, NDArray[np.int32]]] = []
    turns: list[NDArray[np.float32]] = []
    for batch in found.batches(REPLAY_SCHEMA.names):
        judged = judge_pairings(batch, names, None)
        part = part or _part_of_first(judged, names)
        judged = judge_pairings(batch, names, part)
        for name in (*_COUNTS, "request") if "request" in batch else _COUNTS:
            judge_number(judged, batch, name, 0)
        _halves(judged, kept[0]["replays"][0] if kept else None)
        turns.append(judge_mean(judged, batch, "mean_turns", 1))
        tally.add(batch, judged)
        kept.append(judged.columns)
    tally.refuse()
    if not tally.rows:
        raise SourceError(f"{found.title} holds no rows.")
    columns = {name: np.concatenate([batch[name] for batch in kept]) for name in kept[0]}
    mean_turns = np.concatenate(turns)
    return Replays(
        **{name: columns[name] for name in PAIRING},
        wins=np.stack([columns["wins_1"], columns["wins_2"]], axis=1),
        draws=np.stack([columns["draws_1"], columns["draws_2"]], axis=1),
        replays=int(columns["replays"][0]),
        mean_turns=mean_turns,
        request=columns.get("request"),
        digest=digest_of(names.dex, {**columns, "mean_turns": mean_turns}),
    )


def _part_of_first(judged: Judgement, names: Names) -> Part | None:
    """The part of the first row with two known species; where that is training, the gate, so that it is refused."""
    a, b = judged.columns["pokemon_a"], judged.columns["pokemon_b"]
    known = np.flatnonzero((a >= 0) & (b >= 0))
    if not len(known):
        return None
    found = PARTS[names.part[a[known[0]], b[known[0]]]]
    return Part.GATE if found is Part.TRAINING else found


def _halves(judged: Judgement, agreed: int | None) -> None:
    columns = judged.columns
    total = columns["replays"]
    agreed = int(total[0]) if agreed is None else agreed
    judged.add(
        "uneven replays",
        (total != agreed) | (total < 2) | (total % 2 != 0),
        lambda row: f"replays is {total[row]}, where every row needs the same even number",
    )
    for half in (1, 2):
        wins, draws = columns[f"wins_{half}"], columns[f"draws_{half}"]
        judged.add(
            "more outcomes than replays",
            (wins >= 0) & (draws >= 0) & (wins + draws > total // 2),
            lambda row, wins=wins, draws=draws, half=half: (  # type: ignore[misc]
                f"half {half} has {wins[row]} wins and {draws[row]} draws in {total[row] // 2} replays"
            ),
        )


class _Tally:
    """Counts rows and faults, and hands bad rows to the file for them; the file is kept only on a clean exit."""

    def __init__(self, aside: Aside | None) -> None:
        self.aside = aside
        self.rows = self.bad = 0
        self.counts: Counter[str] = Counter()
        self.first: list[str] = []

    def add(self, batch: Columns, judged: Judgement) -> NDArray[np.bool_]:
        """Account for a batch; returns bool[n], True for good rows."""
        bad = judged.bad
        offset, self.rows = self.rows, self.rows + len(bad)
        if not bad.any():
            return ~bad
        for fault in judged.faults:
            self.counts[fault.kind] += int(fault.mask.sum())
        rows = np.flatnonzero(bad).tolist()
        self.bad += len(rows)
        room = FIRST_SHOWN - len(self.first)
        self.first += [f"row {offset + row + 1}: {judged.reason(row)}" for row in rows[:room]]
        if self.aside:
            self.aside.write(batch, rows, offset + 1, judged.reason)
        return ~bad

    def refuse(self, unless: bool = False) -> None:
        """Raise BadRows if there are any."""
        if self.bad and not unless:
            raise BadRows(self.rows, self.bad, self.counts, self.first)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.aside:
            self.aside.close(keep=kind is None)
