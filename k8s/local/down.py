"""Takes the single node away: no process, mount, interface or rule stays.

Nothing of a node is kept, so nothing has to end gently: whatever a crash left behind is treated alike.
"""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from k8s.local import before, identity, node, packages, paths, processes, progress, require, rules
from k8s.local.commands import run, succeeds, wait
from k8s.local.prove import our_processes, volatile_mounts

_GONE_WITHIN_S: Final = 30
_CNI_RESULTS: Final = Path("/var/lib/cni/results")
_CONTAINER_LOGS: Final = Path("/var/log/containers")


def is_there() -> bool:
    """Whether anything of a node is on this machine, of whatever checkout."""
    return paths.RUN.exists() or paths.DATA.exists()


def clean() -> None:
    """Remove everything of the node.

    Raises:
        NotReady: a process or a mount does not go away.
    """
    sockets = _shim_sockets()
    with progress.part("stop processes"):
        _kill()
    with progress.part("unmount"):
        _unmount()
    with progress.part("remove interfaces, rules and cgroups"):
        if identity.of_this_boot():
            # After another start of the machine, Kubernetes' rules would be somebody else's.
            _remove_links()
            rules.remove()
            _remove_cgroups()
            before.restore()
    with progress.part("remove files"):
        for socket in sockets:
            socket.unlink(missing_ok=True)
        for result in _CNI_RESULTS.glob(f"{node.NETWORK}-*"):
            result.unlink()
        for link in _CONTAINER_LOGS.glob("*"):
            if link.is_symlink() and link.readlink().is_relative_to(paths.DATA):
                link.unlink()
        for folder in (paths.DATA, paths.RUN):
            if folder.exists():
                shutil.rmtree(folder)


def _kill() -> None:
    """The kubelet first, or it would start again what ends."""
    killed = [
        processes.kill(file) for file in sorted(processes.PIDS.glob("*.json"), key=lambda path: path.stem != "kubelet")
    ]

    def none_left() -> bool:
        for found in our_processes():
            try:
                os.kill(found.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not our_processes()

    wait("The end of the cluster's processes", none_left, _GONE_WITHIN_S)
    for pid in filter(None, killed):
        # Only where this very program started them; otherwise they are long init's.
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _unmount() -> None:
    def none_left() -> bool:
        # What was mounted last lies uppermost.
        for place in reversed(volatile_mounts()):
            if not succeeds("umount", place):
                succeeds("umount", "--lazy", place)
        return not volatile_mounts()

    wait("The unmounting of the pods' volumes", none_left, _GONE_WITHIN_S)


def _remove_links() -> None:
    """The pods' ends went with their namespaces; the bridge is ours, and any end that still hangs on it."""
    ip = packages.program("ip")
    if not Path("/sys/class/net", node.BRIDGE).exists():
        return
    for port in Path("/sys/class/net", node.BRIDGE, "brif").glob("*"):
        succeeds(ip, "link", "delete", port.name)
    run(ip, "link", "delete", node.BRIDGE)


def _remove_cgroups() -> None:
    for top in (require.CGROUPS / "kubepods", *require.CGROUPS.glob("*/kubepods")):
        groups = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        if any((group / "cgroup.procs").read_text() for group in groups):
            continue  # ours have ended: another Kubernetes has these

        def removed(groups: list[Path] = groups) -> bool:
            for group in groups:
                try:
                    group.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:  # the kernel still lets its last process go
                    return False
            return True

        wait(f"The removal of {top}", removed, _GONE_WITHIN_S)


def _shim_sockets() -> list[Path]:
    """Sockets of containerd's shims, which lie where all containerds of the machine have theirs."""
    files = paths.RUN.glob("containerd/io.containerd.runtime.v2.task/*/*/address")
    return [Path(file.read_text().strip().removeprefix("unix://")) for file in files]
