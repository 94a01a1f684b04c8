"""The image of training, as a user builds it, one of PostgreSQL and one of an S3 store."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Final

from k8s.images import base
from k8s.local import build, paths
from k8s.local import images as programs
from k8s.local.commands import run
from k8s.local.parts import Part
from tests.e2e.images import Image
from training import image
from training.image_tool import Tool, choose

_DOCKERFILE: Final = Path(__file__).parent / "postgres.Dockerfile"
_EPOCH: Final = 1_700_000_000
_BUILD_S: Final = 900
_LOAD_S: Final = 300
_STORE: Final = Part(
    "versitygw",
    "versitygw",
    "github.com/versity/versitygw",
    ("github.com/versity/versitygw/cmd/versitygw",),
)


def training(folder: Path) -> Image:
    """What ``pdx image training`` builds of this checkout, given to the cluster; the archive lies in ``folder``."""
    archive = folder / "training.tar"
    words = ["image", "training", "--home", str(folder / "home"), "--base", _base(choose()), "--json"]
    pdx = Path(sys.executable).with_name("pdx")
    record = json.loads(run(pdx, *words, "--archive", archive, timeout_s=_BUILD_S))
    _load(archive)
    return Image(record["reference"], archive, "")


def postgres() -> Image:
    """PostgreSQL, given to the cluster; its archive is kept in the cache as long as nothing of it changes."""
    tool = choose()
    under = _base(tool)
    tag = hashlib.sha256(f"{under}\0{_DOCKERFILE.read_text()}".encode()).hexdigest()[:12]
    reference = f"localhost/predictiondex/postgres:{tag}"
    archive = paths.cache() / "images" / f"postgres-{tag}.tar"
    if not archive.is_file():
        archive.parent.mkdir(parents=True, exist_ok=True)
        context = archive.with_suffix(".context")
        context.mkdir(exist_ok=True)
        tool.build(
            context, reference, dockerfile=_DOCKERFILE, arguments={"BASE": under}, secrets={}, epoch=_EPOCH
        )  # fmt: skip
        context.rmdir()
        whole = archive.with_suffix(".part")
        tool.save(reference, whole)
        whole.rename(archive)
    _load(archive)
    return Image(reference, archive, "")


def store() -> Image:
    """versitygw, an S3 gateway of Apache's license, built of its Go modules once and given to the cluster."""
    build.ensure(_STORE)
    image = programs.Image(_STORE.name, {"/bin/versitygw": build.program(_STORE)}, "/bin/versitygw")
    archive = programs.archive(image)
    _load(archive)
    return Image(image.reference, archive, _STORE.version)


def _base(tool: Tool) -> str:
    """As for the images of serving: a registry's where there is an engine that pulls, and else the stand-in."""
    return os.environ.get("PDX_IMAGE_BASE") or (base.ensure() if tool.name == "buildah" else image.BASE)


def _load(archive: Path) -> None:
    run(sys.executable, "-m", "k8s.local", "load", archive, timeout_s=_LOAD_S)
