"""A PostgreSQL in the namespace of the tests: a StatefulSet, a Service, and the Secret that the chart is told of."""

import base64
import json
import secrets
from typing import Any, Final

from tests.e2e.cluster import Namespace

NAME: Final = "database"
USER: Final = "mlflow"
SECRET: Final = "tracking"
_STARTED_S: Final = 120
_START: Final = """
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    "$bin/initdb" --username="$PGUSER" --pwfile=/secret/password --auth=scram-sha-256 --encoding=UTF8 --locale=C
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec "$bin/postgres" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


def start(space: Namespace, image: str) -> None:
    """Start it and wait until it takes connections; the Secret holds its URI under ``uri``."""
    password = secrets.token_urlsafe(16)
    uri = f"postgresql+psycopg://{USER}:{password}@{NAME}:5432/postgres"
    labels = {"app": NAME}
    held = {
        name: base64.b64encode(value.encode()).decode() for name, value in {"password": password, "uri": uri}.items()
    }
    container: dict[str, Any] = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", _START],
        "env": [
            {"name": "PGUSER", "value": USER},
            {"name": "PGDATABASE", "value": "postgres"},
            {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "password"}}},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {
            "exec": {"command": ["psql", "--command=SELECT 1"]},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108  in the pod
            {"name": "secret", "mountPath": "/secret", "readOnly": True},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "secret", "secret": {"secretName": SECRET}},
        ],
    }
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": held},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"port": 5432}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": NAME},
            "spec": {
                "replicas": 1,
                "serviceName": NAME,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]
    space.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = ("rollout", "status", f"statefulset/{NAME}", f"--timeout={_STARTED_S}s")
    space.kubectl(*words, timeout_s=_STARTED_S + 30)


def ask(space: Namespace, query: str) -> str:
    """The one figure that a query of its own client comes to."""
    words = ("psql", "--no-align", "--tuples-only", f"--command={query}")
    return space.kubectl("exec", f"{NAME}-0", "--", *words).strip()
