"""Tells which rows of a source can be used and, for each of the others, everything that is wrong with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.dataset.names import NULL, PARTS, UNKNOWN, WRONG_TYPE, Codes, Names
from training.dataset.schema import PAIRING, WINNERS
from training.dataset.sources import Columns, Values
from training.dataset.split import Part

DUEL_COLUMNS = (*PAIRING, "winner", "turns")
_WINNER_CODES = {winner: code for code, winner in enumerate(WINNERS)}
_LARGEST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with some rows.

    Attributes:
        kind: the fault's name in counts.
        mask: bool[n], True where a row shows it.
        clause: row of the batch -> what is wrong with it.
    """

    kind: str
    mask: NDArray[np.bool_]
    clause: Callable[[int], str]


@dataclass(slots=True)
class Judgement:
    """A batch as int32[n] arrays: codes, winners as their places in ``WINNERS``, numbers as they are.

    What stands in a row with a fault means nothing.
    """

    columns: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def bad(self) -> NDArray[np.bool_]:
        """bool[n], True for rows that cannot be used."""
        bad = np.zeros(len(self.columns["pokemon_a"]), bool)
        for fault in self.faults:
            bad |= fault.mask
        return bad

    def reason(self, row: int) -> str:
        """Everything wrong with a row of the batch."""
        return "; ".join(fault.clause(row) for fault in self.faults if fault.mask[row])

    def add(self, kind: str, mask: NDArray[np.bool_], clause: Callable[[int], str]) -> None:
        """Note a fault if any row shows it."""
        if mask.any():
            self.faults.append(Fault(kind, mask, clause))


def judge_duels(batch: Columns, names: Names, part: Part | None) -> Judgement:
    """Judge a batch with ``DUEL_COLUMNS``; ``part`` is the only part of the split allowed, None for any."""
    judged = judge_pairings(batch, names, part)
    winner = batch["winner"]
    codes = _texts(winner, _WINNER_CODES)
    _values(judged, "winner", "text", winner, codes)
    judged.add("unknown winner", codes == UNKNOWN, lambda row: f"winner is {shown(winner, row)}, not a, b or draw")
    judge_number(judged, batch, "turns", 1)
    return judged


def judge_pairings(batch: Columns, names: Names, part: Part | None) -> Judgement:
    """Judge the columns of ``PAIRING`` alone."""
    judged = Judgement()
    for name in PAIRING:
        what, lookup = ("species", names.species) if name.startswith("pokemon") else ("attack", names.attacks)
        codes = _texts(batch[name], lookup)
        _values(judged, name, "text", batch[name], codes)
        judged.add(f"unknown {what}", codes == UNKNOWN, _unknown(name, batch[name], lookup))
    for side in ("a", "b"):
        _legality(judged, names, side)
    if part is not None:
        _membership(judged, names, part)
    return judged


def judge_number(judged: Judgement, batch: Columns, name: str, least: int) -> None:
    """Judge a column of whole numbers that begin at ``least``, 0 or 1."""
    values = batch[name]
    numbers = _whole_numbers(values, least)
    _values(judged, name, "a whole number", values, numbers)
    judged.add(
        f"{name} out of range",
        numbers == UNKNOWN,
        lambda row: f"{name} is {shown(values, row)}, not between {least} and {_LARGEST}",
    )


def judge_mean(judged: Judgement, batch: Columns, name: str, least: float) -> NDArray[np.float32]:
    """Judge a column of numbers that begin at ``least``; returns them as float32[n], NaN where a row has a fault."""
    values = batch[name]
    if isinstance(values, pa.Array) and pa.types.is_floating(values.type) and not values.null_count:
        numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
        null = wrong = np.zeros(len(numbers), bool)
    else:
        listed = values.to_pylist() if isinstance(values, pa.Array) else values
        null = np.array([value is None for value in listed], bool)
        usable = [isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in listed]
        wrong = ~(null | np.array(usable, bool))
        numbers = np.array([float(v) if fits else np.nan for v, fits in zip(listed, usable, strict=True)], np.float64)
    out = ~(null | wrong) & ~((numbers >= least) & (numbers <= _LARGEST))
    judged.add("null", null, lambda _: f"{name} is null")
    judged.add("wrong type", wrong, lambda row: f"{name} is {shown(values, row)}, not a number")
    judged.add(
        f"{name} out of range",
        out,
        lambda row: f"{name} is {shown(values, row)}, not between {least:g} and {_LARGEST}",
    )
    return np.where(null | wrong | out, np.nan, numbers).astype(np.float32)


def _values(judged: Judgement, name: str, expected: str, values: Values, codes: NDArray[np.int32]) -> None:
    judged.columns[name] = codes
    judged.add("null", codes == NULL, lambda _: f"{name} is null")
    judged.add("wrong type", codes == WRONG_TYPE, lambda row: f"{name} is {shown(values, row)}, not {expected}")


def _unknown(name: str, values: Values, lookup: Codes) -> Callable[[int], str]:
    return lambda row: f"{name}: {lookup.reasons[value_at(values, row)]}"


def _legality(judged: Judgement, names: Names, side: str) -> None:
    species, attack = judged.columns[f"pokemon_{side}"], judged.columns[f"move_{side}"]
    dex = names.dex
    mask = (species >= 0) & (attack >= 0) & ~dex.legal[np.maximum(species, 0), np.maximum(attack, 0)]
    judged.add(
        "illegal attack", mask, lambda row: f"{dex.species_ids[species[row]]} cannot use {dex.attack_ids[attack[row]]}"
    )


def _membership(judged: Judgement, names: Names, part: Part) -> None:
    a, b = judged.columns["pokemon_a"], judged.columns["pokemon_b"]
    ids = names.dex.species_ids
    parts = names.part[np.maximum(a, 0), np.maximum(b, 0)]
    judged.add(
        "pair of another part",
        (a >= 0) & (b >= 0) & (parts != PARTS.index(part)),
        lambda row: f"{ids[a[row]]} and {ids[b[row]]} are a pair of the {PARTS[parts[row]]} part, not of {part}",
    )


def _texts(values: Values, lookup: dict[str, int]) -> NDArray[np.int32]:
    def code(value: Any) -> int:
        if type(value) is not str:
            return NULL if value is None else WRONG_TYPE
        return lookup[value] if isinstance(lookup, Codes) else lookup.get(value, UNKNOWN)

    if not isinstance(values, pa.Array):
        return np.fromiter(map(code, values), np.int32, len(values))
    if not pa.types.is_dictionary(values.type):
        if not any(is_text(values.type) for is_text in _IS_TEXT):
            return np.where(values.is_null().to_numpy(zero_copy_only=False), NULL, WRONG_TYPE).astype(np.int32)
        values = values.dictionary_encode()
    # Only entries in use: a dictionary may be shared with rows that are not of this batch.
    indices = values.indices.cast(pa.int64()).fill_null(len(values.dictionary)).to_numpy(zero_copy_only=False)
    table = np.full(len(values.dictionary) + 1, NULL, np.int32)
    for index in np.unique(indices).tolist():
        if index < len(values.dictionary):
            table[index] = code(values.dictionary[index].as_py())
    codes: NDArray[np.int32] = table[indices]
    return codes


_IS_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _whole_numbers(values: Values, least: int) -> NDArray[np.int32]:
    """Numbers from ``least`` to 2³¹−1 as they are, anything else as the code of its fault.

    A number with a fraction of zero counts as whole: databases and data frames store whole numbers that way.
    """
    if isinstance(values, pa.Array) and pa.types.is_integer(values.type) and not values.null_count:
        numbers = values.to_numpy(zero_copy_only=False)
        return np.where((numbers >= least) & (numbers <= _LARGEST), numbers, UNKNOWN).astype(np.int32)
    listed = values.to_pylist() if isinstance(values, pa.Array) else values
    return np.fromiter((_whole_number(value, least) for value in listed), np.int32, len(listed))


def _whole_number(value: Any, least: int) -> int:
    if value is None:
        return NULL
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return WRONG_TYPE
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return WRONG_TYPE
    if not least <= value <= _LARGEST:
        return UNKNOWN if value == value // 1 else WRONG_TYPE
    return int(value) if value % 1 == 0 else WRONG_TYPE


def value_at(values: Values, row: int) -> Any:
    """The Python value of one row."""
    return values[row].as_py() if isinstance(values, pa.Array) else values[row]


def shown(values: Values, row: int) -> str:
    """One row's value as a message shows it, cut to a readable length."""
    text = repr(value_at(values, row))
    return text if len(text) <= 60 else f"{text[:59]}…"
