"""An API server of a few lines over real HTTP: objects by their path, with resource versions and merge patches."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import kubernetes.client
import pytest

from k8s.rollout.api import Api

Object = dict[str, Any]
PLURALS = frozenset({"secrets", "configmaps", "pods", "deployments", "leases", "events"})


def merge(under: Any, over: Any) -> Any:
    """RFC 7396."""
    if not isinstance(over, dict):
        return over
    whole = dict(under) if isinstance(under, dict) else {}
    for key, value in over.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = merge(whole.get(key), value)
    return whole


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed while it was answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ApiServer:
    """What it has, and what a path answers that is no object.

    Attributes:
        objects: by path.
        answers: by path without its query: status, headers and body, or what makes them of the request.
        doors: of pods that run, the address by the beginning of the path that the API server passes on to it.
        asked: method, path, headers and body of each request.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.answers: dict[str, tuple[int, bytes] | Callable[[bytes], tuple[int, bytes]]] = {}
        self.doors: dict[str, str] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self._lock = threading.Lock()
        self._version = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits for an acknowledgement, 40 ms

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {key.lower(): value for key, value in self.headers.items()}
                outer.asked.append((self.command, self.path, headers, body))
                status, said = outer._passed_on(self.command, self.path, headers, body)
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: Any) -> None:
                pass

        for method in ("GET", "POST", "PUT", "PATCH"):
            setattr(Handler, f"do_{method}", Handler._answer)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, found: Object) -> None:
        self._version += 1
        found.setdefault("metadata", {})["resourceVersion"] = str(self._version)
        self.objects[path] = found

    def _passed_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        door = next((door for door in self.doors if target.startswith(f"{door}/")), None)
        if door is None:
            with self._lock:
                return self._handle(method, target, body)
        # As the API server does, without the caller's rights.
        kept = {key: value for key, value in headers.items() if key not in {"authorization", "host", "content-length"}}
        answer = httpx.request(method, self.doors[door] + target.removeprefix(door), headers=kept, content=body)
        return answer.status_code, answer.content

    def _handle(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        path = urlsplit(target).path
        if path in self.answers:
            answer = self.answers[path]
            return answer(body) if callable(answer) else answer
        given = json.loads(body) if body else {}
        if method == "POST":
            path = f"{path}/{given['metadata'].get('name', f'made-{self._version}')}"
            if path in self.objects:
                return 409, b'{"message": "it is there"}'
            self.put(path, given)
        elif path not in self.objects:
            return self._list(path)
        elif method == "PUT":
            known = self.objects[path]["metadata"]["resourceVersion"]
            if given["metadata"].get("resourceVersion") not in {None, known}:
                return 409, b'{"message": "it has changed"}'
            self.put(path, given)
        elif method == "PATCH":
            self.put(path, merge(self.objects[path], given))
        return 200, json.dumps(self.objects[path]).encode()

    def _list(self, path: str) -> tuple[int, bytes]:
        """Objects below a path; one that ends in a plural may have none."""
        below = [one for key, one in self.objects.items() if key.rpartition("/")[0] == path]
        if not below and path.rpartition("/")[2] not in PLURALS:
            return 404, b'{"message": "it is not there"}'
        return 200, json.dumps({"items": below}).encode()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


@pytest.fixture
def api(server: ApiServer) -> Api:
    configuration = kubernetes.client.Configuration()
    configuration.host = server.url
    configuration.retries = False
    configuration.api_key = {"authorization": "Bearer secret-token"}
    return Api(kubernetes.client.ApiClient(configuration), "models")
