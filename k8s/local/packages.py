"""What Debian has: installed when it is missing, and never left running."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from k8s.local import progress
from k8s.local.commands import run, succeeds
from k8s.local.errors import ClusterError, Missing

# A program or file of each package, and the package.
NEEDED: Final = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables-save": "iptables",
    "modprobe": "kmod",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ebtables": "ebtables",
    "socat": "socat",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
SERVICES: Final = ("etcd", "containerd", "prometheus-alertmanager")
POLICY: Final = Path("/usr/sbin/policy-rc.d")
_INSTALL_S: Final = 900
# Of Debian's administrator, which a person's PATH may lack.
SEARCH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def program(name: str) -> str:
    """Path of an installed program.

    Raises:
        Missing: there is none.
    """
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise Missing(f"{name} is missing; on Debian: apt-get install {NEEDED.get(name, name)}.")
    return found


def missing(*programs: str) -> list[str]:
    """Packages that have to be installed for `programs`, or for everything; each once."""
    lacking = (NEEDED[name] for name in programs or NEEDED if shutil.which(name, path=SEARCH) is None)
    return list(dict.fromkeys(lacking))


def ensure(*programs: str) -> None:
    """Install what `programs`, or everything, lacks.

    Raises:
        Missing: this is no Debian, or apt-get does not get them.
    """
    lacking = missing(*programs)
    if not lacking:
        return
    if shutil.which("apt-get") is None:
        raise Missing(f"This machine has no apt-get; install by other means: {', '.join(lacking)}.")
    with progress.part(f"apt-get install {len(lacking)} packages"), _nothing_starts():
        try:
            _install(lacking)
        except ClusterError as error:
            raise Missing(f"apt-get could not install {', '.join(lacking)}: {error}") from None
    if Path("/run/systemd/system").is_dir():
        for service in SERVICES:
            # Not at the next boot either; a unit that is not there is no fault.
            succeeds("systemctl", "disable", "--now", service)


def _install(names: list[str]) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    command = ("apt-get", "install", "-q", "-y", "--no-install-recommends", *names)
    if not succeeds(*command, timeout_s=_INSTALL_S, environment=environment):
        # The lists are old or were never fetched.
        run("apt-get", "update", "-q", timeout_s=_INSTALL_S, environment=environment)
        run(*command, timeout_s=_INSTALL_S, environment=environment)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian's own way to install services without starting them; a policy that is there already stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
