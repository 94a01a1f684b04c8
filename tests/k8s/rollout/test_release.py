"""Releases as Helm stores them, unpacked; and what else may own them."""

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.rollout import chart, release
from k8s.rollout.api import Api
from k8s.rollout.errors import Refused, Unreachable
from k8s.rollout.helm import Helm
from tests.helm.charts import CHART, helm
from tests.k8s.rollout.conftest import ApiServer

MANIFEST = """---
# Source: serving/templates/tracks.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: battle-stable
---
"""


def packed(number: int = 3, **more: Any) -> dict[str, Any]:
    found = {
        "name": "battle",
        "version": number,
        "info": {"status": "deployed", "description": "Upgrade complete"},
        "chart": {"metadata": {"name": "serving", "version": "1.0.0"}, "values": {"a": {"b": 1, "c": 2}}},
        "config": {"a": {"b": 5}},
        "manifest": MANIFEST,
        **more,
    }
    data = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(found).encode()))).decode()
    return {
        "metadata": {
            "name": f"sh.helm.release.v1.battle.v{number}",
            "labels": {"owner": "helm", "name": "battle", "version": str(number), "status": found["info"]["status"]},
        },
        "type": "helm.sh/release.v1",
        "data": {"release": data},
    }


def test_a_revision_unpacked() -> None:
    found = release.decode(packed())
    assert (found.name, found.number, found.status) == ("battle", 3, "deployed")
    assert found.values == {"a": {"b": 5, "c": 2}}
    assert found.object("Deployment", "battle-stable") is not None
    assert found.object("Deployment", "battle-canary") is None


@pytest.mark.parametrize("data", ["", "bm8=", base64.b64encode(base64.b64encode(b"\x1f\x8bno")).decode()])
def test_what_is_no_release(data: str) -> None:
    secret = {"metadata": {"name": "x"}, "data": {"release": data}}
    with pytest.raises(Unreachable, match="no release"):
        release.decode(secret)


def test_the_newest_is_by_number(api: Api, server: ApiServer) -> None:
    for number in (9, 10):
        secret = packed(number)
        server.put(f"/api/v1/namespaces/models/secrets/{secret['metadata']['name']}", secret)
    assert release.newest(api, "battle").number == 10
    assert list(release.history(api, "battle")) == [9, 10]


def test_no_release(api: Api) -> None:
    with pytest.raises(Refused, match="no release battle"):
        release.newest(api, "battle")


def test_argo_cd_leaves_no_release(api: Api, server: ApiServer) -> None:
    found = {"metadata": {"name": "battle-stable", "annotations": {"argocd.argoproj.io/tracking-id": "x"}}}
    server.put("/apis/apps/v1/namespaces/models/deployments/battle-stable", found)
    with pytest.raises(Refused, match=r"Argo CD.*take-ownership"):
        release.newest(api, "battle")


def test_flux_marks_what_it_made() -> None:
    found = {"metadata": {"name": "battle-stable", "labels": {"helm.toolkit.fluxcd.io/name": "battle"}}}
    assert "flux suspend helmrelease battle" in (release.gitops(found) or "")
    assert release.gitops({"metadata": {"name": "battle-stable"}}) is None


def test_null_takes_a_value_away_as_in_helm() -> None:
    assert release.merged({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}}) == {"b": {"c": 2, "d": 3}}


def in_release(folder: Path) -> dict[str, Any]:
    """A chart as Helm packs it into a release."""

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    def files(*below: str) -> list[dict[str, str]]:
        found = [path for each in below for path in sorted((folder / each).rglob("*")) if path.is_file()]
        return [{"name": str(path.relative_to(folder)), "data": data(path)} for path in found]

    return {
        "metadata": yaml.safe_load((folder / "Chart.yaml").read_text()),
        "values": yaml.safe_load((folder / "values.yaml").read_text()),
        "schema": data(folder / "values.schema.json"),
        "templates": files("templates"),
        "files": files("files", "dashboards"),
    }


needs_helm = pytest.mark.skipif(helm() is None, reason="helm 4 is not there (make tools)")


@needs_helm
def test_the_releases_own_chart_renders_as_the_first(tmp_path: Path) -> None:
    written = chart.write(in_release(CHART), tmp_path / "chart")

    def rendered(folder: Path) -> str:
        words = [str(helm()), "template", "battle", str(folder), "--set", "image.repository=a,image.tag=b"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    assert rendered(written) == rendered(CHART)


@needs_helm
def test_another_chart_is_refused(tmp_path: Path) -> None:
    tool, ours = Helm(str(helm()), None, None, "models"), in_release(CHART)
    chart.require_same(tool, str(CHART), ours)
    copy = tmp_path / "serving"
    shutil.copytree(CHART, copy)
    template = copy / "templates/serviceaccount.yaml"
    template.write_text(template.read_text() + "# other\n")
    with pytest.raises(Refused, match=r"differs.*serviceaccount\.yaml"):
        chart.require_same(tool, str(copy), ours)
    about = copy / "Chart.yaml"
    about.write_text(about.read_text().replace("\nversion: ", "\nversion: 9"))
    with pytest.raises(Refused, match="deploy the chart first"):
        chart.require_same(tool, str(copy), ours)


def test_a_chart_that_leads_out_of_its_folder(tmp_path: Path) -> None:
    bad = {"metadata": {"name": "x", "version": "1"}, "templates": [{"name": "../x", "data": ""}]}
    with pytest.raises(Refused, match="out of its folder"):
        chart.write(bad, tmp_path / "chart")
    with pytest.raises(Refused, match="subcharts"):
        chart.write({"metadata": {"name": "x", "version": "1", "dependencies": [{}]}}, tmp_path / "chart")
