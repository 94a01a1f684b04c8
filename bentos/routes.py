"""What a route of the REST door is: either an answer at once, or a job whose model part may run beside the loop."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bentos.core import Prediction
from bentos.http import Answer, Request, Response

READ: Final = ("GET", "HEAD")
WRITE: Final = ("POST",)


class Job(NamedTuple):
    """A checked request for a prediction.

    Attributes:
        rows: how many the model will score.
        run: the slow part, which may be called in another thread.
        finish: the answer to what it returned.
        deadline: ``time.perf_counter()`` after which nobody waits for it; None for no such time.
    """

    rows: int
    run: Callable[[], Prediction]
    finish: Callable[[Prediction], Response]
    deadline: float | None = None


class Route(NamedTuple):
    """One route; has exactly one of ``call`` and ``prepare``.

    Attributes:
        template: its path with placeholders, as metrics, logs and the OpenAPI document name it.
        methods: those it answers.
        call: answers.
        prepare: checks a request for a prediction; raises RequestError.
        open: whether it answers without an API key.
        most_bytes: longest body it reads, where that is less than the server's limit: more it cannot need.
        slow: whether ``call`` answers later.
    """

    template: str
    methods: tuple[str, ...]
    call: Callable[[Request], Answer] | None = None
    prepare: Callable[[Request], Job] | None = None
    open: bool = False
    most_bytes: int | None = None
    slow: bool = False
