"""The bill of materials of an image, as CycloneDX 1.5 JSON (https://cyclonedx.org/docs/1.5/json/)."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from bentos.contract import Contract
from training.image_archive import Contents, Package

SPEC: Final = "1.5"


def document(name: str, version: str, contents: Contents, epoch: int, contract: Contract | None) -> str:
    """JSON text that says which packages, and which model, an image holds; equal for equal images.

    Args:
        name: of the image, without a tag.
        version: its tag.
        contents: of its archive.
        epoch: seconds since 1970, when the image was made.
        contract: of the bundle in it.
    """
    image = f"{name}:{version}"
    parts = [_component(package) for package in contents.packages]
    if contract is not None:
        parts.append(_model(contract))
    table = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, contents.id)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "predictiondex", "version": version}]},
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": name,
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": contents.id.removeprefix("sha256:")}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": image, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(table, indent=1) + "\n"


def purl(package: Package) -> str:
    """The package URL (https://github.com/package-url/purl-spec)."""
    namespace = "debian/" if package.kind == "deb" else ""
    name = package.name.replace("_", "-") if package.kind == "pypi" else package.name
    if package.kind == "golang":
        name = name.lower()
    url = f"pkg:{package.kind}/{namespace}{quote(name, safe='/')}@{quote(package.version, safe='')}"
    return f"{url}?arch={package.architecture}" if package.architecture else url


def _component(package: Package) -> dict[str, Any]:
    url = purl(package)
    said = {"licenses": [{"license": {"name": package.license}}]} if package.license else {}
    return {
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        **said,
    }


def _model(contract: Contract) -> dict[str, Any]:
    provenance = contract.provenance
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{contract.name}@{contract.version}",
        "name": contract.name,
        "version": str(contract.version),
        "properties": [
            {"name": "predictiondex:run_id", "value": provenance.run_id},
            {"name": "predictiondex:git_commit", "value": provenance.git_commit},
            {"name": "predictiondex:dataset_digest", "value": provenance.dataset_digest},
            *({"name": f"predictiondex:sha256:{file}", "value": sha} for file, sha in sorted(contract.files.items())),
        ],
    }
