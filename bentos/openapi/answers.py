"""Examples that hold: rows of the contract's parity sample, and what the routes answer to them."""

from collections.abc import Callable
from typing import Any

import orjson

from bentos.contract import Contract
from bentos.errors import RequestError
from bentos.http import Request
from bentos.openapi.parts import EXAMPLE_ID
from bentos.routes import Job


def complete_row(contract: Contract) -> list[Any] | None:
    """A row of the parity sample that lacks nothing."""
    rows = contract.parity.rows
    return next((row for row in rows if all(value is not None and value == value for value in row)), None)  # noqa: PLR0124


def answer_of(prepare: Callable[[Request], Job], body: Any) -> Any:
    """The JSON that a route answers to a body, under an id that nobody signed; None where it refuses the body."""
    try:
        job = prepare(Request("POST", "", "", {}, orjson.dumps(body)))
        answer = orjson.loads(job.finish(job.run()).body)
    except RequestError:
        return None
    # Outcomes of it must not count.
    for part in (answer, answer.get("parameters", {}), *answer.get("predictions", [])):
        for name in ("prediction_id", "prediction_ids"):
            if name in part:
                part[name] = EXAMPLE_ID
    return answer
