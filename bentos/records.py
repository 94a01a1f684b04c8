"""Records of named columns, checked against the contract.

Each check has two forms. The fast one looks at all values at once and says only whether all of them are good; where it
cannot say so, the exact one (``Rule.read``) looks at value after value and words what is wrong.
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import contains, itemgetter
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from bentos.contract import Column, Contract, MissingRule
from bentos.errors import InvalidInput

MOST_FAULTS: Final = 20
"""Faults of one request that are told."""
_MOST_CATEGORIES: Final = 1_000  # looking for the nearest of more takes longer than a request may
_SHOWN: Final = 64  # characters of a caller's text that a message repeats
_INT64: Final = 2**63
_LARGEST: Final = {"float32": float(np.finfo(np.float32).max), "float64": float(np.finfo(np.float64).max)}
_WORDS: Final = {"string": "text", "float32": "a number", "float64": "a number", "int64": "a whole number"}


class Fault(NamedTuple):
    """One value that cannot be accepted.

    Attributes:
        row: its row, from 0.
        column: its column; None where the whole row is at fault.
        problem: what is wrong, starting with the value.
        did_you_mean: the nearest valid names.
    """

    row: int
    column: str | None
    problem: str
    did_you_mean: Sequence[str] = ()

    def detail(self) -> dict[str, Any]:
        """Its entry in an error's ``details``."""
        entry: dict[str, Any] = {"row": self.row, "column": self.column, "problem": self.problem}
        return {**entry, "did_you_mean": list(self.did_you_mean)} if self.did_you_mean else entry


def refuse(faults: Sequence[Fault]) -> NoReturn:
    """Raise InvalidInput with the first fault as its sentence, and all of them as its details."""
    first, count = faults[0], len(faults)
    where = f"Row {first.row}" if first.column is None else f"Row {first.row}, column {shown(first.column)}"
    meant = f"; did you mean {first.did_you_mean[0]}?" if first.did_you_mean else ""
    more = "" if count == 1 else f" (the first of {count} faults{' or more' if count >= MOST_FAULTS else ''})"
    end = "" if meant and not more else "."
    raise InvalidInput(f"{where}: {first.problem}{meant}{more}{end}", [fault.detail() for fault in faults])


def shown(value: Any) -> str:
    """A caller's value as a message repeats it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and abs(value) >= 2**64:
        return "an integer of more than 64 bits"  # turning it to text may take seconds
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def nearest(word: str, known: Sequence[str]) -> list[str]:
    """Up to three of ``known`` that are written much like ``word``."""
    return difflib.get_close_matches(word[:_SHOWN], known, 3) if len(known) <= _MOST_CATEGORIES else []


class Rule:
    """What the contract says of one column.

    Attributes:
        name: the column.
        dtype: of its values; float64 for numbers that may be missing.
        low: the smallest number it takes.
        high: the largest.
        types: types of values that are good as far as the type goes; of numbers, their value is still to be checked.
        gap: whether a missing value is accepted.
    """

    def __init__(self, column: Column, largest: float) -> None:
        self.name = column.name
        self.kind = column.dtype
        self.gap = column.missing is MissingRule.NAN
        self.optional = column.optional or self.gap
        self.range = column.range
        self.categories = column.categories
        self.known = frozenset(column.categories) if column.categories is not None else None
        self.largest = min(largest, _LARGEST.get(column.dtype, largest))
        self.low, self.high = self._bounds()
        text = column.dtype == "string"
        gap = {type(None)} if self.gap else set()
        numbers = {bool} if column.dtype == "bool" else {int, float}
        self.types = frozenset({str} | gap if text else numbers | gap)
        whole = {"int64": np.dtype(np.int64), "bool": np.dtype(np.bool_)}.get(column.dtype, np.dtype(np.float64))
        self.dtype = np.dtype(np.object_) if text else np.dtype(np.float64) if self.gap or column.optional else whole

    def _bounds(self) -> tuple[float, float]:
        if self.kind == "int64":
            edge = math.nextafter(float(_INT64), 0.0)
            low, high = -edge, edge
        else:
            low, high = -self.largest, self.largest
        if self.range is None:
            return low, high
        # As a float32 a value may lie beyond the bound it was written as.
        near = [min(max(bound, low), high) for bound in self.range]
        if self.kind == "float32":
            return min(near[0], float(np.float32(near[0]))), max(near[1], float(np.float32(near[1])))
        return near[0], near[1]

    def empty(self) -> Any:
        """What stands for a missing value."""
        return "" if self.kind == "string" else math.nan

    def read(self, value: Any) -> Any:
        """The value as the model takes it; a string that says what is wrong is raised as ``ValueError``."""
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        if missing:
            if self.gap:
                return self.empty()
            raise ValueError(f"{shown(value)} is no value, and one is needed")
        if self.kind == "string":
            return self._text(value)
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            raise ValueError(f"{self._quoted(value)} is not true or false")
        return self._number(value)

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not text")  # noqa: TRY004  the caller makes an InvalidInput of it
        if self.known is not None and value not in self.known and not (self.gap and not value):
            raise ValueError(f"{self._quoted(value)} is none of its {len(self.known)} categories")
        return value

    def _number(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self._quoted(value)} is not {_WORDS[self.kind]}")  # noqa: TRY004  as in _text
        if self.kind == "int64":
            if isinstance(value, float) and not value.is_integer():
                raise ValueError(f"{value!r} is not a whole number")
            # JSON's reader makes a float of a whole number that is too large, and rounds it to one that is not.
            if not -_INT64 <= value < _INT64 or (isinstance(value, float) and value == -_INT64):
                raise ValueError(f"{shown(value)} does not fit into 64 bits")
            value = int(value)
        elif isinstance(value, float) and math.isinf(value):
            raise ValueError(f"{value!r} is not finite")
        elif abs(value) > self.largest:
            raise ValueError(f"{shown(value)} is too large for a number of this column")
        if self.range is not None:
            if value < self.low:
                raise ValueError(f"{shown(value)} is below {self.range[0]:g}, the lowest value accepted")
            if value > self.high:
                raise ValueError(f"{shown(value)} is above {self.range[1]:g}, the highest value accepted")
        return value

    def _quoted(self, value: Any) -> str:
        return f"'{shown(value)}'" if isinstance(value, str) else shown(value)

    def suggestions(self, value: Any) -> list[str]:
        """Categories much like a refused value."""
        return nearest(value, self.categories) if isinstance(value, str) and self.categories else []


def rules(contract: Contract) -> list[Rule]:
    """A rule a column; numbers that the model's own dtype cannot hold are refused in every column."""
    return [Rule(column, _LARGEST[contract.runtime.input_dtype]) for column in contract.columns]


class Numbers:
    """Checks matrices of numeric columns as a whole.

    Args:
        columns: a rule a column of the matrix.
        whole: whether 64 bits bound columns of whole numbers; a matrix of float32 has no use for it.
    """

    def __init__(self, columns: Sequence[Rule], *, whole: bool = True) -> None:
        free = [rule.range is None and not (whole and rule.kind == "int64") for rule in columns]
        largest = [rule.largest for rule in columns]
        low = np.array([-most if plain else rule.low for rule, plain, most in zip(columns, free, largest, strict=True)])
        high = np.array(
            [most if plain else rule.high for rule, plain, most in zip(columns, free, largest, strict=True)]
        )
        strict = np.array([not rule.gap for rule in columns], np.bool_)
        self._strict = None if strict.all() else strict
        self._bounds: dict[np.dtype[Any], tuple[NDArray[Any], NDArray[Any]]] = {np.dtype(np.float64): (low, high)}
        if max(largest) <= _LARGEST["float32"]:
            self._bounds[np.dtype(np.float32)] = (low.astype(np.float32), high.astype(np.float32))
        # A dtype that holds nothing beyond the bounds needs a look for what is not finite, and no more.
        self._free = {
            np.dtype(name)
            for name, most in _LARGEST.items()
            if self._strict is None and all(free) and min(largest) >= most
        }

    def good(self, x: NDArray[Any]) -> bool:
        """Whether all of x [n, columns], float32 or float64, can be accepted."""
        if x.dtype in self._free:
            # Looking for a byte takes half the time of ndarray.all for one row, and no sum of large values overflows.
            return b"\0" not in np.isfinite(x).tobytes()
        return not self.bad(x).any()

    def bad(self, x: NDArray[Any]) -> NDArray[Any]:
        """Which values of x cannot be accepted, as booleans of its shape."""
        low, high = self._bounds[x.dtype]
        missing = np.isnan(x)
        refused: NDArray[Any] = (x < low) | (x > high) | (missing if self._strict is None else missing & self._strict)
        return refused


class Table(Mapping[str, Any]):
    """Columns by name, each [n], that lie side by side in one matrix, so that the adapter need not build it again.

    Attributes:
        matrix: float64 [n, columns].
    """

    def __init__(self, places: Mapping[str, int], matrix: NDArray[np.float64]) -> None:
        self._places = places
        self.matrix = matrix

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.matrix[:, self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Records:
    """Turns JSON objects into checked columns as a contract describes them."""

    def __init__(self, contract: Contract) -> None:
        self._rules = rules(contract)
        self._names = [rule.name for rule in self._rules]
        self._places = {name: place for place, name in enumerate(self._names)}
        first, *others = self._names
        pick = itemgetter(first, *others)
        self._pick = pick if others else lambda row: (pick(row),)
        numeric = all(rule.kind != "string" for rule in self._rules)
        # Whole numbers of more than 53 bits reach a graph that takes the columns one by one as they are.
        self._one_matrix = numeric and contract.runtime.onnx_inputs == "matrix"
        self._numbers = Numbers(self._rules) if self._one_matrix else None
        self._types = [rule.types for rule in self._rules]
        self._plain = all({int, float} <= types for types in self._types)
        self._whole = [place for place, rule in enumerate(self._rules) if rule.kind == "int64"]

    def columns(self, given: Sequence[Any]) -> Mapping[str, Any]:
        """Columns by name, each an array [n]: text as objects, numbers in the column's dtype.

        A missing value that the contract accepts is NaN in a column of numbers, which is float64 where there may be
        one, and ``""`` in one of text.

        Args:
            given: n objects, each a value of every column by its name.

        Raises:
            InvalidInput: there is no row, one is not an object, lacks a column, has one too many, or a value of the
                wrong type, out of range or not among the categories; it names row and column, and the first 20 faults
                are its details.
        """
        if not given:
            raise InvalidInput("The request has no rows.")
        rows = self._complete(given)
        if rows is not None:
            table = self._matrix(rows) if self._one_matrix else self._separate(rows)
            if table is not None:
                return table
        return self._exact(given)

    def _complete(self, given: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        """Values in the columns' order; None where an object is not exactly of the contract's columns."""
        width, pick = len(self._names), self._pick
        if not all(type(row) is dict and len(row) == width for row in given):
            return None
        try:
            return [pick(row) for row in given]
        except KeyError:
            return None

    def _matrix(self, rows: list[tuple[Any, ...]]) -> Table | None:
        plain = self._plain and set(map(type, chain.from_iterable(rows))) <= {int, float}
        if not plain and not all(all(map(contains, self._types, map(type, row))) for row in rows):
            return None
        try:
            matrix = np.array(rows, np.float64)
        except OverflowError:
            return None
        whole = matrix[:, self._whole] if self._whole else matrix[:, :0]
        if not (self._numbers and self._numbers.good(matrix)) or not (np.floor(whole) == whole)[~np.isnan(whole)].all():
            return None
        return Table(self._places, matrix)

    def _separate(self, rows: list[tuple[Any, ...]]) -> dict[str, NDArray[Any]] | None:
        table = {}
        for rule, values in zip(self._rules, zip(*rows, strict=True), strict=True):
            column = _column(rule, values)
            if column is None:
                return None
            table[rule.name] = column
        return table

    def _exact(self, given: Sequence[Any]) -> Mapping[str, Any]:
        faults: list[Fault] = []
        rows: list[list[Any]] = []
        for number, row in enumerate(given):
            rows.append(self._row(number, row, faults))
            if len(faults) >= MOST_FAULTS:
                break
        if faults:
            refuse(faults[:MOST_FAULTS])
        if self._one_matrix:
            return Table(self._places, np.array(rows, np.float64))
        return {
            rule.name: np.array(values, rule.dtype)
            for rule, values in zip(self._rules, zip(*rows, strict=True), strict=True)
        }

    def _row(self, number: int, row: Any, faults: list[Fault]) -> list[Any]:
        if not isinstance(row, dict):
            faults.append(Fault(number, None, f"{_kind(row)} is not an object of named columns"))
            return []
        if len(row) > len(self._names) or not row.keys() <= self._places.keys():
            missing = [name for name in self._names if name not in row]
            for name in row:
                if name not in self._places:
                    near = nearest(str(name), missing or self._names)
                    faults.append(Fault(number, shown(name), "the model has no such column", near))
                if len(faults) >= MOST_FAULTS:
                    return []
        values = []
        for rule in self._rules:
            try:
                values.append(self._value(rule, row))
            except ValueError as wrong:
                faults.append(Fault(number, rule.name, str(wrong), rule.suggestions(row.get(rule.name))))
        return values

    def _value(self, rule: Rule, row: dict[str, Any]) -> Any:
        if rule.name in row:
            return rule.read(row[rule.name])
        if rule.optional:
            return rule.empty()
        raise ValueError("the column is missing")


def _kind(value: Any) -> str:
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def _column(rule: Rule, values: Sequence[Any]) -> NDArray[Any] | None:
    """Checked values as an array; None where one is not plainly good."""
    kinds = set(map(type, values))
    if rule.kind == "string":
        good = kinds == {str} and (rule.known is None or rule.known.issuperset(values))
        return np.array(values, np.object_) if good else None
    if rule.kind == "bool":
        return np.array(values, rule.dtype) if kinds == {bool} else None
    if rule.kind == "int64":
        good = kinds == {int} and rule.low <= min(values) and max(values) <= rule.high
        return np.array(values, rule.dtype) if good else None
    # NaN is unequal to itself, and all comparisons with it are false.
    good = kinds <= {int, float} and all(rule.low <= value <= rule.high for value in values)
    return np.array(values, rule.dtype) if good else None
