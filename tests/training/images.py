"""Builds images as ``pdx image`` does, for tests that look into them or run them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from training import image
from training.image import Built, Options
from training.image_tool import choose
from training.package import PROJECT, package


def needed() -> None:
    """Skip where buildah, debootstrap or root is missing."""
    lacking = [
        name for name in ("buildah", "debootstrap") if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if lacking or os.geteuid() != 0:
        pytest.skip(
            f"images are built here by root with buildah and debootstrap; missing: {', '.join(lacking) or 'root'}"
        )


def base() -> str:
    """The stand-in for the public base."""
    needed()
    done = subprocess.run(
        [sys.executable, "-m", "k8s.images.base"], cwd=PROJECT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def built(
    folder: Path, upon: str, what: str = "serving", *, bundle: Path | None = None, project: Path = PROJECT,
    cached: bool = True,
) -> Built:  # fmt: skip
    """Build into ``folder/image.tar`` with buildah, which keeps layers and no image."""
    options = Options(
        upon, f"localhost/predictiondex/test-{what}", folder / "images", archive=folder / "image.tar", cached=cached
    )
    tool = choose("buildah")
    try:
        if bundle is not None:
            return image.serving(package(bundle, folder / "bentoml", project=project), options, tool)
        return {"training": image.training, "rollout": image.rollout}[what](options, tool)
    finally:
        record = folder / f"images/{what}.json"
        if record.is_file():
            reference = json.loads(record.read_text())["reference"]
            subprocess.run([tool.path, "rmi", "--force", reference], check=False, capture_output=True)
