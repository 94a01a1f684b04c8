"""``pdx image`` says what it needs before it begins, and what it built."""

import os
import sys
from pathlib import Path

import pytest

from tests import bundles, commands
from tests.commands import Pdx


@pytest.fixture
def no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_tool")
@pytest.mark.parametrize("what", ["serving", "training", "rollout"])
def test_without_a_tool_nothing_is_begun(pdx: Pdx, what: str) -> None:
    done = pdx("image", what, status=2)
    assert done.stderr == (
        "An image is built by docker, podman or buildah, and none of them can be used here; install buildah.\n"
    )
    assert done.stdout == ""


@pytest.mark.usefixtures("no_tool")
def test_a_tool_that_is_not_there_is_refused(pdx: Pdx) -> None:
    assert "podman is not installed or does not answer" in pdx("image", "--tool", "podman", status=2).stderr


@pytest.mark.parametrize("what", ["training", "rollout"])
def test_other_images_take_no_bundle(pdx: Pdx, what: str, tmp_path: Path) -> None:
    refused = pdx("image", what, "--bundle", str(tmp_path), status=2)
    assert refused.stderr == f"The image of {what} holds no bundle; leave --bundle out.\n"


def test_an_unknown_image_is_refused(pdx: Pdx) -> None:
    assert "'rollout'" in pdx("image", "page", status=2).stderr


RECORDING = """#!{python}
import io, json, sys, tarfile
if sys.argv[1] == "save":
    def add(archive, name, content):
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as inner:
        add(inner, "app/file", b"x" * {size})
    with tarfile.open(sys.argv[sys.argv.index("--output") + 1], "w") as outer:
        add(outer, "config.json", b"{{}}")
        add(outer, "layer.tar", layer.getvalue())
        add(outer, "manifest.json", json.dumps([{{"Config": "config.json", "Layers": ["layer.tar"]}}]).encode())
if sys.argv[1] == "image":
    print(json.dumps(["registry.invalid/team/serving@sha256:" + "0" * 64]))
"""


def docker(folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in docker's place that saves an image of `size` bytes and knows what a registry said."""
    (folder / "docker").write_text(RECORDING.format(python=sys.executable, size=size))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_it_prints_id_and_digest(pdx: Pdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, 5_000_000, monkeypatch)
    bundle = bundles.write(tmp_path / "bundle")
    words = ("--repository", "registry.invalid/team/serving", "--push")
    done = pdx("image", "--bundle", str(bundle), "--tool", "docker", *words)
    assert "Image registry.invalid/team/serving:1-" in done.stdout
    assert "is built by docker: 5 MB unpacked." in done.stdout
    # Of the two bytes {}, which are this image's configuration.
    assert "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" in done.stdout
    assert f"its digest in the registry sha256:{'0' * 64}." in done.stdout


def test_all_images_are_named_under_one_registry(pdx: Pdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path, 10, monkeypatch)
    bundle = str(bundles.write(tmp_path / "bundle"))
    with monkeypatch.context() as patch:
        plain = commands.environment
        setting = {"PDX_IMAGE_REGISTRY": "registry.invalid/team/"}
        patch.setattr(commands, "environment", lambda home: plain(home) | setting)
        done = pdx("image", "--bundle", bundle, "--tool", "docker")
    assert "Image registry.invalid/team/serving:1-" in done.stdout
    done = pdx("image", "--bundle", bundle, "--tool", "docker", "--registry", "other.invalid")
    assert "Image other.invalid/serving:1-" in done.stdout


def test_an_image_that_is_too_large_ends_with_1(pdx: Pdx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import image

    docker(tmp_path, 2_000_000, monkeypatch)
    monkeypatch.setitem(image.LARGEST, "serving", 1_000_000)
    done = pdx("image", "--bundle", str(bundles.write(tmp_path / "bundle")), "--tool", "docker", "--json", status=1)
    assert '"image": "serving"' in done.stdout
    assert "has 2 MB unpacked, and may have 1 MB at most." in done.stderr
