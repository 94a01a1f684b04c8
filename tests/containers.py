"""Runs an image from its archive as a kubelet would: its own user as PID 1, no capability, a root that is read-only.

runc alone is needed for it, as root, and no daemon. The network is the machine's, so callers pass free ports.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_NAMESPACES = ("pid", "ipc", "uts", "mount")
_STOP_WITHIN_S = 30


def missing() -> str | None:
    """Why no container can be run here, or None."""
    if os.geteuid() != 0:
        return "containers are run as root"
    return None if shutil.which("runc") else "runc is not installed"


def unpack(archive: Path, root: Path) -> dict[str, Any]:
    """Unpack the layers of an archive that has no whiteouts; returns the image's configuration."""
    root.mkdir()
    with tarfile.open(archive) as outer:
        outer.extractall(root.parent, filter="tar")
    manifest = json.loads((root.parent / "manifest.json").read_text("utf-8"))[0]
    for layer in manifest["Layers"]:
        subprocess.run(["tar", "-C", root, "-x", "-p", "-f", root.parent / layer], check=True)
    configuration: dict[str, Any] = json.loads((root.parent / manifest["Config"]).read_text("utf-8"))["config"]
    return configuration


def volume(folder: Path, configuration: Mapping[str, Any]) -> Path:
    """Make a folder that belongs to the image's user, as a kubelet does by fsGroup; returns it."""
    user, _, group = configuration["User"].partition(":")
    folder.mkdir(parents=True)
    os.chown(folder, int(user), int(group or user))
    return folder


@contextmanager
def running(
    root: Path,
    configuration: Mapping[str, Any],
    *words: str,
    variables: Mapping[str, str],
    entrypoint: Sequence[str] | None = None,
    volumes: Mapping[str, Path] | None = None,
    output: IO[str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the entrypoint with further words; killed at the end where it still runs.

    Args:
        root: the unpacked image; several containers may run on it.
        configuration: of the image.
        words: arguments of the entrypoint.
        variables: set beside those of the image.
        entrypoint: instead of the image's, as a pod's ``command``.
        volumes: folders that may be written, by the path of their mount.
        output: gets stdout and stderr; the test's own by default.
    """
    user, _, group = configuration["User"].partition(":")
    tmpfs = ["nosuid", "nodev", "mode=1777"]
    spec = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": int(user), "gid": int(group or user)},
            "args": [*(entrypoint or configuration["Entrypoint"]), *words],
            "env": [*configuration["Env"], *(f"{name}={value}" for name, value in variables.items())],
            "cwd": configuration["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {},
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": tmpfs},  # noqa: S108
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": tmpfs},  # noqa: S108
            *(
                {"destination": inside, "type": "bind", "source": str(folder), "options": ["rbind", "nosuid", "nodev"]}
                for inside, folder in (volumes or {}).items()
            ),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES]},
    }
    name = f"pdx-{uuid.uuid4().hex[:12]}"
    bundle = root.parent / name
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(spec))
    process = subprocess.Popen(["runc", "run", "--bundle", bundle, name], stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            subprocess.run(["runc", "kill", name, "KILL"], check=False, capture_output=True)
            process.wait(_STOP_WITHIN_S)
        subprocess.run(["runc", "delete", "--force", name], check=False, capture_output=True)
        shutil.rmtree(bundle)


def wait_for_python(process: subprocess.Popen[bytes], within_s: float = 20) -> None:
    """Wait until the container's first process has a handler for SIGTERM, by the mask that the kernel shows."""
    tasks = Path(f"/proc/{process.pid}/task")  # any thread of runc may have started it
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        # Threads and processes may end while they are looked at.
        with contextlib.suppress(OSError, StopIteration):
            for child in [child for task in tasks.glob("*/children") for child in task.read_text().split()]:
                status = Path(f"/proc/{child}/status").read_text()
                caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
                words = Path(f"/proc/{child}/cmdline").read_bytes()
                if b"-m\0bentos" in words and int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
                    return
        time.sleep(0.005)
    raise AssertionError(f"no handler for SIGTERM was set within {within_s} s")
