"""What the routes of the document share: their errors, the headers they read and answer, and an operation's shape."""

from typing import Any, Final

from pydantic import BaseModel

from bentos.feedback import FeedbackItem
from bentos.packing import ACCEPTED

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
BOOL: Final[Schema] = {"type": "boolean"}
REF: Final = "#/components/schemas/{model}"
EXAMPLE_ID: Final[str] = (FeedbackItem.model_fields["prediction_id"].examples or [""])[0]
"""A prediction id that no server has signed."""

_SAID: Final[dict[int, str]] = {
    400: "The request is not HTTP/1.1, or its body is not what its headers say, or not JSON.",
    401: "An API key is needed, and none that is known came.",
    404: "There is no such route, model, version or file.",
    405: "The route does not answer this method.",
    408: "The request did not arrive in time.",
    413: "The body is too long, as it came or unpacked, or has too many rows.",
    415: "The body is announced in a format or packing that is not read.",
    422: "A value is of the wrong type, out of range, unknown, or missing.",
    431: "The head of the request is too long.",
    500: "The server failed; its log has more under the id in the answer.",
    503: "The model is loading, the server is stopping, or too much is in flight; come back after Retry-After.",
    504: "The time that the request allows has passed; nothing was computed after it.",
}
_EXAMPLES: Final[dict[int, dict[str, tuple[str, list[Schema]]]]] = {
    400: {"bad_request": ("The body is not JSON: unexpected end of data.", [])},
    401: {"unauthorized": ("An API key is needed, sent as x-api-key.", [])},
    404: {"not_found": ("There is no model 'champion'; this server has battle.", [])},
    405: {"method_not_allowed": ("/predict answers POST only.", [{"allow": "POST"}])},
    408: {"too_slow": ("The body did not arrive within 10 s.", [])},
    413: {
        "payload_too_large": ("The body is longer than 16777216 bytes.", [{"limit_bytes": 16777216}]),
        "too_many_rows": ("The request has 20000 rows, and 10000 are accepted.", [{"limit_rows": 10000}]),
    },
    415: {
        "unsupported_media_type": (
            f"The body must be packed with {ACCEPTED.replace(', ', ' or ')}, or not at all.",
            [{"accept-encoding": ACCEPTED}],
        )
    },
    422: {
        "invalid_input": (
            "The field records is missing.",
            [{"field": "records", "problem": "The field records is missing."}],
        ),
        "unknown_name": (
            "There is no Pokémon called 'pikachuu'. Did you mean pikachu?",
            [{"value": "pikachuu", "did_you_mean": ["pikachu"], "field": "pokemon_a"}],
        ),
        "prediction_refused": ("The prediction id was not signed here.", [{"field": "prediction_id"}]),
    },
    431: {"headers_too_large": ("The head has more than 128 headers.", [])},
    500: {"internal": ("The server failed on this request; its log has more under 3f2a-17.", [])},
    503: {
        "not_ready": ("The model is still loading.", []),
        "overloaded": ("There are 256 requests in flight already.", []),
    },
    504: {"deadline_exceeded": ("The time that the request allows has passed; nothing was computed.", [])},
}
OPEN: Final = (400, 405, 408, 413, 431, 500, 503)
"""Statuses of refusals that any route may answer with."""
READ: Final = (401, *OPEN)
"""The same where an API key may be asked for."""
WRITE: Final = (*READ, 415, 422)
"""The same where a body is read."""

_REQUEST_ID: Final = "x-request-id"
HEADERS: Final[dict[str, Schema]] = {
    _REQUEST_ID: {
        "description": "The id of the request, as it was given or made up; it is in every line of the log.",
        "required": True,
        "schema": TEXT,
        "example": "3f2a-17",
    },
    "Retry-After": {
        "description": "Seconds after which another try may fare better.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "Allow": {
        "description": "The methods that the route answers.",
        "required": True,
        "schema": TEXT,
        "example": "GET, HEAD",
    },
    "WWW-Authenticate": {
        "description": "How to name a key: in the header x-api-key.",
        "required": True,
        "schema": TEXT,
        "example": 'ApiKey realm="predictiondex"',
    },
    "Content-Encoding": {
        "description": "How a long answer is packed for a client whose Accept-Encoding asks for it.",
        "schema": {"enum": ["gzip", "deflate"]},
        "example": "gzip",
    },
    "Inference-Header-Content-Length": {
        "description": "Bytes of the JSON text in front of the tensors' own; only where there are such.",
        "schema": {"type": "integer", "minimum": 2},
        "example": 181,
    },
}
"""Of answers."""
_OF_STATUS: Final = {401: "WWW-Authenticate", 405: "Allow", 503: "Retry-After"}

PARAMETERS: Final[dict[str, Schema]] = {
    "request-id": {
        "name": _REQUEST_ID,
        "in": "header",
        "description": "An id for the request, 1 to 64 letters, digits, dots, dashes or underscores; for anything "
        "else, as for none, one is made up.",
        "schema": TEXT,
        "example": "order-4711",
    },
    "traceparent": {
        "name": "traceparent",
        "in": "header",
        "description": "The trace that the request belongs to, as in W3C Trace Context; anything else is overlooked.",
        "schema": TEXT,
        "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    },
    "content-encoding": {
        "name": "Content-Encoding",
        "in": "header",
        "description": "How the body is packed, in any case of letters; nothing and identity mean not at all. What it "
        "unpacks to is held to the same limit as a plain one.",
        "schema": {"type": "string", "enum": ["gzip", "x-gzip", "deflate", "identity", ""]},
    },
    "accept-encoding": {
        "name": "Accept-Encoding",
        "in": "header",
        "description": "Packings that the client reads, best first by their q; gzip and deflate are spoken, and short "
        "answers are not packed.",
        "schema": TEXT,
        "example": "gzip",
    },
    "json-length": {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of the JSON text in front of the tensors' own. Without it, all of the body is JSON.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999},
    },
}
"""Headers of requests. Those that tell how to read the body have no example: the page would send it with any body."""
EVERYWHERE: Final = ("request-id", "traceparent")


class ErrorBody(BaseModel):
    """The body of every error."""

    error: str
    code: str
    details: list[dict[str, Any]]


def ref(model: type[BaseModel]) -> Schema:
    """The schema of a pydantic model, which is among the components."""
    return {"$ref": REF.format(model=model.__name__)}


def parameter(name: str) -> Schema:
    """A header of ``PARAMETERS``."""
    return {"$ref": f"#/components/parameters/{name}"}


def headers(*names: str) -> Schema:
    """Headers of an answer, of ``HEADERS``."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (_REQUEST_ID, *names)}


def responses() -> Schema:
    """One for each status of an error, with an example for each of its stable words."""
    return {str(status): _refused(status, said) for status, said in _SAID.items()}


def _refused(status: int, said: str) -> Schema:
    examples = {
        code: {"value": {"error": sentence, "code": code, "details": details}}
        for code, (sentence, details) in _EXAMPLES[status].items()
    }
    return {
        "description": said,
        "headers": headers(*[_OF_STATUS[status]] if status in _OF_STATUS else []),
        "content": {"application/json": {"schema": ref(ErrorBody), "examples": examples}},
    }


def fields(**properties: Schema) -> Schema:
    """The schema of an object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def content(schema: Schema, example: Any = None) -> Schema:
    """A media type's value."""
    return {"schema": schema, **({} if example is None else {"example": example})}


def operation(
    name: str, summary: str, answer: Schema, *, errors: tuple[int, ...], tag: str, kind: str = "application/json"
) -> Schema:
    """An operation.

    Args:
        name: its id.
        summary: one sentence.
        answer: from ``content``; of an answer of media type ``kind``.
        errors: statuses of refusals.
        tag: the group that it is shown in.
        kind: media type.
    """
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": {
            "200": {"description": "The answer.", "headers": headers(), "content": {kind: answer}},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(errors)},
        },
    }


def write(
    name: str, summary: str, answer: Schema, *, body: Schema, tag: str, errors: tuple[int, ...] = WRITE
) -> Schema:
    """An operation that reads a JSON body, from ``content``; the rest as for ``operation``."""
    return {
        **operation(name, summary, answer, errors=errors, tag=tag),
        "parameters": [parameter("content-encoding")],
        "requestBody": {"required": True, "content": {"application/json": body}},
    }
