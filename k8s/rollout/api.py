"""The API server: objects as JSON, and what it passes on to pods and services."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import kubernetes.client
import kubernetes.config
import urllib3

from k8s.rollout.errors import NotThere, Refused, Unreachable

_TIMEOUT_S: Final = 10.0
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_MERGE: Final = "application/merge-patch+json"

Object = dict[str, Any]


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: of HTTP.
        body: its bytes, unpacked.
    """

    status: int
    body: bytes

    def json(self) -> Any:
        """The body's JSON.

        Raises:
            Unreachable: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unreachable(f"An answer with status {self.status} is no JSON.") from None


class Api:
    """One cluster as one user.

    Args:
        client: of the Kubernetes library, which has read the kubeconfig or the pod's account.
        namespace: that of the release.
        timeout_s: seconds until an answer has to be there.
    """

    def __init__(self, client: kubernetes.client.ApiClient, namespace: str, timeout_s: float = _TIMEOUT_S) -> None:
        self._client = client
        self.namespace = namespace
        self._timeout_s = timeout_s

    def within(self, timeout_s: float) -> "Api":
        """The same, asked by someone who cannot wait for longer."""
        return Api(self._client, self.namespace, timeout_s)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask for a path, whatever the status of the answer.

        Raises:
            Unreachable: there is no answer.
        """
        configuration = self._client.configuration
        given = {"Accept": "*/*", "User-Agent": "kubectl-canary"}
        for setting in configuration.auth_settings().values():
            given[setting["key"]] = setting["value"]
        if body is not None:
            given["Content-Type"] = "application/json"
        given.update(headers or {})
        try:
            response = self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method,
                configuration.host + path,
                headers=given,
                body=body,
                _request_timeout=self._timeout_s if timeout_s is None else timeout_s,
            )
            return Answer(response.status, response.read())
        except (urllib3.exceptions.HTTPError, kubernetes.client.ApiException, OSError) as error:
            raise Unreachable(f"{path.partition('?')[0]} gave no answer: {type(error).__name__}.") from None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Object:
        """Ask the API server itself.

        Raises:
            NotThere: there is no such object.
            Unreachable: it refuses, with its own word.
        """
        answer = self.send(method, path, body, headers)
        if answer.status < 300:
            found: Object = answer.json()
            return found
        try:
            said = json.loads(answer.body)["message"]
        except (ValueError, KeyError, TypeError):
            said = f"status {answer.status}"
        raise (NotThere if answer.status == 404 else Conflict if answer.status == 409 else Unreachable)(said)

    def get(self, path: str, **query: str) -> Object:
        """An object, or a list with ``query``."""
        return self.ask("GET", path + (f"?{urlencode(query)}" if query else ""))

    def items(self, path: str, selector: str) -> list[Object]:
        """The objects of a list that labels select."""
        found: list[Object] = self.get(path, labelSelector=selector).get("items") or []
        return found

    def create(self, path: str, body: Object) -> Object:
        """Make an object."""
        return self.ask("POST", path, body)

    def replace(self, path: str, body: Object) -> Object:
        """Write an object; one that has changed since ``body`` was read is a ``Conflict``."""
        return self.ask("PUT", path, body)

    def merge(self, path: str, body: Object) -> Object:
        """Change fields of an object."""
        return self.ask("PATCH", path, body, {"Content-Type": _MERGE})

    def core(self, kind: str, name: str = "") -> str:
        """Path of the namespace's objects of a kind of the core group."""
        return _path("/api/v1", self.namespace, kind, name)

    def group(self, group: str, kind: str, name: str = "") -> str:
        """Path of the namespace's objects of a kind of a group, such as ``apps/v1``."""
        return _path(f"/apis/{group}", self.namespace, kind, name)

    def pod(self, name: str, port: int, path: str) -> str:
        """Path by which the API server asks a pod."""
        return f"{self.core('pods')}/{quote(name)}:{port}/proxy{path}"


class Conflict(Unreachable):
    """The object is there already, or has changed since it was read."""


def _path(start: str, namespace: str, kind: str, name: str) -> str:
    return f"{start}/namespaces/{namespace}/{kind}" + (f"/{quote(name)}" if name else "")


def connect(kubeconfig: str | None, context: str | None, namespace: str | None) -> Api:
    """Reach a cluster as kubectl would: options, then the kubeconfig, then the pod's own account.

    Raises:
        Refused: there is no cluster to be reached.
    """
    configuration = kubernetes.client.Configuration()
    given = kubeconfig or os.environ.get("KUBECONFIG") or ("" if not context else None)
    default = Path("~/.kube/config").expanduser()
    try:
        if given or context or default.exists():
            kubernetes.config.load_kube_config(given or None, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
            _, current = kubernetes.config.list_kube_config_contexts(given or None)  # type: ignore[no-untyped-call]
            named = _context(given, context) if context else current
            home = (named.get("context") or {}).get("namespace")
        else:
            kubernetes.config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            home = _ACCOUNT.read_text("utf-8").strip()
    except (kubernetes.config.ConfigException, OSError) as error:
        raise Refused(f"No cluster can be reached: {error}.".replace("..", ".")) from None
    configuration.retries = False
    return Api(kubernetes.client.ApiClient(configuration), namespace or home or "default")


def _context(given: str | None, name: str) -> Object:
    contexts, _ = kubernetes.config.list_kube_config_contexts(given or None)  # type: ignore[no-untyped-call]
    return next((each for each in contexts if each["name"] == name), {})
