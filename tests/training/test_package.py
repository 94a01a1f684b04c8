"""A bento is built without a network, names its model by the exact tag, and takes the model along when exported."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.bundle import Bundle
from bentos.contract import CONTRACT_FILE
from tests import bundles, killed
from training import package as package_module
from training.package import PROJECT, Package, PackageError, package


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="module")
def made(folder: Path, home: Path) -> Package:
    with pytest.MonkeyPatch.context() as patch:
        # No uv to be found, and no network to fetch one from.
        patch.setenv("PATH", "/usr/bin:/bin")
        patch.setenv("PIP_NO_INDEX", "1")
        return package(folder, home)


def manifest(made: Package) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((made.folder / "bento.yaml").read_text("utf-8"))
    return table


def test_bento_names_the_exact_model(made: Package) -> None:
    name, _, number = made.model.partition(":")
    assert (name, number.partition("-")[0]) == ("battle", "1")
    assert [model["tag"] for model in manifest(made)["models"]] == [made.model]
    assert manifest(made)["service"] == "bentos.service:PredictionDex"
    assert f"predictiondex:{made.folder.name}" == made.bento


def test_stored_model_is_the_bundle(made: Package, home: Path, folder: Path) -> None:
    kept = home / "models" / made.model.replace(":", "/")
    assert Bundle.load(kept).contract == Bundle.load(folder).contract


def test_bento_holds_serving_and_nothing_else(made: Package) -> None:
    packed = {file.relative_to(made.folder / "src").as_posix() for file in (made.folder / "src").rglob("*.py")}
    code = {file.relative_to(PROJECT).as_posix() for file in (PROJECT / "bentos").rglob("*.py")}
    assert packed == code


def test_requirements_are_the_lock(made: Package) -> None:
    lock = (PROJECT / "requirements" / "serving.txt").read_text("utf-8")
    text = (made.folder / "env" / "python" / "requirements.txt").read_text("utf-8")
    assert requirements(text) == requirements(lock)


def requirements(text: str) -> list[str]:
    """Requirements with their hashes, a line each; BentoML spells markers its own way."""
    lines = text.replace("\\\n", " ").splitlines()
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [" ".join(line.replace(" ;", ";").replace("'", '"').split()) for line in kept]


def test_exported_bento_takes_its_model_along(made: Package, home: Path, tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "bento.tar.gz"
    subprocess.run(
        [sys.executable, "-m", "bentoml", "export", made.bento, str(out)],
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (found,) = tmp_path.glob("bento*")
    with tarfile.open(found) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (contract,) = (tmp_path / "unpacked").rglob("contract.json")
    assert contract.parent.as_posix().endswith("models/" + made.model.replace(":", "/"))
    assert Bundle.load(contract.parent).contract == Bundle.load(folder).contract


def test_same_bundle_and_code_are_the_same_bento(made: Package, folder: Path, home: Path) -> None:
    before = (made.folder / "bento.yaml").stat().st_mtime_ns
    assert package(folder, home) == made
    assert (made.folder / "bento.yaml").stat().st_mtime_ns == before


def test_other_bundle_is_another_model_and_bento(made: Package, folder: Path, home: Path, tmp_path: Path) -> None:
    other = package(bundles.write(tmp_path / "bundle", metrics={"accuracy": 0.5}), home)
    assert other.model != made.model
    assert other.bento != made.bento
    assert [model["tag"] for model in manifest(other)["models"]] == [other.model]
    # The model stored last is the other one now; a bento of the first must not take it.
    shutil.rmtree(made.folder)
    assert package(folder, home) == made
    assert [model["tag"] for model in manifest(made)["models"]] == [made.model]


def leave_line(made: Package) -> None:
    """As BentoML leaves a bento, before the second requirement of it is taken out."""
    table = manifest(made)
    del table["labels"]["requirements"]
    (made.folder / "bento.yaml").write_text(yaml.safe_dump(table))
    with (made.folder / "env" / "python" / "requirements.txt").open("a") as file:
        file.write(f"bentoml=={version('bentoml')}\n")


def leave_half(made: Package) -> None:
    shutil.rmtree(made.folder / "src")
    leave_line(made)


def leave_nothing(made: Package) -> None:
    shutil.rmtree(made.folder)
    made.folder.mkdir()


def leave_cut_manifest(made: Package) -> None:
    file = made.folder / "bento.yaml"
    file.write_bytes(file.read_bytes()[:200])


@pytest.mark.parametrize("leave", [leave_line, leave_half, leave_nothing, leave_cut_manifest])
def test_a_bento_that_a_killed_process_left_is_built_again(
    leave: Callable[[Package], None], made: Package, folder: Path, home: Path
) -> None:
    leave(made)
    assert package(folder, home) == made
    test_requirements_are_the_lock(made)
    test_bento_holds_serving_and_nothing_else(made)
    test_bento_names_the_exact_model(made)


@pytest.mark.parametrize("left", ["contract.json", "model.yaml"])
def test_a_model_that_a_killed_process_left_is_stored_again(left: str, made: Package, folder: Path, home: Path) -> None:
    kept = home / "models" / made.model.replace(":", "/")
    for file in kept.iterdir():
        if file.name != left:
            file.unlink()
    assert package(folder, home) == made
    test_stored_model_is_the_bundle(made, home, folder)


def test_two_at_once_make_the_same_bento(folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: package(folder, tmp_path), range(2))
    assert first == second


def test_a_bundle_that_a_killed_process_moved_aside_is_packed(
    made: Package, folder: Path, home: Path, tmp_path: Path
) -> None:
    mine = Path(shutil.copytree(folder, tmp_path / "bundle"))
    killed.while_replacing(mine, CONTRACT_FILE)
    assert not mine.exists()
    assert package(mine, home) == made


def test_a_build_that_takes_too_long_is_one_sentence(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_module, "_SECONDS", 0.01)
    with pytest.raises(PackageError, match=r"The bento was not built within 0\.01 s"):
        package(folder, home)


def test_changed_bundle_is_not_packed(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle")
    (folder / "card.md").write_text("# Better than it is\n")
    with pytest.raises(PackageError, match=r"'card\.md' is not the file that was packed"):
        package(folder, tmp_path / "home")
    assert not list((tmp_path / "home").rglob("contract.json"))


def test_project_without_a_bentofile_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"has no bentofile\.yaml"):
        package(folder, tmp_path / "home", project=tmp_path)


def test_command_prints_what_it_built(made: Package, folder: Path, home: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from training.cli import main; main()", "package", "--bundle", str(folder)],
        env={**os.environ, "BENTOML_HOME": str(home), "PDX_HOME": str(tmp_path)},
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert made.model in done.stdout
    assert made.bento in done.stdout
