"""The programs that are built, and from what: one folder of ``modules/`` pins each version, go.sum each hash."""

import re
from dataclasses import dataclass, field
from typing import Final

from k8s.local.paths import MODULES


@dataclass(frozen=True)
class Part:
    """Something that is built once and kept in the cache.

    Attributes:
        name: names the cache folder.
        module: folder under ``modules/`` with go.mod and go.sum.
        source: Go module whose version is the part's; empty for code of ours.
        packages: main packages to build.
        stamps: linker variables to set; ``{version}`` and ``{minor}`` are replaced.
        files: patterns of files in `source` that are kept beside the programs.
    """

    name: str
    module: str
    source: str = ""
    packages: tuple[str, ...] = ()
    stamps: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Release that go.mod pins, without its ``v``.

        Prometheus numbers its Go module 0.XYY.Z for release X.YY.Z.
        """
        if not self.source:
            return "0"
        text = (MODULES / self.module / "go.mod").read_text()
        found = re.search(rf"^(?:require)?\s*{re.escape(self.source)} v(\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"modules/{self.module}/go.mod pins no {self.source}")
        prometheus = re.fullmatch(r"0\.([1-9])(\d\d)\.(\d+)", found[1])
        if self.source == "github.com/prometheus/prometheus" and prometheus:
            major, minor, patch = prometheus.groups()
            return f"{major}.{int(minor)}.{patch}"
        return found[1]

    @property
    def flags(self) -> str:
        """The linker's flags: no symbol table, and the version where the program looks for it."""
        version = self.version
        minor = version.split(".")[1] if "." in version else ""
        values = (f"-X {name}={value.format(version=version, minor=minor)}" for name, value in self.stamps.items())
        return " ".join(("-s", "-w", *values))


_KUBERNETES_STAMPS: Final = {
    "k8s.io/component-base/version.gitVersion": "v{version}",
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "{minor}",
    "k8s.io/component-base/version.gitTreeState": "clean",
}
_COMMON_VERSION: Final = {"github.com/prometheus/common/version.Version": "{version}"}
_OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator"

HELM: Final = Part(
    "helm", "helm", "helm.sh/helm/v4", ("helm.sh/helm/v4/cmd/helm",),
    {"helm.sh/helm/v4/internal/version.version": "v{version}"},
)  # fmt: skip
KUBECTL: Final = Part(
    "kubectl", "kubernetes", "k8s.io/kubernetes", ("k8s.io/kubernetes/cmd/kubectl",), _KUBERNETES_STAMPS
)
PROMTOOL: Final = Part(
    "promtool", "prometheus", "github.com/prometheus/prometheus", ("github.com/prometheus/prometheus/cmd/promtool",),
    _COMMON_VERSION,
)  # fmt: skip
KUBERNETES: Final = Part(
    "kubernetes", "kubernetes", "k8s.io/kubernetes",
    tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    ),
    _KUBERNETES_STAMPS,
)  # fmt: skip
COREDNS: Final = Part("coredns", "coredns", "github.com/coredns/coredns", ("github.com/coredns/coredns",))
METRICS_SERVER: Final = Part(
    "metrics-server", "metrics-server", "sigs.k8s.io/metrics-server", ("sigs.k8s.io/metrics-server/cmd/metrics-server",)
)
OPERATOR: Final = Part(
    "prometheus-operator", "prometheus-operator", _OPERATOR,
    (f"{_OPERATOR}/cmd/operator", f"{_OPERATOR}/cmd/prometheus-config-reloader"),
    _COMMON_VERSION,
    ("example/prometheus-operator-crd/*.yaml", "example/rbac/*/prometheus-operator-cluster-role.yaml"),
)  # fmt: skip
PROMETHEUS: Final = Part(
    "prometheus", "prometheus", "github.com/prometheus/prometheus",
    ("github.com/prometheus/prometheus/cmd/prometheus",), _COMMON_VERSION,
)  # fmt: skip
ADAPTER: Final = Part(
    "prometheus-adapter", "prometheus-adapter", "sigs.k8s.io/prometheus-adapter",
    ("sigs.k8s.io/prometheus-adapter/cmd/adapter",),
)  # fmt: skip
GATEWAY_API: Final = Part(
    "gateway-api",
    "gateway-api",
    "sigs.k8s.io/gateway-api",
    files=("config/crd/standard/gateway.networking.k8s.io_*.yaml",),
)
PROBE: Final = Part("probe", "probe", packages=("./cmd/pause", "./cmd/probe"))

# In the order in which they are built: what others wait for first.
TOOLS: Final = (HELM, KUBECTL, PROMTOOL)
NODE: Final = (KUBERNETES, KUBECTL, PROBE)
BARE: Final = (*NODE, COREDNS)
ADDONS: Final = (COREDNS, METRICS_SERVER, GATEWAY_API, OPERATOR, PROMETHEUS, ADAPTER)
EVERY: Final = (*TOOLS, KUBERNETES, PROBE, *ADDONS)
