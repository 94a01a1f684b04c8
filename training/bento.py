"""Puts a bundle into BentoML's model store and builds the bento that names it: ``python -m training.bento BUNDLE``.

A process of its own, started by ``training.package`` in the project's folder: BentoML keeps its home from the first
use on, and building imports the service, its metrics and its signal handlers.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import yaml
from bentoml.exceptions import BentoMLException, NotFound

from bentos.bundle import Bundle
from bentos.contract import CONTRACT_FILE
from bentos.errors import BundleError, PredictionDexError

BENTOFILE = Path("bentofile.yaml")
MANIFEST = "bento.yaml"
LOCK = Path("requirements/serving.txt")
CODE = Path("bentos")
REQUIREMENTS = Path("env/python/requirements.txt")
# A label of the bento that is written last: by it a bento is known to be finished.
MARK = "requirements"
_DIGITS = 12


def store(folder: Path) -> str:
    """Keep the bundle as a model; returns its tag, name:version-digest, which no other bundle can have.

    The contract holds the digest of every other file, so its own digest stands for the whole bundle. What the store
    holds of it in part, from a process that was killed, is stored anew.

    Raises:
        BundleError: the folder is not the bundle that was packed.
    """
    contract = Bundle.load(folder).contract
    digest = hashlib.sha256((folder / CONTRACT_FILE).read_bytes()).hexdigest()[:_DIGITS]
    # BentoML writes tags in lower case.
    tag = f"{contract.name}:{contract.version}-{digest}".lower()
    try:
        Bundle.load(Path(bentoml.models.get(tag).path))
    except (BentoMLException, BundleError):
        with contextlib.suppress(NotFound):
            bentoml.models.delete(tag)
        labels = {"run_id": contract.provenance.run_id, "git_commit": contract.provenance.git_commit}
        with bentoml.models.create(tag, labels=labels) as model:
            for name in [CONTRACT_FILE, *contract.files]:
                shutil.copyfile(folder / name, Path(model.path) / name)
    return tag


def build(project: Path, model: str) -> str:
    """Build the bento from ``bentofile.yaml`` with the exact model tag; returns its tag.

    Its version is the model's with a digest of model, code, lock, bentofile and the image's template, so the same
    bento is built once. One that a killed process left unfinished in the store is dropped.

    Raises:
        BentoMLException: BentoML cannot build it.
    """
    options = yaml.safe_load((project / BENTOFILE).read_text("utf-8"))
    options["models"] = [model]
    _, _, version = model.partition(":")
    name = str(options["service"]).rpartition(":")[2].lower()
    tag = f"{name}:{version.rpartition('-')[0]}-{_digest(project, model)}"
    if not _finished(tag):
        with contextlib.suppress(NotFound):
            bentoml.bentos.delete(tag)
        with tempfile.TemporaryDirectory(prefix="pdx-bento-") as scratch:
            file = Path(scratch) / BENTOFILE.name
            file.write_text(yaml.safe_dump(options), encoding="utf-8")
            bento = bentoml.bentos.build_bentofile(
                str(file), name=name, version=tag.partition(":")[2], build_ctx=str(project)
            )
        _drop_unpinned(Path(bento.path))
    return tag


def _digest(project: Path, model: str) -> str:
    sha = hashlib.sha256(model.encode())
    code = (file for file in (project / CODE).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    template = yaml.safe_load((project / BENTOFILE).read_text("utf-8"))["docker"]["dockerfile_template"]
    for file in [project / BENTOFILE, project / template, project / LOCK, *sorted(code)]:
        sha.update(f"\n{file.relative_to(project).as_posix()}\n".encode())
        sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()[:_DIGITS]


def _drop_unpinned(bento: Path) -> None:
    """Take out the second, hashless requirement of BentoML that it adds to any list of requirements.

    With it, an installer that asks for hashes refuses the whole list. The manifest is last and changes in one step.
    """
    file = bento / REQUIREMENTS
    file.write_text(_pinned(file.read_text("utf-8")), encoding="utf-8")
    table = _manifest(bento)
    # At its end, so that a manifest that was cut off is without it.
    table["labels"] = {**table.pop("labels"), MARK: "hash-pinned"}
    scratch = bento / f".{MANIFEST}"
    scratch.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")
    scratch.replace(bento / MANIFEST)


def _finished(tag: str) -> bool:
    """True where the store has the whole bento, up to the last step of ``_drop_unpinned``."""
    # Not asked of BentoML, whose own reader fails in ways of its own on a manifest that was cut off.
    try:
        return MARK in _manifest(Path(os.environ["BENTOML_HOME"]) / "bentos" / tag.replace(":", "/"))["labels"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return False


def _manifest(bento: Path) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((bento / MANIFEST).read_text("utf-8"))
    return table


def _pinned(text: str) -> str:
    line = f"bentoml=={bentoml.__version__}"
    return "".join(kept for kept in text.splitlines(keepends=True) if kept.strip() != line)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time in BentoML's home, or one would drop as unfinished what another has in work."""
    with (Path(os.environ["BENTOML_HOME"]) / ".predictiondex.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Print the two tags as one line of JSON, or one sentence on stderr with exit status 1."""
    try:
        with _alone():
            model = store(Path(sys.argv[1]))
            bento = build(Path.cwd(), model)
    except (BentoMLException, PredictionDexError) as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps({"model": model, "bento": bento}) + "\n")


if __name__ == "__main__":
    main()
