"""Families of series over NumPy arrays, rendered in Prometheus' text format 0.0.4.

prometheus_client takes 30 ms for 2,400 series (it sorts and escapes the labels of each one anew) and holds the
interpreter meanwhile. Here everything of a line but its number is made once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client import utils

Labels = Mapping[str, str]
Number = int | float

# As prometheus_client writes numbers: an edge of 1 is 1.0, as Prometheus 3 stores it whatever was written.
_float: Final[Callable[[Any], str]] = utils.floatToGoString
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family:
    """One metric name and its series.

    Args:
        name: as PromQL knows it, ``_total`` included.
        text: its HELP line.
        labels: the labels of each series, without those that all have in common.
        kind: its TYPE.
        dtype: int64 for counts.

    Attributes:
        values: the number of each series [series].
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[Labels] = ({},),
        kind: Literal["counter", "gauge", "histogram", "untyped"] = "counter",
        dtype: type[np.int64 | np.float64] = np.int64,
    ) -> None:
        self.name = name
        self.labels = list(labels)
        self.values: NDArray[np.int64 | np.float64] = np.zeros(len(self.labels), dtype)
        self._header = f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
        self._lines: list[str] | None = None

    def bind(self, common: Labels) -> None:
        """Name the labels that all series have in common; the family is rendered from then on."""
        self._lines = self._heads([{**labels, **common} for labels in self.labels])

    def numbers(self) -> Sequence[Number]:
        """The numbers of its lines as they are now, for ``render``."""
        numbers: list[Number] = self.values.tolist()
        return numbers

    def render(self, numbers: Iterable[Number]) -> str:
        """Its lines, or none while it is unbound."""
        if self._lines is None:
            return ""
        lines = [f"{head} {text(number)}\n" for head, number in zip(self._lines, numbers, strict=True)]
        return self._header + "".join(lines)

    def _heads(self, labels: Sequence[Labels]) -> list[str]:
        return [series(self.name, each) for each in labels]


class Histogram(Family):
    """A cumulative histogram of several label sets.

    Args:
        name: without a suffix.
        text: its HELP line.
        edges: upper edges of the buckets, inclusive and ascending, without the infinite one.
        labels: the labels of each set.

    Attributes:
        counts: values a bucket [sets, edges + 1].
        sums: sum of the values [sets].
    """

    def __init__(self, name: str, text: str, edges: Sequence[float], labels: Sequence[Labels] = ({},)) -> None:
        super().__init__(name, text, labels, "histogram")
        self.edges = np.asarray(edges, np.float64)
        self.counts = np.zeros((len(self.labels), len(edges) + 1), np.int64)
        self.sums = np.zeros(len(self.labels))

    def observe(self, sets: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        """Count values [n], each in the label set of that place [n]."""
        width = self.counts.shape[1]
        flat = sets * width + np.searchsorted(self.edges, values, side="left")
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)
        self.sums += np.bincount(sets, weights=values, minlength=len(self.sums))

    def numbers(self) -> Sequence[Number]:
        """The numbers of its lines: of each set the buckets, the sum, the count."""
        numbers: list[Number] = []
        for buckets, total in zip(self.counts.cumsum(axis=1).tolist(), self.sums.tolist(), strict=True):
            numbers += [*buckets, total, buckets[-1]]
        return numbers

    def _heads(self, labels: Sequence[Labels]) -> list[str]:
        edges = [_float(edge) for edge in (*self.edges.tolist(), float("inf"))]
        heads = []
        for each in labels:
            heads += [series(f"{self.name}_bucket", {**each, "le": edge}) for edge in edges]
            heads += [series(f"{self.name}_sum", each), series(f"{self.name}_count", each)]
        return heads


def series(name: str, labels: Labels) -> str:
    """A series as the text format writes it."""
    inner = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def text(number: Number) -> str:
    """A number as the text format writes it."""
    return str(number) if isinstance(number, int) else _float(number)
