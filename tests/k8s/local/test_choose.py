"""The order of choice."""

import pytest

from k8s.local import choose
from k8s.local.choose import Mode
from k8s.local.errors import Missing
from tests.k8s.local.conftest import Program


def test_a_bare_machine_becomes_a_node(program: Program) -> None:
    program("kind", "exit 0")
    assert choose.mode() == Mode.NODE


def test_a_docker_client_without_an_engine_is_no_docker(program: Program) -> None:
    program("kind", "exit 0")
    program("docker", "echo Cannot connect >&2; exit 1")
    assert choose.mode() == Mode.NODE


def test_kind_goes_before_a_node(program: Program) -> None:
    program("kind", "exit 0")
    program("docker", "exit 0")
    assert choose.mode() == Mode.KIND


@pytest.mark.parametrize("asked", [Mode.CURRENT, Mode.NODE])
def test_what_is_asked_for_goes_first(program: Program, monkeypatch: pytest.MonkeyPatch, asked: Mode) -> None:
    program("kind", "exit 0")
    program("docker", "exit 0")
    monkeypatch.setenv("CLUSTER", asked)
    assert choose.mode() == asked


def test_what_runs_goes_before_what_is_there(program: Program) -> None:
    choose.remember(Mode.NODE)
    program("kind", "exit 0")
    program("docker", "exit 0")
    assert choose.mode() == Mode.NODE
    choose.forget()
    assert choose.running() is None
    assert choose.mode() == Mode.KIND


@pytest.mark.parametrize(("asked", "sentence"), [("minikube", "is unknown"), ("kind", "needs kind")])
def test_what_cannot_be_is_refused(
    program: Program, monkeypatch: pytest.MonkeyPatch, asked: str, sentence: str
) -> None:
    program("kind", "exit 0")
    monkeypatch.setenv("CLUSTER", asked)
    with pytest.raises(Missing, match=f"^CLUSTER={asked} {sentence}"):
        choose.mode()
