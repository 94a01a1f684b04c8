"""A PostgreSQL in the namespace of the tests: a StatefulSet, a Service, and the Secret that the chart is told of."""

import secrets
from typing import Any, Final

from tests.e2e.cluster import Namespace
from tests.e2e.training import stateful

NAME: Final = "database"
USER: Final = "mlflow"
SECRET: Final = "tracking"
_PORT: Final = 5432
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
    uri = f"postgresql+psycopg://{USER}:{password}@{NAME}:{_PORT}/postgres"
    container: dict[str, Any] = {
        "image": image,
        "command": ["sh", "-c", _START],
        "env": [
            {"name": "PGUSER", "value": USER},
            {"name": "PGDATABASE", "value": "postgres"},
            {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "password"}}},
        ],
        "readinessProbe": {
            "exec": {"command": ["psql", "--command=SELECT 1"]},
            "periodSeconds": 2,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "secret", "mountPath": "/secret", "readOnly": True},
        ],
    }
    stateful.start(
        *(space, NAME, _PORT, container),
        secret=(SECRET, {"password": password, "uri": uri}),
        volumes=[{"name": "data", "emptyDir": {}}, {"name": "secret", "secret": {"secretName": SECRET}}],
        security={},
        within_s=_STARTED_S,
    )


def ask(space: Namespace, query: str) -> str:
    """The one figure that a query of its own client comes to."""
    words = ("psql", "--no-align", "--tuples-only", f"--command={query}")
    return space.kubectl("exec", f"{NAME}-0", "--", *words).strip()
