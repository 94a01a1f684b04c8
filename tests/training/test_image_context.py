"""What images are built from: programs that run on any base, code that belongs, and files that all may read."""

import os
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from training import image_context, image_go
from training.image_go import Module
from training.image_tool import ImageError
from training.package import PROJECT


def program(file: Path, *kinds: int) -> Path:
    """A 64-bit program of Linux with program headers of these kinds and nothing to run."""
    head = b"\x7fELF\x02\x01\x01" + bytes(25) + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(head + b"".join(struct.pack("<I", kind) + bytes(52) for kind in kinds))
    return file


def build_info(version: str, table: str) -> bytes:
    """What Go writes into its programs, at an offset of 32."""

    def string(text: bytes) -> bytes:
        length, head = len(text), b""
        while length > 0x7F:
            head += bytes([length & 0x7F | 0x80])
            length >>= 7
        return head + bytes([length]) + text

    header = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16)
    return bytes(32) + header + string(version.encode()) + string(b"<" * 16 + table.encode() + b">" * 16)


def test_a_program_with_a_dynamic_linker_is_not_static(tmp_path: Path) -> None:
    assert image_go.is_static(program(tmp_path / "static", 1, 4))
    assert not image_go.is_static(program(tmp_path / "dynamic", 1, 3))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" * 20)
    assert not image_go.is_static(script)


def test_modules_of_a_go_program_are_read() -> None:
    table = (
        "path\thelm.sh/helm/v4/cmd/helm\nmod\thelm.sh/helm/v4\tv4.1.0\th1:x=\ndep\tgithub.com/one/two\tv1.2.3\th1:y=\n"
        "dep\tk8s.io/api\tv0.0.0\n=>\tk8s.io/fork\tv0.34.1\th1:z=\ndep\tlast.example/x\tv0.1.0\th1:w=\nbuild\t-compiler=gc\n"
    )
    assert image_go.modules(build_info("go1.26.8", table)) == [
        Module("helm.sh/helm/v4", "v4.1.0"),
        Module("stdlib", "1.26.8"),
        Module("github.com/one/two", "v1.2.3"),
        Module("k8s.io/fork", "v0.34.1"),
        Module("last.example/x", "v0.1.0"),
    ]


def test_the_mark_of_build_information_as_text_is_passed_over() -> None:
    text = (b"\xff Go buildinf:" + bytes([8, 2])).ljust(96, b"\xff")
    real = build_info("go1.26", "mod\ta.example/b\tv1\th1:x=\n")
    for before in (text, bytes(8) + text + bytes(8)):
        assert image_go.modules(before) == []
        assert image_go.modules(before + real) == [Module("a.example/b", "v1"), Module("stdlib", "1.26")]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name in ("helm", "kubectl"):
        program(tmp_path / "programs" / name, 1)
    return tmp_path / "programs"


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("narrow_umask")
def test_all_may_read_what_goes_into_the_image_of_rollouts(tmp_path: Path, programs: Path) -> None:
    context = image_context.rollout(tmp_path / "context", programs)
    for path in context.folder.rglob("*"):
        executable = path.is_dir() or path.parent.name == "bin"
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if executable else 0o644), path
    assert (context.folder / "requirements.txt").read_bytes() == (PROJECT / "requirements/k8s.txt").read_bytes()
    code = {path.relative_to(context.folder / "src").parts[0] for path in context.folder.glob("src/*")}
    assert code == {"bentos", "k8s", "LICENSE", "NOTICE"}
    assert not (context.folder / "src/k8s/local").exists()
    assert not (context.folder / "src/k8s/images").exists()


def test_a_program_that_is_missing_or_needs_this_machine_is_refused(tmp_path: Path, programs: Path) -> None:
    program(programs / "kubectl", 1, 3)
    with pytest.raises(ImageError, match=r"kubectl is no static 64-bit program of Linux.+`make tools` builds one"):
        image_context.rollout(tmp_path / "one", programs)
    (programs / "helm").unlink()
    with pytest.raises(ImageError, match=r"takes helm from .+, where it is missing; `make tools`"):
        image_context.rollout(tmp_path / "two", programs)


def test_another_way_to_build_is_another_tag(tmp_path: Path, programs: Path) -> None:
    context = image_context.rollout(tmp_path / "context", programs)
    other = Path(shutil.copy(context.dockerfile, tmp_path / "Dockerfile"))
    same = image_context.Context(context.folder, other)
    assert same.digest() == context.digest()
    other.write_text(f"{other.read_text()}# more\n")
    assert same.digest() != context.digest()
