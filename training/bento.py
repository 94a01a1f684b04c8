"""Puts a bundle into BentoML's model store and builds the bento that names it: ``python -m training.bento BUNDLE``.

A process of its own, started by ``training.package`` in the project's folder: BentoML keeps its home from the first
use on, and building imports the service, its metrics and its signal handlers.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import bentoml
import yaml
from bentoml.exceptions import BentoMLException, NotFound

from bentos.bundle import Bundle
from bentos.contract import CONTRACT_FILE
from bentos.errors import PredictionDexError

BENTOFILE = Path("bentofile.yaml")
LOCK = Path("requirements/serving.txt")
CODE = Path("bentos")
_DIGITS = 12


def store(folder: Path) -> str:
    """Keep the bundle as a model; returns its tag, name:version-digest, which no other bundle can have.

    The contract holds the digest of every other file, so its own digest stands for the whole bundle.

    Raises:
        BundleError: the folder, or what the store holds under the tag, is not the bundle that was packed.
    """
    contract = Bundle.load(folder).contract
    digest = hashlib.sha256((folder / CONTRACT_FILE).read_bytes()).hexdigest()[:_DIGITS]
    # BentoML writes tags in lower case.
    tag = f"{contract.name}:{contract.version}-{digest}".lower()
    try:
        kept = Path(bentoml.models.get(tag).path)
    except NotFound:
        labels = {"run_id": contract.provenance.run_id, "git_commit": contract.provenance.git_commit}
        with bentoml.models.create(tag, labels=labels) as model:
            for name in [CONTRACT_FILE, *contract.files]:
                shutil.copyfile(folder / name, Path(model.path) / name)
    else:
        Bundle.load(kept)
    return tag


def build(project: Path, model: str) -> str:
    """Build the bento from ``bentofile.yaml`` with the exact model tag; returns its tag.

    Its version is the model's with a digest of model, code, lock and bentofile, so the same bento is built once.

    Raises:
        BentoMLException: BentoML cannot build it.
    """
    options = yaml.safe_load((project / BENTOFILE).read_text("utf-8"))
    options["models"] = [model]
    _, _, version = model.partition(":")
    name = str(options["service"]).rpartition(":")[2].lower()
    tag = f"{name}:{version.rpartition('-')[0]}-{_digest(project, model)}"
    try:
        bentoml.bentos.get(tag)
    except NotFound:
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
    for file in [project / BENTOFILE, project / LOCK, *sorted(code)]:
        sha.update(f"\n{file.relative_to(project).as_posix()}\n".encode())
        sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()[:_DIGITS]


def _drop_unpinned(bento: Path) -> None:
    """Take out the second, hashless requirement of BentoML that it adds to any list of requirements.

    With it, an installer that asks for hashes refuses the whole list.
    """
    line = f"bentoml=={bentoml.__version__}"
    for file in (bento / "env/python/requirements.txt", bento / "env/python/requirements.in"):
        file.write_text(_without(file.read_text("utf-8"), line), encoding="utf-8")
    manifest = bento / "bento.yaml"
    table = yaml.safe_load(manifest.read_text("utf-8"))
    table["image"]["python_requirements"] = _without(table["image"]["python_requirements"], line)
    manifest.write_text(yaml.safe_dump(table, sort_keys=False), encoding="utf-8")


def _without(text: str, line: str) -> str:
    return "".join(kept for kept in text.splitlines(keepends=True) if kept.strip() != line)


def main() -> None:
    """Print the two tags as one line of JSON, or one sentence on stderr with exit status 1."""
    try:
        model = store(Path(sys.argv[1]))
        bento = build(Path.cwd(), model)
    except (BentoMLException, PredictionDexError) as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps({"model": model, "bento": bento}) + "\n")


if __name__ == "__main__":
    main()
