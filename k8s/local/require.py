"""What a machine must have for the single node; each lack is one sentence, said before anything is started."""

import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from k8s.local import build
from k8s.local.commands import run, succeeds
from k8s.local.errors import Missing

CGROUPS: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")
# What listens on the host, whatever the address.
PORTS: Final = {
    2379: "etcd",
    2380: "etcd",
    6443: "the API server",
    7080: "the gateway",
    7081: "the gateway",
    7082: "the gateway",
    10248: "the kubelet",
    10249: "kube-proxy",
    10250: "the kubelet",
    10256: "kube-proxy",
    10257: "the controller manager",
    10259: "the scheduler",
}


def machine() -> None:
    """Refuse a machine that cannot be a node, before anything is installed or built.

    Raises:
        Missing: what is lacking and what to do.
    """
    root()
    apt()
    build.require_go()
    cgroups(CGROUPS)
    address()


def root(user: int | None = None) -> None:
    """Containers and their network are made by root alone."""
    if (os.geteuid() if user is None else user) != 0:
        raise Missing("The cluster needs root: run it with sudo, or name a cluster that is there with CLUSTER=current.")


def apt(search: str | None = None) -> None:
    """Parts of the node are Debian's packages."""
    if shutil.which("apt-get", path=search) is None:
        raise Missing("The cluster needs Debian or a relative with apt-get; name another one with CLUSTER=current.")


def cgroups(folder: Path) -> None:
    """The kubelet needs these controllers, of either version, and has to be able to make groups in them."""
    version_2 = folder / "cgroup.controllers"
    if version_2.is_file():
        there = set(version_2.read_text().split())
        places = dict.fromkeys(CONTROLLERS, folder)
    else:
        there = {name for name in CONTROLLERS if (folder / name).is_dir()}
        places = {name: folder / name for name in CONTROLLERS}
    lacking = [name for name in CONTROLLERS if name not in there]
    if lacking:
        raise Missing(
            f"The cgroup controllers {', '.join(lacking)} are not under {folder}: the kernel has to offer them."
        )
    closed = [name for name in CONTROLLERS if not os.access(places[name], os.W_OK)]
    if closed:
        raise Missing(f"{folder} cannot be written: the container that this runs in needs its cgroups (--privileged).")


def kernel() -> None:
    """Traffic of the bridge has to pass iptables; pods' file systems are overlays."""
    for module in ("br_netfilter", "overlay"):
        succeeds("modprobe", module)  # built into some kernels, where there is nothing to load
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        raise Missing("The kernel has no br_netfilter, without which Services do not work.")
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        raise Missing("The kernel has no overlay file system, of which containers are made.")


def address() -> str:
    """The IPv4 address that the node is known by: the one of the default route, else any that is no loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of the documentation's network; nothing is sent
            found = str(probe.getsockname()[0])
        except OSError:
            found = next(iter(run("hostname", "-I").split()), "")
    if not found or found.startswith("127.") or ":" in found:
        raise Missing("The machine has no IPv4 address but the loopback's, and a node needs one.")
    return found


def free_ports(wanted: Iterable[int]) -> None:
    """Refuse to start beside another cluster, or whatever else holds a port of ours."""
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104  a taken port is found on whatever address it is
            except OSError:
                raise Missing(f"Port {port} is taken, and {PORTS[port]} needs it: stop what listens there.") from None
