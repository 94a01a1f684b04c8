"""A release of ``helm/training``: its jobs, how they ended, and what the registry says of their versions."""

import json
import os
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from k8s.local import paths
from k8s.local.paths import ROOT
from tests.e2e.cluster import Done, Namespace, until
from tests.e2e.release import Values, merged
from tests.e2e.training.forward import forwarded

CHART: Final = ROOT / "helm/training"
_ENDED_S: Final = 300


@dataclass(frozen=True)
class Release:
    """A release by its name in a namespace.

    Attributes:
        space: the namespace.
        name: of the release.
        given: values of every install and upgrade.
    """

    space: Namespace
    name: str
    given: Values

    def install(self, *values: Values) -> Done:
        """``helm install --wait``."""
        return self._helm("install", *values)

    def upgrade(self, *values: Values) -> Done:
        """``helm upgrade --wait``, by these values and the given ones alone."""
        return self._helm("upgrade", *values)

    def _helm(self, word: str, *values: Values) -> Done:
        return self.space.helm(
            word, self.name, CHART, "--values", self.space.values(merged(self.given, *values)), "--wait"
        )

    def train(self, job: str) -> dict[str, Any]:
        """Make a Job of the CronJob, as the notes say, and wait for its end."""
        self.space.kubectl("create", "job", job, f"--from=cronjob/{self.name}-train")
        return self.ended(job)

    def typed(self, commands: str) -> str:
        """Have a shell run commands about ``$TRAINING`` in ``$WHERE``, with our kubectl; returns what they print."""
        environment = {
            **os.environ, "TRAINING": self.name, "WHERE": self.space.name, "KUBECONFIG": str(paths.KUBECONFIG),
            "PATH": f"{paths.PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        command = ["bash", "-euc", commands]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=_ENDED_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ended(self, job: str) -> dict[str, Any]:
        """The condition that a Job ended with."""
        found: list[dict[str, Any]] = []

        def over() -> bool:
            conditions = self.space.get("job", job).get("status", {}).get("conditions", [])
            found[:] = [each for each in conditions if each["type"] in {"Complete", "Failed"}]
            return bool(found)

        until(f"the end of the job {job}", over, _ENDED_S, poll_s=1)
        return found[0]

    def pods(self, job: str) -> list[dict[str, Any]]:
        """A Job's pods."""
        return self.space.items("pods", "--selector", f"batch.kubernetes.io/job-name={job}")

    def last_words(self, job: str) -> list[str]:
        """What each pod of a Job left for ``kubectl describe``."""
        ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in self.pods(job)]
        return [end.get("message", "").strip() for end in ends]

    def shards(self) -> str:
        """Name of the Job that plays shards."""
        selector = f"app.kubernetes.io/component=shards,app.kubernetes.io/instance={self.name}"
        (job,) = self.space.items("jobs", "--selector", selector)
        name: str = job["metadata"]["name"]
        return name

    def asked_by_pod(self, job: str, *arguments: str) -> str:
        """Run ``pdx`` in a pod like a Job's, on the same volume; returns its log."""
        pod = deepcopy(self.space.get("job", job)["spec"]["template"]["spec"])
        (container,) = pod["containers"]
        container["args"] = list(arguments)
        name = f"{self.name}-asks"
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
        self.space.kubectl("create", "--filename=-", stdin=json.dumps(manifest))
        words = ("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=120s")
        self.space.kubectl(*words, timeout_s=150)
        said = self.space.logs(name)
        self.space.kubectl("delete", "pod", name)
        return said

    def registry(self, path: str) -> dict[str, Any]:
        """Ask MLflow's REST API, through the API server."""
        service = f"/api/v1/namespaces/{self.space.name}/services/{self.name}-mlflow:5000/proxy"
        found: dict[str, Any] = json.loads(self.space.cluster.kubectl.raw(f"{service}/api/2.0/mlflow/{path}"))
        return found

    def newest(self) -> tuple[str, dict[str, Any]]:
        """Number of the newest version of the model, and the gate's verdict on it."""
        asked = urllib.parse.urlencode(
            {"filter": "name='battle'", "order_by": "version_number DESC", "max_results": "1"}
        )
        (version,) = self.registry(f"model-versions/search?{asked}")["model_versions"]
        tags = {tag["key"]: tag["value"] for tag in version["tags"]}
        return version["version"], json.loads(tags["gate.verdict"])

    def champion(self) -> str | None:
        """The version that is the champion."""
        model = self.registry("registered-models/get?name=battle")["registered_model"]
        return {each["alias"]: each["version"] for each in model.get("aliases", [])}.get("champion")

    @contextmanager
    def forwarded(self) -> Iterator[str]:
        """MLflow's URL on this machine."""
        with forwarded(self.space, f"{self.name}-mlflow", 5000) as url:
            yield url
