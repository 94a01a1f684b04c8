"""A stand-in for ``python:3.11-slim`` where no registry can be reached: ``python -m k8s.images.base`` prints its name.

Debian's minimal system with its Python and the names ``python`` and ``python3``, made by debootstrap from Debian's
archive as root, in about a minute. The archive of the image is kept in the cache and imported again from there, so the
images built upon it keep their digests. What people deploy is built on the public image instead.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from k8s.local.commands import run, succeeds
from k8s.local.errors import ClusterError
from k8s.local.packages import program
from k8s.local.paths import cache

SUITE: Final = "bookworm"  # its Python is 3.11
PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
REFERENCE: Final = f"localhost/predictiondex/base:{SUITE}"
# What a running container needs none of. The list of packages stays: the bill of materials is read from it.
_DROPPED: Final = (
    "usr/share/doc/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*", "usr/share/lintian/*",
    "var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/*", "var/lib/apt/lists/*", "var/log/*.log",
    "var/log/apt/*", "etc/resolv.conf", "etc/hostname",
)  # fmt: skip
_BOOTSTRAP_S: Final = 600
_COPY_S: Final = 300


def ensure() -> str:
    """Have the base in buildah's store, from the cache or made anew; returns its reference.

    Raises:
        ClusterError: buildah or debootstrap is missing or fails, or this is not root; one sentence says which.
    """
    buildah = program("buildah")
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, _DROPPED)).encode()).hexdigest()[:12]
    reference = f"{REFERENCE}-{recipe}"
    kept = cache() / "images" / f"base-{recipe}.tar"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="pdx-base-") as folder:
            _make(buildah, Path(folder), kept, reference)
    elif not succeeds(buildah, "inspect", "--type", "image", reference):
        run(buildah, "pull", "--quiet", f"docker-archive:{kept}", timeout_s=_COPY_S)
    return reference


def _make(buildah: str, folder: Path, kept: Path, reference: str) -> None:
    root = folder / "root"
    include = f"--include={','.join(PACKAGES)}"
    run(program("debootstrap"), "--variant=minbase", include, SUITE, root, timeout_s=_BOOTSTRAP_S)
    for pattern in _DROPPED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    container = run(buildah, "from", "scratch").strip()
    try:
        mounted = run(buildah, "mount", container).strip()
        # tar keeps owners, modes and hard links.
        with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packing:  # noqa: S607
            subprocess.run(["tar", "-C", mounted, "-x", "-p"], stdin=packing.stdout, check=True)  # noqa: S607
        run(buildah, "config", "--cmd", "python3", container)
        plain = ("--quiet", "--identity-label=false", "--timestamp", "0")
        run(buildah, "commit", *plain, container, reference, timeout_s=_COPY_S)
    finally:
        run(buildah, "rm", container)
    scratch = kept.with_name(f".{kept.name}")
    scratch.unlink(missing_ok=True)
    run(buildah, "push", reference, f"docker-archive:{scratch}:{reference}", timeout_s=_COPY_S)
    scratch.replace(kept)


def main() -> int:
    """Print the reference, or one sentence on stderr with exit status 1."""
    try:
        reference = ensure()
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{reference}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
