"""Where the cluster keeps things.

Nothing that is mounted lies under the checkout: ``rm -rf .pdx`` must never walk into a pod's volumes. The kubelet's and
containerd's sockets have to be short as well (108 bytes), and a checkout may lie deep.
"""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFESTS: Final = Path(__file__).resolve().parent / "manifests"
MODULES: Final = Path(__file__).resolve().parent / "modules"

# Of the checkout: what people and tests read.
STATE: Final = ROOT / ".pdx/cluster"
LOGS: Final = STATE / "logs"
KUBECONFIG: Final = STATE / "kubeconfig"
MODE: Final = STATE / "mode"
PROGRAMS: Final = ROOT / ".pdx/bin"

# Of the machine: one node at a time. RUN holds sockets and pids, and a boot empties it; DATA what is mounted or large.
RUN: Final = Path("/run/predictiondex")
DATA: Final = Path("/var/lib/predictiondex")
CONTAINERD: Final = RUN / "containerd.sock"


def cache() -> Path:
    """Folder of what is built once for all checkouts: ``$XDG_CACHE_HOME/predictiondex``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "predictiondex"
