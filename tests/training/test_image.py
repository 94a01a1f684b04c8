"""Images are built of what they need and nothing of this machine, the same again from the same inputs, and run."""

import dataclasses
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bentos.bundle import Bundle
from tests import bundles
from tests.training import images
from training import image, image_archive, image_pip, image_sbom
from training.image import Built, Options
from training.image_archive import Package
from training.image_tool import ImageError, NoTool, Tool, choose
from training.package import PROJECT, package

PASSWORD = "tell-nobody"


def program(folder: Path, name: str, status: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nexit {status}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        ({"docker": 0, "podman": 0, "buildah": 0}, "docker"),
        ({"docker": 1, "podman": 0, "buildah": 0}, "podman"),
        ({"docker": 1, "buildah": 0}, "buildah"),
    ],
)
def test_the_first_tool_that_answers_builds(
    statuses: dict[str, int], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, status in statuses.items():
        program(tmp_path / "bin", name, status)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert choose() == Tool(chosen, str(tmp_path / "bin" / chosen))


def test_no_tool_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "docker", 1)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(NoTool, match="docker, podman or buildah, and none of them can be used here"):
        choose()
    with pytest.raises(NoTool, match="docker is not installed or does not answer"):
        choose("docker")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only settings of pip are those of a test; returns its home."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name in {*image_pip._CERTIFICATES, "HTTPS_PROXY", "https_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(image_pip, "_files", lambda files=image_pip._files: files()[1:])
    return tmp_path


def test_pip_s_settings_are_taken_in_pip_s_order(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings / "config/pip").mkdir(parents=True)
    (settings / "certificates").write_text("CERTIFICATE")
    (settings / "config/pip/pip.conf").write_text(
        f"[global]\nindex-url = https://file.invalid\nproxy = http://proxy.invalid\nfind-links = /here\n"
        f"cert = {settings / 'certificates'}\n"
    )
    monkeypatch.setenv("UV_INDEX_URL", "https://uv.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "http://other.invalid")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.invalid")
    made = image_pip.secrets(settings)
    assert made["pip"].read_text().split("\n")[:4] == [
        "[global]",
        "index-url = https://variable.invalid",
        "proxy = http://proxy.invalid",
        "cert = /run/secrets/ca.crt",
    ]
    assert made["ca"].read_text() == "CERTIFICATE"
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.values()} == {0o600}


def test_a_machine_without_settings_gives_pip_none(settings: Path) -> None:
    made = image_pip.secrets(settings)
    assert made["pip"].read_text().strip() == "[global]"
    assert made["ca"].read_bytes() == b""


@pytest.mark.parametrize(
    ("part", "url"),
    [
        (Package("pypi", "typing_extensions", "4.15.0"), "pkg:pypi/typing-extensions@4.15.0"),
        (Package("deb", "libstdc++6", "1:12.2-1+b1", architecture="amd64"),
         "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2-1%2Bb1?arch=amd64"),
        (Package("golang", "github.com/Masterminds/semver/v3", "v3.4.0"),
         "pkg:golang/github.com/masterminds/semver/v3@v3.4.0"),
        (Package("npm", "@types/node", "20.1.0"), "pkg:npm/%40types/node@20.1.0"),
    ],
)  # fmt: skip
def test_package_urls_are_those_of_the_specification(part: Package, url: str) -> None:
    assert image_sbom.purl(part) == url


def test_a_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ImageError, match="SOURCE_DATE_EPOCH is seconds since 1970, not 'yesterday'"):
        image._epoch()


@pytest.fixture(scope="module")
def base() -> str:
    return images.base()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a lock that names no package, so that a build takes seconds and no network."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "bentos", project / "bentos", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "k8s/images", project / "k8s/images")
    shutil.copy(PROJECT / "bentofile.yaml", project)
    (project / "requirements").mkdir()
    (project / "requirements/serving.txt").write_text("# nothing\n")
    return project


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path, small: Path, base: str
) -> Iterator[tuple[Built, Path]]:
    """An image built on a machine whose index wants a password."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_INDEX_URL", f"https://user:{PASSWORD}@index.invalid/simple")
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        yield images.built(folder, base, bundle=bundle, project=small), folder / "image.tar"


def test_same_inputs_make_the_same_image(
    first: tuple[Built, Path], tmp_path: Path, bundle: Path, small: Path, base: str
) -> None:
    again = images.built(tmp_path, base, bundle=bundle, project=small, cached=False)
    assert (again.reference, again.id) == (first[0].reference, first[0].id)


def test_image_says_what_it_is(first: tuple[Built, Path]) -> None:
    made, archive = first
    configuration = image_archive.read(archive).configuration["config"]
    assert configuration["User"] == "65532:65532"
    assert configuration["Entrypoint"] == ["/app/venv/bin/python", "-m", "bentos"]
    assert {"HOME=/tmp", "PDX_BUNDLE=/app/bundle"} < set(configuration["Env"])
    assert [value for value in configuration["Env"] if "$" in value] == []
    assert set(configuration["ExposedPorts"]) == {"3000/tcp", "3001/tcp", "3002/tcp"}
    labels = configuration["Labels"]
    tag = made.reference.partition(":")[2]
    assert tag.startswith("1-")
    assert labels["org.opencontainers.image.version"] == tag
    assert labels["org.opencontainers.image.revision"] == made.revision
    assert (labels["predictiondex.model.name"], labels["predictiondex.model.version"]) == ("battle", "1")
    assert made.model == "battle:1"


def test_what_changes_most_comes_last(first: tuple[Built, Path]) -> None:
    layers = {
        folder: {number for number, name, _, _ in image_archive.files(first[1]) if name.startswith(f"app/{folder}/")}
        for folder in ("venv", "src", "bundle")
    }
    assert [len(numbers) for numbers in layers.values()] == [1, 1, 1]
    assert max(layers["venv"]) < max(layers["src"]) < max(layers["bundle"])


def test_image_holds_the_bundle_and_the_code_alone(first: tuple[Built, Path], bundle: Path, tmp_path: Path) -> None:
    for _, name, _, content in image_archive.files(first[1]):
        path = tmp_path / name
        if name.startswith(("app/bundle/", "app/src/")) and path.suffix != ".pyc":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content())
    assert Bundle.load(tmp_path / "app/bundle").contract == Bundle.load(bundle).contract
    assert sorted(path.name for path in (tmp_path / "app/bundle").iterdir()) == sorted(
        path.name for path in bundle.iterdir()
    )
    packed = {path.relative_to(tmp_path / "app/src").as_posix() for path in (tmp_path / "app/src").rglob("*.py")}
    assert packed == {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "bentos").rglob("*.py")}


def test_nothing_of_the_build_is_left(first: tuple[Built, Path]) -> None:
    names = {name for _, name, _, _ in image_archive.files(first[1])}
    tools = {
        f"{folder}/{name}" for folder in ("bin", "usr/bin", "usr/local/bin") for name in ("git", "gcc", "cc", "g++")
    }
    assert not names & tools
    assert not {name for name in names if name.startswith(("build/", "root/.cache/", "run/secrets/", "tmp/"))}
    # The layers of the archive are not compressed.
    assert PASSWORD.encode() not in first[1].read_bytes()
    assert b"index.invalid" not in first[1].read_bytes()


def test_bill_of_materials_lists_packages_and_model(first: tuple[Built, Path]) -> None:
    made, archive = first
    table = json.loads(Path(made.sbom).read_text())
    assert (table["bomFormat"], table["specVersion"], table["version"]) == ("CycloneDX", "1.5", 1)
    assert table["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": made.id.removeprefix("sha256:")}]
    references = [part["bom-ref"] for part in table["components"]]
    assert len(references) == len(set(references)) == len(image_archive.read(archive).packages) + 1
    assert table["dependencies"] == [{"ref": table["metadata"]["component"]["bom-ref"], "dependsOn": references}]
    found = {part["name"]: part for part in table["components"]}
    assert found["python3-minimal"]["purl"].startswith("pkg:deb/debian/python3-minimal@3.11")
    assert found["battle"]["type"] == "machine-learning-model"


def test_bill_of_materials_follows_its_schema(first: tuple[Built, Path]) -> None:
    text = Path(first[0].sbom).read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"type": "library"', '"type": "package"', 1)) is not None


def test_record_is_written_beside_it(first: tuple[Built, Path]) -> None:
    made, archive = first
    record = json.loads(Path(made.sbom).with_name("serving.json").read_text())
    assert Built(**record) == made
    assert made.size == sum(size for _, _, size, _ in image_archive.files(archive))
    assert made.archive == str(archive)


def test_values_of_the_chart_are_written_beside_it(first: tuple[Built, Path]) -> None:
    made = first[0]
    values = yaml.safe_load(Path(made.sbom).with_name("serving.values.yaml").read_text())
    assert f"{values['image']['repository']}:{values['image']['tag']}" == made.reference
    pushed = dataclasses.replace(made, reference="registry.example:5000/team/serving:1", digest="sha256:ab")
    named = {"repository": "registry.example:5000/team/serving", "tag": "1", "digest": "sha256:ab"}
    assert yaml.safe_load(pushed.values()) == {"image": named}


def test_an_image_that_is_too_large_is_told(first: tuple[Built, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert first[0].complaint() is None
    monkeypatch.setitem(image.LARGEST, "serving", 1_000_000)
    assert "MB unpacked, and may have 1 MB at most." in str(first[0].complaint())


def test_a_build_that_fails_is_one_sentence(tmp_path: Path, bundle: Path, small: Path) -> None:
    images.needed()
    options = Options("localhost/predictiondex/is-not-there:1", "localhost/predictiondex/test", tmp_path)
    with pytest.raises(ImageError, match="buildah build ended with status"):
        image.serving(package(bundle, tmp_path / "bentoml", project=small), options, choose("buildah"))


def test_template_of_another_image_makes_another_bento(tmp_path: Path, bundle: Path, small: Path) -> None:
    before = package(bundle, tmp_path / "bentoml", project=small)
    other = Path(shutil.copytree(small, tmp_path / "project"))
    template = other / yaml.safe_load((other / "bentofile.yaml").read_text())["docker"]["dockerfile_template"]
    template.write_text(template.read_text() + "# more\n")
    assert package(bundle, tmp_path / "bentoml", project=other).bento != before.bento
