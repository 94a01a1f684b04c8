"""What an image is built from: a folder with exactly what its Dockerfile copies."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bentos.contract import CONTRACT_FILE, Contract
from training import image_go
from training.image_tool import ImageError
from training.package import PROJECT, Package

_EXPORT_S: Final = 120
_GIT_S: Final = 30
_CODE: Final = {
    # Of the load tests only their generator of requests, which references for drift are made from.
    "training": (
        "bentos",
        "training",
        "loadtests/__init__.py",
        "loadtests/requests.py",
        "pyproject.toml",
        "LICENSE",
        "NOTICE",
    ),
    # Without what makes clusters and images, which takes a checkout and is no part of a rollout.
    "rollout": ("bentos", "k8s", ":(exclude)k8s/images", ":(exclude)k8s/local", "LICENSE", "NOTICE"),
}
_PROGRAMS: Final = PROJECT / ".pdx/bin"  # where `make tools` puts them
# Sources and source maps, two thirds of the engine; and npm's own list, which names the registry.
_NOT_RUN: Final = ("*.ts", "*.map", ".package-lock.json", ".bin", ".cache")


@dataclass(frozen=True, slots=True)
class Context:
    """A staged folder.

    Attributes:
        folder: what COPY reads from.
        dockerfile: what is done with it.
        contract: of the model that goes in, for serving.
    """

    folder: Path
    dockerfile: Path
    contract: Contract | None = None

    def digest(self) -> str:
        """Eight hex digits over every file that an image may copy, and what is done with them."""
        state = hashlib.sha256(self.dockerfile.read_bytes())
        for path in sorted(self.folder.rglob("*")):
            # BentoML writes the time into these, and no image has them.
            if path.is_file() and path.name not in {"bento.yaml", "model.yaml"}:
                state.update(f"{path.relative_to(self.folder)}\0".encode())
                state.update(hashlib.sha256(path.read_bytes()).digest())
        return state.hexdigest()[:8]


def serving(package: Package, folder: Path) -> Context:
    """Unpack an exported bento: a stored one holds only the tag of its model.

    Raises:
        ImageError: BentoML cannot export it.
    """
    home = package.folder.parents[2]
    with tempfile.TemporaryDirectory(prefix="pdx-image-") as scratch:
        archive = Path(scratch) / "bento.tar.gz"
        done = subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, "-m", "bentoml", "export", package.bento, str(archive)],
            env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_EXPORT_S,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            raise ImageError(f"BentoML cannot export {package.bento}: {lines[-1]}")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    model = folder / "models" / package.model.replace(":", "/")
    contract = Contract.model_validate_json((model / CONTRACT_FILE).read_bytes())
    return Context(folder, folder / "env/docker/Dockerfile", contract)


def training(folder: Path) -> Context:
    """Copy the checkout's code, as far as git does not ignore it, the lock, and the installed duel engine.

    Raises:
        ImageError: this is no checkout, or git is missing.
        EngineError: the engine is not installed.
    """
    from training.dataset import engine

    _stage("training", folder)
    engine.install(lambda _: None)
    modules = folder / "engine/node_modules"
    shutil.copytree(engine.ENGINE / "node_modules", modules, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_RUN))
    shutil.copyfile(PROJECT / "requirements/training.txt", folder / "requirements.txt")
    _make_readable(folder)
    return Context(folder, PROJECT / "k8s/images/training.Dockerfile")


def rollout(folder: Path, programs: Path = _PROGRAMS) -> Context:
    """Copy the code of rollouts, the lock of their packages, helm and kubectl.

    Raises:
        ImageError: this is no checkout, or helm or kubectl is missing or needs libraries of this machine.
    """
    (folder / "bin").mkdir(parents=True)
    for name in ("helm", "kubectl"):
        if not (programs / name).is_file():
            raise ImageError(f"The image of rollouts takes {name} from {programs}, where it is missing; `make tools`.")
        if not image_go.is_static(programs / name):
            raise ImageError(
                f"{(programs / name).resolve()} is no static 64-bit program of Linux, as the image of rollouts needs "
                f"it; without {name} on PATH, `make tools` builds one."
            )
        shutil.copyfile(programs / name, folder / "bin" / name)
        (folder / "bin" / name).chmod(0o755)
    _stage("rollout", folder)
    shutil.copyfile(PROJECT / "requirements/k8s.txt", folder / "requirements.txt")
    _make_readable(folder)
    return Context(folder, PROJECT / "k8s/images/rollout.Dockerfile")


def _stage(what: str, folder: Path) -> None:
    """Copy the checkout's code into ``src``, as far as git does not ignore it."""
    try:
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_CODE[what])
    except (OSError, subprocess.SubprocessError):
        raise ImageError(f"The image of {what} is built from a git checkout, and this is none.") from None
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file():
            target = folder / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _make_readable(folder: Path) -> None:
    """Let everybody read, and root alone write, whatever the umask of this machine is."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def git(*words: str) -> str:
    """What git says of the checkout.

    Raises:
        OSError, subprocess.SubprocessError: it is missing, or this is no checkout.
    """
    return subprocess.run(  # noqa: S603
        ["git", "-C", str(PROJECT), *words],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=_GIT_S,
        check=True,
    ).stdout
