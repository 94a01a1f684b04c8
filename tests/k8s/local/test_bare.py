"""A cluster without addons: only where there are none, and with nothing of them."""

from pathlib import Path

import pytest

from k8s.local import addons, node, paths
from k8s.local.__main__ import main
from k8s.local.errors import Missing
from k8s.local.kubectl import Kubectl


@pytest.fixture
def kubectl() -> Kubectl:
    """A kubectl that writes down what it applies, and has the resource definitions of a file."""
    paths.PROGRAMS.mkdir()
    program = paths.PROGRAMS / "kubectl"
    lines = ("#!/bin/sh", 'case "$*" in', "*apply*) cat >applied ;;", "*customresourcedefinitions*) cat defined ;;")
    program.write_text("\n".join((*lines, "*) exit 9 ;;", "esac")) + "\n")
    program.chmod(0o755)
    return Kubectl(paths.KUBECONFIG)


def test_a_cluster_with_addons_does_not_become_bare(
    kubectl: Kubectl, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places)
    (places / "defined").write_text("customresourcedefinition.apiextensions.k8s.io/httproutes\n")
    with pytest.raises(Missing, match=r"^The cluster that is up is not bare; `make cluster-down` takes it down\.$"):
        addons.refuse(kubectl)
    (places / "defined").write_text("")
    addons.refuse(kubectl)


def test_it_gets_names_and_not_the_namespaces_of_addons(
    kubectl: Kubectl, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places)
    values = {"coredns": "coredns:1", "dns": node.DNS}
    addons.apply(kubectl, (addons.COREDNS,), values)
    assert (places / "applied").read_text() == addons.manifest("coredns", values)
    others = tuple(addon for addon in addons.EVERYWHERE if addon.name == "Prometheus Operator")
    images = {"prometheus_operator": "operator:1", "prometheus_config_reloader": "reloader:1"}
    addons.apply(kubectl, others, images)
    assert (places / "applied").read_text().startswith(addons.manifest("namespaces", {}))


def test_somebodys_cluster_is_not_made_bare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "current")
    assert main(["up", "--bare"]) == 1
    assert capsys.readouterr().err == (
        "The cluster of a kubeconfig is used as it is: --bare needs kind or a node of our own.\n"
    )
