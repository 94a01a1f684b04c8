"""ASGI, for where BentoML's server runs our doors: a scope in, a request out, and back."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from bentos.errors import PayloadTooLarge
from bentos.http import Request, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_DISCARD: Final = 4
"""How many times the limit of a body is read and thrown away before a 413, so that its sender gets to read it."""
_DIGITS: Final = 19
"""Digits of the longest length that is read as a number; Python refuses to read thousands of them."""


class ClientGone(Exception):
    """The client closed the connection in the middle of its body; nobody waits for an answer."""


def request_of(scope: Scope) -> Request:
    """The head of a request."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = b"%b, %b" % (headers[name], value) if name in headers else value
    return Request(scope["method"], scope["path"], scope["query_string"].decode("ascii", "replace"), headers)


async def read_body(request: Request, receive: Receive, limit: int) -> None:
    """Read the body of a request into it.

    Raises:
        PayloadTooLarge: it has more than ``limit`` bytes.
        ClientGone: it ended too early.
    """
    announced = request.headers.get(b"content-length", b"0")
    keep = not announced.isdigit() or (len(announced) <= _DIGITS and int(announced) <= limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit * _DISCARD:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        keep = keep and size <= limit
        if keep:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if not keep:
        raise PayloadTooLarge(f"The body is longer than {limit} bytes.", [{"limit_bytes": limit}])
    request.body = b"".join(chunks)


async def send_response(send: Send, response: Response, ident: str, *, close: bool) -> None:
    """Send a whole answer, and the id of its request."""
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", str(len(response.body)).encode()),
        (b"x-request-id", ident.encode()),
        *response.headers,
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
