"""Asks a running release which version of the model it serves, by its REST door or through the cluster's API server.

StableError    it cannot be told what stable runs; one sentence says why
"""

import http.client
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

ANSWER_WITHIN_S: Final = 10.0
_KUBECTL_S: Final = 30
_ADMIN_PORT: Final = 3002


class StableError(Exception):
    """It cannot be told what stable runs."""


@dataclass(frozen=True, slots=True)
class Running:
    """What users get answers from now.

    Attributes:
        model: its name.
        version: its number in the registry it came from.
        run_id: the MLflow run it was made from; None where only the REST door was asked, which does not tell it.
    """

    model: str
    version: str
    run_id: str | None = None


def by_url(url: str, model: str) -> Running:
    """Ask ``GET /v2/models/NAME`` of the Open Inference Protocol.

    Args:
        url: of the REST door, through a gateway or not.
        model: name of the model.

    Raises:
        StableError: nobody answers, or it serves another model.
    """
    shown = _without_user(url)
    asked, sentence = f"{shown}/v2/models/{model}", f"Stable at {shown} does not name its version of {model}"
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_WITHIN_S) as answer:  # noqa: S310  http or https
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        hint = "; where callers need a key, ask with --namespace" if error.code == HTTPStatus.UNAUTHORIZED else ""
        raise StableError(
            f"Stable at {shown} does not name its version of {model}: status {error.code}{hint}."
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise StableError(f"{sentence}: {why}.") from error
    versions = told.get("versions") if isinstance(told, dict) else None
    if not isinstance(versions, list) or len(versions) != 1 or told.get("name") != model:
        raise StableError(f"What answers at {shown} is no server of {model} that names its one version.")
    return Running(model, str(versions[0]))


def in_cluster(release: str, *, namespace: str | None, context: str | None) -> Running:
    """Ask a ready pod of the release's stable track for its contract, through the proxy of the API server.

    Args:
        release: name of the Helm release.
        namespace: where it is; None for that of the kubeconfig's context.
        context: of the kubeconfig; None for the current one.

    Raises:
        StableError: there is no kubectl, no such release, no ready pod, or no contract.
    """
    where = [*(["--context", context] if context else []), *(["--namespace", namespace] if namespace else [])]
    labels = f"app.kubernetes.io/instance={release},track=stable"
    pods = _kubectl(*where, "get", "pods", "--selector", labels, "--output", "json")
    ready = [pod["metadata"] for pod in pods["items"] if _is_ready(pod)]
    if not ready:
        there = f"none of its {len(pods['items'])} is ready" if pods["items"] else "there is none"
        raise StableError(f"No pod of the track stable of release {release} can be asked: {there}.")
    path = f"/api/v1/namespaces/{ready[0]['namespace']}/pods/{ready[0]['name']}:{_ADMIN_PORT}/proxy/contract"
    contract = _kubectl(*where, "get", "--raw", path)
    try:
        return Running(contract["name"], contract["version"], contract["provenance"]["run_id"])
    except (KeyError, TypeError) as error:
        raise StableError(f"The pod {ready[0]['name']} of release {release} gives no contract.") from error


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _kubectl(*words: str) -> Any:
    try:
        done = subprocess.run(  # noqa: S603
            ["kubectl", *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_KUBECTL_S,
            check=False,
        )
        if done.returncode:
            raise StableError(f"kubectl cannot be asked what stable runs: {_last(done.stderr, done.returncode)}")
        return json.loads(done.stdout)
    except FileNotFoundError:
        raise StableError(
            "There is no kubectl on PATH to ask the cluster with; `make tools` builds one into .pdx/bin, or name "
            "stable's address with --stable URL."
        ) from None
    except subprocess.TimeoutExpired:
        raise StableError(f"kubectl did not answer within {_KUBECTL_S} s.") from None
    except ValueError as error:
        raise StableError("kubectl answered something else than JSON.") from error


def _last(said: str, status: int) -> str:
    lines: Sequence[str] = said.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {status} and said nothing."


def _without_user(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  it raises where it is none
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StableError("--stable is a URL such as https://models.example, of the REST door of the release.")
    if "@" in url or parts.query or parts.fragment:
        raise StableError("--stable takes no user, password or parameters: which version runs is asked without any.")
    return url.rstrip("/")
