"""The adapter of any model on named columns: checked values become the matrix, or the columns, that its graph takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.adapter import Features, Feed, Rows
from bentos.bundle import Bundle
from bentos.contract import Contract, TensorLayout
from bentos.errors import ContractError, InvalidInput
from bentos.records import MOST_FAULTS, Fault, Numbers, Rule, Table, refuse, rules
from bentos.tensor import Tensor, TensorSpec, bind

INPUT: Final = "input"
"""Name of the one tensor of the layout ``matrix``."""
_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {"float32": float, "float64": float, "int64": int, "bool": bool}
_DATATYPES: Final = {"string": "BYTES", "float32": "FP32", "float64": "FP64", "int64": "INT64", "bool": "BOOL"}


class TabularAdapter:
    """Rows of a tabular model.

    Attributes:
        inputs: one FP32 matrix ``input`` [n, columns], or one tensor [n, 1] a column, as the contract's layout says.

    Raises:
        ContractError: the layout, the graph's inputs or the monitored columns do not go with the columns.
    """

    def __init__(self, bundle: Bundle) -> None:
        contract = bundle.contract
        _check(contract)
        self._rules = rules(contract)
        self._places = {rule.name: place for place, rule in enumerate(self._rules)}
        self._whole = contract.layout is TensorLayout.MATRIX
        self._feeds = contract.runtime.onnx_inputs == "columns"
        self._dtype = np.dtype(contract.runtime.input_dtype)
        self._width = len(self._rules)
        self.inputs: tuple[TensorSpec, ...]
        if self._whole:
            self.inputs = (TensorSpec(INPUT, "FP32", (-1, self._width)),)
        else:
            self.inputs = tuple(TensorSpec(rule.name, _DATATYPES[rule.kind], (-1, 1)) for rule in self._rules)
        self._text = [(place, rule) for place, rule in enumerate(self._rules) if rule.kind == "string"]
        self._numeric = [place for place, rule in enumerate(self._rules) if rule.kind != "string"]
        numeric = [self._rules[place] for place in self._numeric]
        self._numbers = Numbers(numeric, whole=not self._whole) if numeric else None
        discrete = any(rule.kind in {"int64", "bool"} for rule in self._rules)
        self._discrete = _Discrete(self._rules) if self._whole and discrete else None
        self._watched = _watched(contract)
        self._watched_places = np.array([self._places[column.name] for column in contract.monitored], np.intp)

    def columns(self, values: Mapping[str, Any]) -> Rows:
        """Rows from checked columns by name, each [n]; None stands for a missing value.

        Raises:
            InvalidInput: a column is missing, or they differ in their number of rows.
        """
        if isinstance(values, Table) and not self._feeds:
            matrix = values.matrix.astype(self._dtype)
            return Rows(len(matrix), matrix)
        for name in self._places:
            if name not in values:
                raise InvalidInput(f"The column {name} is missing.", [{"column": name}])
        arrays = {rule.name: _array(rule, values[rule.name]) for rule in self._rules}
        n = len(arrays[self._rules[0].name])
        if any(len(array) != n for array in arrays.values()):
            raise InvalidInput("The columns differ in their number of rows.")
        return self._rows(n, arrays)

    def tensors(self, given: Sequence[Tensor]) -> Rows:
        """Rows from the tensors of a request.

        Raises:
            InvalidInput: a tensor is missing, unknown, of another data type or shape, or holds a value that the
                contract refuses; row and column are named.
        """
        if self._whole:
            x = given[0].data if self._is_input(given) else bind(given, self.inputs)[0].data
            if self._numbers and not (self._numbers.good(x) and (self._discrete is None or self._discrete.good(x))):
                bad = self._numbers.bad(x) if self._discrete is None else self._numbers.bad(x) | self._discrete.bad(x)
                self._refuse([x[:, place] for place in range(self._width)], bad)
            return Rows(len(x), x)
        data = [tensor.data for tensor in bind(given, self.inputs)]
        n = len(data[0])
        if self._numbers:
            block = np.concatenate([data[place] for place in self._numeric], axis=1, dtype=np.float64)
            if not self._numbers.good(block):
                self._refuse([data[place][:, 0] for place in self._numeric], self._numbers.bad(block))
            if not self._feeds:
                return Rows(n, block.astype(self._dtype))
        for place, rule in self._text:
            self._check_text(rule, data[place][:, 0])
        return Rows(n, {rule.name: column for rule, column in zip(self._rules, data, strict=True)})

    def observation(self, rows: Rows, row: int) -> Features:
        """Values of the monitored columns [monitored] in one row; a category as its place in the list, or NaN."""
        x = rows.x
        if isinstance(x, np.ndarray):
            seen: Features = x[row].take(self._watched_places)
            return seen
        values = [
            x[name][row, 0] if known is None else known.get(x[name][row, 0], np.nan) for name, known in self._watched
        ]
        return np.array(values, np.float64)

    def pick(self, rows: Rows, row: int) -> NDArray[Any] | list[Any]:
        """Values [columns] of one row."""
        x = rows.x
        return x[row].copy() if isinstance(x, np.ndarray) else [x[rule.name][row, 0] for rule in self._rules]

    def record(self, picked: NDArray[Any] | list[Any]) -> dict[str, Any]:
        """A row that was picked, as values by column; a missing one is null, or left out where that is the rule."""
        given: dict[str, Any] = {}
        for rule, value in zip(self._rules, picked, strict=True):
            if rule.kind == "string":
                given[rule.name] = str(value)
            elif np.isnan(value):
                if rule.gap:
                    given[rule.name] = None
            else:
                given[rule.name] = _PLAIN[rule.kind](value)
        return given

    def _is_input(self, given: Sequence[Tensor]) -> bool:
        """Whether it is plainly the one matrix; ``bind`` says what is wrong otherwise."""
        if len(given) != 1:
            return False
        name, datatype, data = given[0]
        shape = data.shape
        return name == INPUT and datatype == "FP32" and len(shape) == 2 and shape[1] == self._width and shape[0] > 0

    def _rows(self, n: int, arrays: dict[str, NDArray[Any]]) -> Rows:
        if self._feeds:
            feed: Feed = {name: array.reshape(n, 1) for name, array in arrays.items()}
            return Rows(n, feed)
        matrix = np.empty((n, self._width), self._dtype)
        for place, array in enumerate(arrays.values()):
            matrix[:, place] = array
        return Rows(n, matrix)

    def _refuse(self, columns: Sequence[NDArray[Any]], bad: NDArray[np.bool_]) -> None:
        """Word the faults of numeric columns; what the exact check accepts is none."""
        faults: list[Fault] = []
        for row, place in np.argwhere(bad):
            rule = self._rules[self._numeric[place]]
            value = columns[place][row].item()
            try:
                rule.read(int(value) if rule.kind == "int64" and float(value).is_integer() else value)
            except ValueError as wrong:
                faults.append(Fault(int(row), rule.name, str(wrong)))
            if len(faults) == MOST_FAULTS:
                break
        if faults:
            refuse(faults)

    def _check_text(self, rule: Rule, column: NDArray[Any]) -> None:
        if rule.known is None:
            return
        values = column.tolist()
        if rule.known.issuperset(values):
            return
        faults: list[Fault] = []
        for row, value in enumerate(values):
            try:
                rule.read(value)
            except ValueError as wrong:
                faults.append(Fault(row, rule.name, str(wrong), rule.suggestions(value)))
            if len(faults) == MOST_FAULTS:
                break
        if faults:
            refuse(faults)


class _Discrete:
    """Checks the columns of whole numbers and of flags in a matrix of floats; NaN is left to ``Numbers``."""

    def __init__(self, columns: Sequence[Rule]) -> None:
        self._places = np.array([i for i, rule in enumerate(columns) if rule.kind in {"int64", "bool"}], np.intp)
        flags = np.array([columns[place].kind == "bool" for place in self._places])
        self._low = np.where(flags, 0.0, -np.inf).astype(np.float32)
        self._high = np.where(flags, 1.0, np.inf).astype(np.float32)

    def good(self, x: NDArray[Any]) -> bool:
        """Whether all of x [n, columns] are what their columns hold."""
        return not self._wrong(x).any()

    def bad(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values of x are not, as booleans of its shape."""
        refused = np.zeros(x.shape, np.bool_)
        refused[:, self._places] = self._wrong(x)
        return refused

    def _wrong(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        values = x[:, self._places]
        wrong: NDArray[np.bool_] = (np.floor(values) < values) | (values < self._low) | (values > self._high)
        return wrong


def _check(contract: Contract) -> None:
    names = [column.name for column in contract.columns]
    if len(set(names)) != len(names):
        raise ContractError("The contract has two columns of one name.")
    text = next((column.name for column in contract.columns if column.dtype == "string"), None)
    matrix = contract.layout is TensorLayout.MATRIX or contract.runtime.onnx_inputs == "matrix"
    if text is not None and matrix:
        raise ContractError(f"The column {text} holds text, and the contract says that the model takes one matrix.")
    if contract.layout is TensorLayout.MATRIX and contract.runtime.onnx_inputs == "columns":
        raise ContractError("The contract says that callers send one matrix, and that the model takes columns.")
    if contract.runtime.onnx_inputs == "matrix" and contract.features != names:
        raise ContractError("The features of a tabular model are its columns, and the contract's differ.")
    for watched in contract.monitored:
        if watched.name not in names:
            raise ContractError(f"The contract monitors {watched.name}, which is none of its columns.")
        if (watched.categories is not None) != (contract.columns[names.index(watched.name)].dtype == "string"):
            raise ContractError(f"The contract monitors {watched.name} by categories, or text by bin edges.")


def _watched(contract: Contract) -> list[tuple[str, dict[str, int] | None]]:
    return [
        (
            column.name,
            None if column.categories is None else {category: i for i, category in enumerate(column.categories)},
        )
        for column in contract.monitored
    ]


def _array(rule: Rule, values: Any) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    if rule.kind == "string":
        return np.array(["" if value is None else value for value in values], np.object_)
    return np.array(values, np.float64 if None in values else rule.dtype)
