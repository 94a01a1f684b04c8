"""What `helm test` runs in a pod of the image: is MLflow healthy, and does its registry answer?

One sentence and status 1 where it is not so. The tracking server is the one that the jobs are told of, by the same
variables.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request

WITHIN_S = 30
URI = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")


def ask(path: str) -> bytes:
    """The body of an answer with status 200; any other ends the test."""
    request = urllib.request.Request(f"{URI}{path}")  # noqa: S310  (http or https, says the schema)
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if user:
        request.add_header("Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        said = " ".join(error.read(300).decode("utf-8", "replace").split())
        sys.exit(f"{URI}{path} answers with status {error.code}: {said}")
    except OSError as error:
        sys.exit(f"{URI} does not answer: {getattr(error, 'reason', error)}")


def newest(versions: list[dict[str, str]]) -> str:
    """The version with the highest number."""
    return f"version {max(int(each['version']) for each in versions)}" if versions else "no version"


def registry() -> list[str]:
    """The first of the registered models, each with its newest version."""
    body = ask("/api/2.0/mlflow/registered-models/search?max_results=10")
    try:
        models = json.loads(body).get("registered_models", [])
        return [f"{model['name']}: {newest(model.get('latest_versions', []))}" for model in models]
    except (ValueError, AttributeError, KeyError, TypeError):
        sys.exit(f"{URI} answers a question to the registry with {body[:100]!r}, which is none of MLflow's.")


sys.stdout.write(f"{URI} is healthy: {ask('/health').decode('utf-8', 'replace').strip()}\n")
sys.stdout.write(f"The registry has {'; '.join(registry()) or 'no model yet'}\n")
