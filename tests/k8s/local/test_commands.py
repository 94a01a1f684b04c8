"""The command line: one sentence on standard error, and an exit status that says so."""

import pytest

from k8s.local import choose, current, paths
from k8s.local.__main__ import main
from k8s.local.choose import Mode
from k8s.local.commands import run
from k8s.local.errors import ClusterError
from tests.k8s.local.conftest import Program


@pytest.mark.parametrize("words", [("status",), ("load", "image.tar")])
def test_without_a_cluster_it_says_so(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.err.startswith("There is no cluster")
    assert said.err.endswith("`make cluster` brings one up.\n")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_somebodys_cluster_is_given_no_image(capsys: pytest.CaptureFixture[str]) -> None:
    choose.remember(Mode.CURRENT)
    assert main(["load", "image.tar"]) == 1
    assert "no cluster of ours" in capsys.readouterr().err


def test_an_unknown_kind_of_cluster_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "minikube")
    assert main(["up"]) == 1
    assert (
        capsys.readouterr().err
        == "CLUSTER=minikube is unknown; it is current, kind, node, or nothing for what is there.\n"
    )


def test_down_without_a_cluster_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "No cluster of ours is left.\n"


def test_what_a_cluster_lacks_is_named() -> None:
    versions = "apps/v1\nmetrics.k8s.io/v1beta1\ngateway.networking.k8s.io/v1\nv1\n"
    assert current.lacks(versions) == ["prometheus-adapter", "Prometheus Operator"]


def test_a_failed_program_is_quoted() -> None:
    with pytest.raises(ClusterError, match=r"^sh -c 'echo no >&2; exit 3' ended with status 3: no$"):
        run("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(ClusterError, match=r"^no-such-program is missing\.$"):
        run("no-such-program")
    with pytest.raises(ClusterError, match=r"^sleep 60 took more than 0\.1 s\.$"):
        run("sleep", "60", timeout_s=0.1)


def test_somebodys_cluster_is_used_as_it_is(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(
        "kubectl",
        """case "$*" in
version*) echo '{"clientVersion": {"gitVersion": "v1.34.0"}}' ;;
"config view --minify --flatten --raw") echo 'kind: Config' ;;
api-versions) printf 'v1\\nmetrics.k8s.io/v1beta1\\ncustom.metrics.k8s.io/v1beta1\\nmonitoring.coreos.com/v1\\n' ;;
*) exit 9 ;;
esac""",
    )
    monkeypatch.setenv("CLUSTER", "current")
    assert main(["up"]) == 0
    said = capsys.readouterr().out
    assert "it has no Gateway API: what needs it is off" in said
    assert said.endswith(f"export KUBECONFIG={paths.KUBECONFIG}\n")
    assert paths.KUBECONFIG.read_text() == "kind: Config\n"
    assert choose.running() == Mode.CURRENT
    assert main(["down"]) == 0
    assert not paths.KUBECONFIG.exists()


def test_a_kubeconfig_that_leads_nowhere_is_one_sentence(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = """case "$1" in version) echo v1.34.0 ;; *) echo connection refused >&2; exit 1 ;; esac"""
    program("kubectl", asked)
    monkeypatch.setenv("CLUSTER", "current")
    assert main(["up"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("The current kubeconfig leads to no cluster that answers: ")
    assert "connection refused" in said
    assert choose.running() is None
