"""Archives that any container runtime takes."""

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import pytest

from k8s.local import images
from k8s.local.images import Image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    program = tmp_path / "program"
    program.write_text("#!static\n")
    return Image("one", {"/bin/one": program}, "/bin/one")


def read(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        member = tar.extractfile(name)
        assert member is not None
        return member.read()


def test_an_archive_is_whole(image: Image, tmp_path: Path) -> None:
    path = images.archive(image)
    [manifest] = json.loads(read(path, "manifest.json"))
    assert manifest["RepoTags"] == [image.reference]
    configuration = json.loads(read(path, manifest["Config"]))
    assert configuration["config"]["Entrypoint"] == ["/bin/one"]
    assert configuration["architecture"] in {"amd64", "arm64"}
    [layer] = manifest["Layers"]
    content = read(path, layer)
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content).hexdigest()}"]
    (tmp_path / "layer.tar").write_bytes(content)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert {entry.name: oct(entry.mode) for entry in tar} == {"bin": "0o755", "tmp": "0o1777", "bin/one": "0o755"}
        assert {(entry.uid, entry.uname, entry.mtime) for entry in tar} == {(0, "", 0)}


def test_an_archive_is_written_once_and_the_same_again(image: Image) -> None:
    path = images.archive(image)
    before, content = path.stat().st_mtime_ns, path.read_bytes()
    assert images.archive(image).stat().st_mtime_ns == before
    path.unlink()
    assert images.archive(image).read_bytes() == content


def test_another_program_is_another_image(image: Image) -> None:
    before = image.reference
    image.files["/bin/one"].write_text("#!other\n")
    assert image.reference != before
    assert image.reference.startswith("localhost/predictiondex/one:")


def test_a_linked_program_brings_its_libraries() -> None:
    found = images._single("python", Path(sys.executable).resolve())
    assert any("libc.so" in name for name in found.files)
    assert all(path.is_file() for path in found.files.values())
