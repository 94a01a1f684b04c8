"""The person's own tools where they fit, a sentence where not."""

import pytest

from k8s.local import build, parts, tools
from k8s.local.tools import Tool
from tests.k8s.local.conftest import Program

BY_NAME = {tool.name: tool for tool in tools.TOOLS}


def kubectl(version: str) -> str:
    return f'echo \'{{"clientVersion": {{"gitVersion": "{version}"}}}}\''


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("helm", "echo v4.3.1"),
        ("helm", "echo v5.0.0"),
        ("kubectl", kubectl("v1.33.1")),
        ("kubectl", kubectl("v1.35.0")),
        ("promtool", "echo 'promtool, version 3.5.0 (branch: HEAD)'"),
    ],
)
def test_one_that_fits_is_taken(program: Program, name: str, script: str) -> None:
    path = program(name, script)
    assert tools.choose(BY_NAME[name], str(path.parent)) == (path, "")


@pytest.mark.parametrize(
    ("name", "script", "version", "wanted"),
    [
        ("helm", "echo v3.19.0+gabc", "v3.19.0+gabc", "4 or later"),
        ("kubectl", kubectl("v1.32.4-dispatcher"), "v1.32.4-dispatcher", "within one minor version of 1.34"),
        ("kubectl", kubectl("v1.36.0"), "v1.36.0", "within one minor version of 1.34"),
        ("promtool", "echo 'promtool, version 2.42.0'", "2.42.0", "3 or later"),
        ("promtool", "echo hello", "of no known version", "3 or later"),
    ],
)
def test_one_that_does_not_is_refused_with_a_sentence(
    program: Program, name: str, script: str, version: str, wanted: str
) -> None:
    path = program(name, script)
    found, refusal = tools.choose(BY_NAME[name], str(path.parent))
    assert found is None
    assert refusal == f"{name} {version} at {path} is refused, {name} has to be {wanted}: ours is used."


def test_one_that_fails_is_not_used(program: Program) -> None:
    path = program("helm", "exit 1")
    assert tools.choose(BY_NAME["helm"], str(path.parent)) == (
        None,
        f"helm at {path} does not say its version: ours is used.",
    )


def test_none_is_no_refusal(program: Program) -> None:
    folder = program("other", "").parent
    assert all(tools.choose(tool, str(folder)) == (None, "") for tool in tools.TOOLS)


def test_an_old_helm_is_replaced_by_ours(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program("helm", "echo v3.19.0")
    ours = build.program(parts.HELM)
    ours.parent.mkdir(parents=True)
    ours.touch()
    for _ in range(2):
        tools.ensure("helm")
    assert tools.path("helm").readlink() == ours
    assert capsys.readouterr().out.count("helm v3.19.0 at") == 2


def test_our_own_link_on_the_path_is_not_the_persons(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = program("helm", "echo v4.0.0")
    tools.ensure("helm")
    assert tools.path("helm").readlink() == theirs
    monkeypatch.setenv("PATH", str(tools.path("helm").parent))
    ours = build.program(parts.HELM)
    ours.parent.mkdir(parents=True)
    tools.ensure("helm")
    assert tools.path("helm").readlink() == ours


def test_every_tool_is_a_part() -> None:
    assert tuple(tool.part for tool in tools.TOOLS) == parts.TOOLS
    assert all(isinstance(tool, Tool) for tool in tools.TOOLS)
