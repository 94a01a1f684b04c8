"""Manifests are whole once their variables are filled."""

from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from k8s.local import addons, build, node, packages, paths
from k8s.local.processes import Process

MANIFESTS = sorted(path.stem for path in paths.MANIFESTS.glob("*.yaml"))
IMAGES = (
    "coredns", "metrics_server", "traefik", "prometheus_operator", "prometheus_config_reloader", "prometheus",
    "prometheus_adapter", "alertmanager", "probe",
)  # fmt: skip
OTHERS = {
    "dns": node.DNS, "prometheus_version": "3.1.0", "alertmanager_version": "0.25.0",
    "name": "local-1", "path": "/volume", "node": "local", "track": "stable",
}  # fmt: skip
VALUES = {name: f"localhost/predictiondex/{name}:1" for name in IMAGES} | OTHERS


def documents(name: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(addons.manifest(name, VALUES)) if document]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_document_is_an_object(name: str) -> None:
    for document in documents(name):
        assert document["apiVersion"]
        assert document["kind"]
        assert document["metadata"]["name"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_image_comes_from_here(name: str) -> None:
    for document in documents(name):
        template = document["spec"].get("template", document) if "spec" in document else {}
        containers = template.get("spec", {}).get("containers", [])
        used = [container["image"] for container in containers] + [document.get("spec", {}).get("image")]
        assert all(image.startswith("localhost/predictiondex/") for image in used if image)


def test_a_variable_without_a_value_is_no_empty_word() -> None:
    with pytest.raises(KeyError, match="coredns"):
        addons.manifest("coredns", {"dns": node.DNS})


def test_every_manifest_of_an_addon_is_there() -> None:
    for addon in (addons.COREDNS, *addons.EVERYWHERE):
        assert set(addon.manifests) <= set(MANIFESTS)


def test_every_variable_is_known() -> None:
    for name in MANIFESTS:
        identifiers = Template((paths.MANIFESTS / f"{name}.yaml").read_text()).get_identifiers()
        assert set(identifiers) <= set(VALUES), name


def test_prometheus_takes_only_what_carries_its_label() -> None:
    [prometheus] = [one for one in documents("prometheus") if one["kind"] == "Prometheus"]
    wanted = {"matchLabels": {"release": "monitoring"}}
    assert all(prometheus["spec"][f"{kind}Selector"] == wanted for kind in ("serviceMonitor", "podMonitor", "rule"))


def test_planning_twice_plans_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(build, "program", lambda _, name: tmp_path / name)
    first = node.everyone("192.0.2.7")
    assert first == node.everyone("192.0.2.7")
    assert first != node.everyone("192.0.2.8")
    assert [process.name for process in first][:3] == ["etcd", "containerd", "kube-apiserver"]
    assert all(isinstance(process, Process) for process in first)
