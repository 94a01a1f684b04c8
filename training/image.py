"""From a bento, or the checkout, to an image: built, measured, and listed in a bill of materials."""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from training import image_archive, image_context, image_pip, image_sbom
from training.image_context import Context
from training.image_tool import ImageError, Tool
from training.package import Package
from training.provenance import UNKNOWN, git_commit

BASE: Final = "docker.io/library/python:3.11-slim"
LARGEST: Final = {"serving": 600_000_000}  # bytes, unpacked: each new node pulls it before it answers


class What(StrEnum):
    """Which image."""

    SERVING = "serving"
    TRAINING = "training"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class Options:
    """How to build.

    Attributes:
        base: image that is built upon; one with a digest is the same for ever.
        repository: name of the image without a tag, a registry's where it is to be pushed.
        folder: where the record and the bill of materials go.
        archive: file that gets the image as ``docker save`` writes it, for a cluster without a registry.
        push: whether to push it.
        cached: whether a step that was done before may be taken from there.
    """

    base: str
    repository: str
    folder: Path
    archive: Path | None = None
    push: bool = False
    cached: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """The record of an image, which is written beside its bill of materials.

    Attributes:
        image: serving, training or rollout.
        reference: name and tag; the tag is the model's version and the code's.
        id: digest of the image's configuration, which names the digests of all layers: equal in every store.
        digest: digest of the manifest in the registry, which the chart takes as ``image.digest``; None until pushed.
        model: ``name:version`` of the model in it.
        revision: git commit of the code.
        size: bytes, unpacked.
        base: what it is built upon.
        tool: what built it.
        sbom: file of the bill of materials.
        archive: file of the image.
    """

    image: str
    reference: str
    id: str
    digest: str | None
    model: str | None
    revision: str
    size: int
    base: str
    tool: str
    sbom: str
    archive: str | None

    def complaint(self) -> str | None:
        """The sentence that says why this image should not be deployed, or None."""
        bound = LARGEST.get(self.image)
        if bound is None or self.size <= bound:
            return None
        return f"{self.reference} has {self.size / 1e6:.0f} MB unpacked, and may have {bound / 1e6:.0f} MB at most."

    def values(self) -> str:
        """The charts' values that name this image, as YAML; the digest is there once it was pushed."""
        repository, _, tag = self.reference.rpartition(":")
        named = {"repository": repository, "tag": tag} | ({"digest": self.digest} if self.digest else {})
        return "image:\n" + "".join(f"  {key}: {json.dumps(text)}\n" for key, text in named.items())


def serving(package: Package, options: Options, tool: Tool) -> Built:
    """Build the serving image of a bento.

    Raises:
        ImageError: it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="pdx-image-") as scratch:
        return _build(What.SERVING, image_context.serving(package, Path(scratch) / "context"), options, tool)


def training(options: Options, tool: Tool) -> Built:
    """Build the training image of the checkout.

    Raises:
        ImageError: it cannot be built.
        EngineError: the duel engine cannot be installed.
    """
    with tempfile.TemporaryDirectory(prefix="pdx-image-") as scratch:
        return _build(What.TRAINING, image_context.training(Path(scratch) / "context"), options, tool)


def rollout(options: Options, tool: Tool) -> Built:
    """Build the image of rollouts from the checkout and the programs of ``make tools``.

    Raises:
        ImageError: it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="pdx-image-") as scratch:
        return _build(What.ROLLOUT, image_context.rollout(Path(scratch) / "context"), options, tool)


def _build(what: What, context: Context, options: Options, tool: Tool) -> Built:
    contract = context.contract
    version = _code(context)
    tag = f"{contract.version}-{version}" if contract else version
    if contract and contract.expectation:
        # One version, bundled against another one, is another image.
        tag += f"-against-{contract.expectation.against_version}"
    reference = f"{options.repository}:{tag}"
    arguments = {"BASE": options.base, "VERSION": tag, "REVISION": git_commit()}
    if contract:
        arguments |= {"MODEL_NAME": contract.name, "MODEL_VERSION": contract.version}
    epoch = _epoch()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pdx-image-") as folder:
        scratch = Path(folder)
        tool.build(
            context.folder,
            reference,
            dockerfile=context.dockerfile,
            arguments=arguments,
            secrets=image_pip.secrets(scratch),
            epoch=epoch,
            cached=options.cached,
        )
        archive = options.archive or scratch / "image.tar"
        archive.parent.mkdir(parents=True, exist_ok=True)
        tool.save(reference, archive)
        contents = image_archive.read(archive)
        digest = tool.push(reference, scratch) if options.push else None
    bill = options.folder / f"{what}.cdx.json"
    bill.write_text(image_sbom.document(options.repository, tag, contents, epoch, contract), encoding="utf-8")
    built = Built(
        image=str(what),
        reference=reference,
        id=contents.id,
        digest=digest,
        model=f"{contract.name}:{contract.version}" if contract else None,
        revision=arguments["REVISION"],
        size=contents.size,
        base=options.base,
        tool=tool.name,
        sbom=str(bill),
        archive=str(options.archive) if options.archive else None,
    )
    (options.folder / f"{what}.json").write_text(json.dumps(asdict(built), indent=1) + "\n", encoding="utf-8")
    if what is not What.ROLLOUT:
        (options.folder / f"{what}.values.yaml").write_text(built.values(), encoding="utf-8")
    return built


def _code(context: Context) -> str:
    """The code's version as git describes it; changes that are not committed are told apart by what they come to."""
    try:
        described = image_context.git("describe", "--tags", "--always", "--abbrev=12", "--dirty").strip()
    except (OSError, subprocess.SubprocessError):
        described = git_commit()[:12]
    if described == UNKNOWN or described.endswith("-dirty"):
        described += f".{context.digest()}"
    # A tag has these letters alone; git's may have slashes.
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in described)


def _epoch() -> int:
    """The time that everything in the image has: SOURCE_DATE_EPOCH, or that of the commit, or 1980.

    Raises:
        ImageError: SOURCE_DATE_EPOCH is no number.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        if not given.isdecimal():
            raise ImageError(f"SOURCE_DATE_EPOCH is seconds since 1970, not {given!r}.")
        return int(given)
    try:
        return int(image_context.git("log", "-1", "--format=%ct"))
    except (OSError, subprocess.SubprocessError, ValueError):
        return 315_532_800
