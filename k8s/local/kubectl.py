"""kubectl on one kubeconfig."""

import json
from pathlib import Path
from typing import Any, Final

from k8s.local import paths, tools
from k8s.local.commands import run

_MANAGER: Final = "predictiondex-local"


def _environment() -> dict[str, str]:
    # Not the person's cache of what an address serves: the next cluster has the same address.
    return {"KUBECACHEDIR": str(paths.STATE / "kubectl")}


class Kubectl:
    """Calls kubectl; every call is bounded and raises ``ClusterError`` with kubectl's own word.

    Attributes:
        start: the words that every call begins with.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.start = (tools.path("kubectl"), f"--kubeconfig={kubeconfig}")

    def __call__(self, *words: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl with `words` and return what it printed."""
        return run(*self.start, *words, stdin=stdin, timeout_s=timeout_s, environment=_environment())

    def apply(self, manifests: str) -> None:
        """Apply YAML documents on the server's side; what a person changed in them is changed back."""
        self(
            "apply", "--server-side", "--force-conflicts", f"--field-manager={_MANAGER}", "--filename=-",
            stdin=manifests, timeout_s=120,
        )  # fmt: skip

    def get(self, *words: str) -> dict[str, Any]:
        """Run ``kubectl get`` and return its JSON."""
        found: dict[str, Any] = json.loads(self("get", *words, "--output=json"))
        return found

    def raw(self, path: str) -> str:
        """Get a path of the API server, also one that it passes on."""
        return self("get", "--raw", path)
