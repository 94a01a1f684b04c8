"""Renders the charts with the helm that a user has."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from k8s.local import tools

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/serving"
SETS = Path(__file__).parent / "values"
TRAINING = ROOT / "helm/training"
GATEWAY = ("gateway.networking.k8s.io/v1/HTTPRoute", "gateway.networking.k8s.io/v1/GRPCRoute")
OPERATOR = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule")
APIS = (*GATEWAY, *OPERATOR)
IMAGE = {"image": {"repository": "localhost/battle", "tag": "v1"}}
NUMBERS = "numbers"
"""The value set of names that YAML takes for numbers; it is rendered as release `on` in namespace `123`."""
MISSING = "helm 4 is not there (make tools)"
"""Why a test is skipped."""

Manifest = dict[str, Any]
Values = dict[str, Any]
Done = subprocess.CompletedProcess[str]


def helm() -> str | None:
    """The helm that `make tools` put in its place, or one of version 4 on PATH."""
    ours = tools.path("helm")
    if ours.exists():
        return str(ours)
    found = shutil.which("helm")
    if found is None:
        return None
    said = subprocess.run([found, "version", "--short"], check=False, capture_output=True, text=True).stdout
    return found if said.startswith("v4.") else None


class Compared(NamedTuple):
    """A chart and what it is compared with.

    Attributes:
        folder: of the chart.
        sets: folder of its value sets.
        golden: folder of their committed renders.
        script: what the pod of `helm test` runs.
    """

    folder: Path
    sets: Path
    golden: Path
    script: str

    def values(self) -> Iterator[tuple[str, Path]]:
        """Names and files of the committed value sets."""
        yield from ((path.stem, path) for path in sorted(self.sets.glob("*.yaml")))


_HERE = Path(__file__).parent
TESTED = (
    Compared(CHART, SETS, _HERE / "golden", "files/predict.py"),
    Compared(TRAINING, _HERE / "training/values", _HERE / "training/golden", "files/ask.py"),
)


class Chart:
    """A chart, and the helm that renders it.

    Args:
        program: path of helm.
        scratch: an empty folder, for values files.
        folder: of the chart.
    """

    def __init__(self, program: str, scratch: Path, folder: Path = CHART) -> None:
        self._program = program
        self._scratch = scratch
        self.folder = folder

    def run(self, *arguments: str | Path) -> Done:
        """Run helm, away from any cluster and any chart of the user's."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self._scratch), "KUBECONFIG": "/dev/null"}
        command = [self._program, *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    def template(
        self, *values: Values | Path, release: str = "battle", namespace: str = "models", apis: tuple[str, ...] = APIS
    ) -> Done:
        """What `helm template` says."""
        known = [word for api in apis for word in ("--api-versions", api)]
        return self.run("template", release, self.folder, "--namespace", namespace, *self._files(values), *known)

    def notes(self, *values: Values | Path, release: str = "battle") -> str:
        """What Helm prints after an installation in the namespace models."""
        options = ("--dry-run=client", "--hide-secret", "--namespace", "models")
        done = self.run("install", release, self.folder, *options, *self._files(values))
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:\n")[2]

    def _files(self, values: Iterable[Values | Path]) -> Iterator[str | Path]:
        """Options that name each set of values, those that are no file yet in one of their own."""
        for number, given in enumerate(values):
            path = given if isinstance(given, Path) else self._scratch / f"{number}.yaml"
            if not isinstance(given, Path):
                path.write_text(yaml.safe_dump(given))
            yield from ("--values", path)

    def text(self, *values: Values | Path, **how: Any) -> str:
        """The manifests as one text."""
        done = self.template(*values, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def manifests(self, *values: Values | Path, **how: Any) -> list[Manifest]:
        """The manifests, the test's pod included."""
        return [each for each in yaml.safe_load_all(self.text(*values, **how)) if each]

    def one(self, kind: str, *values: Values | Path, **how: Any) -> Manifest:
        """The one manifest of a kind."""
        (found,) = (each for each in self.manifests(*values, **how) if each["kind"] == kind)
        return found

    def refusal(self, *values: Values | Path, **how: Any) -> str:
        """Why the values are refused."""
        done = self.template(*values, **how)
        assert done.returncode != 0, "it was not refused"
        assert done.stdout == ""
        return done.stderr


def with_image(**values: Any) -> Values:
    """Values that lack nothing."""
    return {**deepcopy(IMAGE), **values}


def sets() -> Iterator[tuple[str, Path]]:
    """Names and files of the committed value sets of helm/serving."""
    yield from TESTED[0].values()


def hardened(spec: dict[str, Any]) -> None:
    """Assert that a pod is what Pod Security "restricted" asks, and that it has no token and no way to the node."""
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"].get("runAsUser") != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    kinds = {next(iter(each.keys() - {"name"})) for each in spec["volumes"]}
    assert kinds <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert not any("hostPort" in port for port in container.get("ports", []))


def golden(chart: Chart, values: Path) -> str:
    """A render as it is committed: with the test's script named, so that a change of it changes no render."""
    (tested,) = (each for each in TESTED if each.folder == chart.folder)
    place = {"release": "on", "namespace": "123"} if values.stem == NUMBERS else {}
    text = chart.text(values, **place).rstrip() + "\n"
    script = (tested.folder / tested.script).read_text().strip()
    indented = "\n".join(f"          {line}".rstrip() for line in script.split("\n"))
    assert text.count(indented) == text.count("kind: Pod\n")
    return text.replace(indented, f"          # {tested.script}")
