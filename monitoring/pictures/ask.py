"""Ways to a Prometheus: by its URL, or through the API server's proxy by kubectl."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, Final

import httpx

from monitoring.pictures.recording import Ask, RecordingError

_ANSWER_S: Final = 60


def by_url(url: str) -> Ask:
    """Ask the Prometheus at a URL; a call raises RecordingError where it cannot be reached."""

    def ask(path: str) -> Any:
        try:
            return httpx.get(f"{url.rstrip('/')}{path}", timeout=_ANSWER_S).json()
        except (httpx.HTTPError, ValueError) as error:
            raise RecordingError(f"There is no Prometheus at {url}: {error}") from error

    return ask


def by_kubectl(service: str, words: Sequence[str] = ("kubectl",)) -> Ask:
    """Ask the Prometheus behind a Service, NAMESPACE/NAME:PORT; a call raises RecordingError where kubectl fails."""
    namespace, _, name = service.partition("/")
    proxy = f"/api/v1/namespaces/{namespace}/services/{name}/proxy"

    def ask(path: str) -> Any:
        command = [*words, "get", "--raw", f"{proxy}{path}"]
        try:
            done = subprocess.run(  # noqa: S603  kubectl, and no shell
                command, check=False, capture_output=True, text=True, timeout=_ANSWER_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RecordingError(f"{words[0]} cannot be run: {error}") from error
        if done.returncode != 0:
            raise RecordingError(f"{words[0]} gets nothing from {service}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    return ask
