"""What a node changes of the machine besides what it makes, and how that was before."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from k8s.local import paths

_ROOT: Final = Path("/proc/sys")
_NOTED: Final = paths.DATA / "before.json"

# The kubelet and kube-proxy set these.
SETTINGS: Final = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
# Places that the kubelet, containerd and the network plugins use wherever their own folders are.
FOLDERS: Final = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
)


def settings() -> dict[str, str]:
    """The settings that a node changes, as they are now."""
    return {name: (_ROOT / name).read_text().strip() for name in SETTINGS if (_ROOT / name).is_file()}


def folders() -> list[str]:
    """Those of ``FOLDERS`` that are there now."""
    return [str(folder) for folder in FOLDERS if folder.exists()]


def remember() -> None:
    """Note them, unless they were noted before a node changed them."""
    if not _NOTED.exists():
        paths.DATA.mkdir(parents=True, exist_ok=True)
        _NOTED.write_text(json.dumps({"settings": settings(), "folders": folders()}))


def set_for_services() -> None:
    """Let the node route, and bridged traffic pass the rules of Services."""
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        (_ROOT / name).write_text("1")


def restore() -> None:
    """Put back what ``remember`` noted, and remove the folders that were not there then."""
    if not _NOTED.exists():
        return
    noted: dict[str, Any] = json.loads(_NOTED.read_text())
    now = settings()
    for name, value in noted["settings"].items():
        if now.get(name) != value:
            (_ROOT / name).write_text(value)
    for folder in folders():
        if folder not in noted["folders"]:
            shutil.rmtree(folder)
