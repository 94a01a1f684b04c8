"""What is built is kept by what pins it, once, and never half."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from k8s.local import build, parts, paths
from k8s.local.errors import BuildFailed, Missing
from k8s.local.parts import Part
from tests.k8s.local.conftest import Program

# Says that it is new enough, counts its builds and writes the program.
GO = """
case $1 in
version) echo go version go1.26.8 linux/amd64 ;;
build) echo build >> "$0.built"; while [ "$1" != -o ]; do shift; done; echo made > "$2/probe" ;;
esac
"""


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    shutil.copytree(paths.MODULES, folder)
    return folder


@pytest.mark.parametrize("part", parts.EVERY, ids=lambda part: part.name)
def test_every_part_is_pinned_with_hashes(part: Part) -> None:
    folder = paths.MODULES / part.module
    assert re.match(r"\d", part.version)
    assert (folder / "go.sum").is_file()
    if part.source:
        assert f"{part.source} v" in (folder / "go.sum").read_text()


def test_prometheus_is_named_by_its_release() -> None:
    assert re.fullmatch(r"3\.\d+\.\d+", parts.PROMETHEUS.version)
    assert f"version.Version={parts.PROMETHEUS.version}" in parts.PROMETHEUS.flags


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_another_pin_is_another_key(modules: Path, name: str) -> None:
    before = build.key(parts.HELM, modules)
    assert build.key(parts.HELM, modules) == before
    pin = modules / "helm" / name
    pin.write_text(pin.read_text() + "\n")
    assert build.key(parts.HELM, modules) != before


def test_another_recipe_is_another_key() -> None:
    other = dataclasses.replace(parts.HELM, stamps={})
    assert build.key(other) != build.key(parts.HELM)
    assert build.key(other).startswith("helm-")


def test_parts_of_one_module_do_not_share_a_folder() -> None:
    keys = [build.key(part) for part in parts.EVERY]
    assert len(set(keys)) == len(keys)


def test_a_part_is_built_once(program: Program) -> None:
    go = program("go", GO)
    folder = build.ensure(parts.PROBE)
    assert build.ensure(parts.PROBE) == folder
    assert (folder / "bin/probe").read_text() == "made\n"
    assert Path(f"{go}.built").read_text() == "build\n"


def test_a_failed_build_is_one_sentence_and_leaves_nothing(program: Program) -> None:
    program("go", GO.replace("echo build", "echo no such module; exit 1; echo build"))
    with pytest.raises(BuildFailed, match=r"^Building probe failed: no such module .*build-probe\.log\)\.$"):
        build.ensure(parts.PROBE)
    assert not build.is_built(parts.PROBE)
    program("go", GO)
    assert (build.ensure(parts.PROBE) / "bin/probe").is_file()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [(None, "Go is missing"), ("echo go version go1.19.8 linux/amd64", "Go 1.19 is too old")],
)
def test_a_machine_without_go_is_told(program: Program, script: str | None, sentence: str) -> None:
    if script:
        program("go", script)
    with pytest.raises(Missing, match=sentence):
        build.ensure(parts.PROBE)


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert paths.cache() == Path.home() / ".cache/predictiondex"
