"""Requests that our REST door hands to BentoML's ASGI app, and its answers in our shape."""

from collections.abc import Sequence

from bentos.asgi import App, Message, Scope
from bentos.http import Request, Response


async def pass_on(app: App, request: Request) -> Response:
    """Ask an ASGI app and wait for its whole answer."""
    pending: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]
    status = 500
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: list[bytes] = []

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], message.get("headers", ())
        else:
            body.append(message.get("body", b""))

    await app(_scope(request), receive, send)
    kept = tuple(
        (name, value)
        for name, value in headers
        if name.lower() not in {b"content-length", b"content-type", b"connection"}
    )
    kind = next((value for name, value in headers if name.lower() == b"content-type"), b"application/octet-stream")
    return Response(status, b"".join(body), kind, kept)


def _scope(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode("utf-8", "surrogateescape"),
        "query_string": request.query.encode("ascii"),
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": None,
        "server": None,
        "state": {},
    }
