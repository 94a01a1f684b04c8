"""Clients in a pod of the cluster, which call a Service by its name, past any gateway."""

import json
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Namespace
from tests.e2e.images import Image

_NAME: Final = "caller"
_GENERATOR: Final = Path(__file__).parent / "generator.py"


def command(space: Namespace, image: Image) -> list[str | Path]:
    """Start a pod of the serving image that does nothing by itself; returns what runs the generator in it."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container: dict[str, Any] = {
        "name": _NAME,
        "image": image.reference,
        "command": ["python", "-c", "import threading; threading.Event().wait()"],
        "securityContext": closed,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _NAME},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [container],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 0,
        },
    }
    space.kubectl("create", "--filename=-", stdin=json.dumps(pod))
    space.kubectl("wait", "--for=condition=Ready", f"pod/{_NAME}", "--timeout=60s", timeout_s=90)
    words = ("exec", "--stdin", _NAME, "--", "python", "-c", _GENERATOR.read_text("utf-8"))
    return [*space.cluster.kubectl.start, f"--namespace={space.name}", *words]
