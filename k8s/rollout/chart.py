"""The release's own chart as a folder that helm can read, and whether another chart is the same one."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import yaml

from k8s.rollout.errors import Refused
from k8s.rollout.helm import Helm
from k8s.rollout.release import Values

_SCHEMA: Final = "values.schema.json"


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def require_whole(chart: Values) -> None:
    """Refuse a chart with dependencies, of which a release holds nothing that a revision could be made of.

    Raises:
        Refused: it has some.
    """
    if chart["metadata"].get("dependencies"):
        raise Refused("The release's chart has subcharts, and a release holds none: no revision can be made of it.")


def write(chart: Values, folder: Path) -> Path:
    """Unpack a chart out of a release.

    Raises:
        Refused: it has dependencies.
    """
    require_whole(chart)
    metadata = chart["metadata"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump(metadata), "utf-8")
    (folder / "values.yaml").write_text(yaml.safe_dump(chart.get("values") or {}), "utf-8")
    if chart.get("schema"):
        (folder / _SCHEMA).write_bytes(_bytes(chart["schema"]))
    for each in [*(chart.get("templates") or []), *(chart.get("files") or [])]:
        path = folder / each["name"]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"The release's chart holds {each['name']}, which leads out of its folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(each["data"]))
    return folder


def digest(chart: Values) -> str:
    """sha256 over everything that can change what is rendered: name, version, values, schema, templates and files."""
    metadata = chart["metadata"]
    whole: dict[str, Any] = {
        "name": metadata["name"],
        "version": metadata["version"],
        "values": chart.get("values") or {},
        "schema": hashlib.sha256(_bytes(chart.get("schema"))).hexdigest(),
    }
    for part in ("templates", "files"):
        whole[part] = {each["name"]: hashlib.sha256(_bytes(each["data"])).hexdigest() for each in chart.get(part) or []}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def require_same(helm: Helm, given: str, chart: Values) -> None:
    """Refuse a ``--chart`` that is not the release's: helm packs it as it would for an install, and both are compared.

    Raises:
        Refused: it is another version, or another chart under the same version.
    """
    ours, theirs = chart["metadata"], yaml.safe_load(helm.run("show", "chart", given))
    if (theirs["name"], theirs["version"]) != (ours["name"], ours["version"]):
        raise Refused(
            f"The release was made by the chart {ours['name']} {ours['version']} and --chart is {theirs['name']} "
            f"{theirs['version']}: a rollout changes the image alone, so deploy the chart first."
        )
    values = yaml.safe_load(helm.run("show", "values", given)) or {}
    if values != (chart.get("values") or {}):
        raise Refused(f"--chart has other values than the release's {ours['name']} {ours['version']}.")
    folder = Path(given)
    for each in chart.get("templates") or [] if folder.is_dir() else []:
        path = folder / each["name"]
        if not path.is_file() or path.read_bytes() != _bytes(each["data"]):
            raise Refused(f"--chart differs from the release's {ours['name']} {ours['version']} in {each['name']}.")
