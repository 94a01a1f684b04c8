"""What an image is built from: a folder with exactly what its Dockerfile copies."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bentos.contract import CONTRACT_FILE, Contract
from training.image_tool import ImageError
from training.package import PROJECT, Package

_EXPORT_S: Final = 120
_GIT_S: Final = 30
_CODE: Final = ("bentos", "training", "pyproject.toml", "LICENSE", "NOTICE")


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
        """Eight hex digits over every file that an image may copy."""
        state = hashlib.sha256()
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

    try:
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_CODE)
    except (OSError, subprocess.SubprocessError):
        raise ImageError("The training image is built from a git checkout, and this is none.") from None
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file():
            target = folder / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    engine.install(lambda _: None)
    # npm's own list names the registry.
    shutil.copytree(
        engine.ENGINE / "node_modules",
        folder / "engine/node_modules",
        symlinks=True,
        ignore=shutil.ignore_patterns(".package-lock.json", ".bin", ".cache"),
    )
    shutil.copyfile(PROJECT / "requirements/training.txt", folder / "requirements.txt")
    return Context(folder, PROJECT / "k8s/images/training.Dockerfile")


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
