"""What the core asks of an adapter: a caller's values in, rows for the model out; names and types end here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bentos.tensor import Tensor, TensorSpec

Features = NDArray[np.float32] | NDArray[np.float64]
Feed = Mapping[str, NDArray[Any]]
Scores = NDArray[np.float64]
"""What a model says of n rows: P(class 1) [n] (binary), P of each class [n, classes] (multiclass), values [n]."""


class Rows(NamedTuple):
    """Checked rows, ready to be scored.

    Attributes:
        n: how many.
        x: the feature matrix [n, features], or, for a model whose ONNX graph takes columns, each by its name [n, 1].
        finish: what is still to be done to calibrated scores; None for nothing.
        source: what the adapter itself wants to know of the rows later on.
    """

    n: int
    x: Features | Feed
    finish: Callable[[Scores], Scores] | None = None
    source: Any = None


class Adapter(Protocol):
    """Turns what callers send into rows.

    Attributes:
        inputs: the tensors that ``tensors`` takes, in order.
    """

    inputs: tuple[TensorSpec, ...]

    def columns(self, values: Mapping[str, Sequence[Any] | NDArray[Any]]) -> Rows:
        """Rows from columns by name, each [n], of checked values as the contract describes them.

        Raises:
            InvalidInput: the values of a row do not go together.
        """
        ...

    def tensors(self, given: Sequence[Tensor]) -> Rows:
        """Rows from the tensors of a request; raises InvalidInput, naming the tensor."""
        ...

    def observation(self, rows: Rows, row: int) -> Features:
        """Values of the contract's monitored columns [monitored] in one row; a category as its place in the list."""
        ...

    def pick(self, rows: Rows, row: int) -> Any:
        """What ``record`` needs of one row, holding on to nothing else of the request."""
        ...

    def record(self, picked: Any) -> dict[str, Any]:
        """A row that was picked as values of JSON by column; ``columns`` makes the same row of them again."""
        ...
