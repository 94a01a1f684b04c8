"""What the charts are told of, and do not bring: one pod with a Service and a Secret in the namespace of the tests."""

import base64
import json
from typing import Any

from tests.e2e.cluster import Namespace


def start(
    space: Namespace,
    name: str,
    port: int,
    container: dict[str, Any],
    *,
    secret: tuple[str, dict[str, str]],
    volumes: list[dict[str, Any]],
    security: dict[str, Any],
    within_s: int,
) -> None:
    """Start a StatefulSet of one pod, and wait until it is ready.

    Args:
        space: where.
        name: of the StatefulSet, its Service and its container.
        port: of the Service and of the pod. One for both: a network that enforces the chart's policy looks at either.
        container: what is particular to the container; /tmp is mounted from the volume ``scratch``.
        secret: name and text of the Secret that goes with it.
        volumes: beside ``scratch``.
        security: of the pod, beside what the ``restricted`` standard asks for.
        within_s: seconds until it has to be ready.
    """
    labels, (secret_name, texts) = {"app": name}, secret
    scratch = {"name": "scratch", "mountPath": "/tmp"}  # noqa: S108  in the pod
    filled: dict[str, Any] = {
        **container,
        "name": name,
        "imagePullPolicy": "Never",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*container["volumeMounts"], scratch],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **security},
        "containers": [filled],
        "volumes": [*volumes, {"name": "scratch", "emptyDir": {}}],
    }
    held = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name}, "data": held},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": port}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name},
            "spec": {
                "replicas": 1,
                "serviceName": name,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]
    space.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = ("rollout", "status", f"statefulset/{name}", f"--timeout={within_s}s")
    space.kubectl(*words, timeout_s=within_s + 30)
