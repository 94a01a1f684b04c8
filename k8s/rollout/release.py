"""A release as Helm keeps it: a Secret a revision, with chart, values and manifest in it.

The format is Helm's own (``helm.sh/release.v1``): JSON, packed by gzip, in base64, and once more by the API.
"""

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import yaml

from k8s.rollout.api import Api, Object
from k8s.rollout.errors import Refused, Unreachable

Values = dict[str, Any]

PENDING: Final = frozenset({"pending-install", "pending-upgrade", "pending-rollback"})
DEPLOYED: Final = "deployed"
UNFINISHED: Final = PENDING | {"failed"}
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Revision:
    """One revision of a release.

    Attributes:
        name: of the release.
        number: of the revision.
        status: Helm's word for it.
        description: Helm's sentence on it.
        chart: metadata, values, schema, templates and files, as Helm packed them.
        config: values that were given.
        objects: the rendered objects, without those of hooks.
        applied: how Helm writes them: ``ssa``, or ``csa`` or nothing where it merges on the client's side.
    """

    name: str
    number: int
    status: str
    description: str
    chart: Values
    config: Values
    objects: list[Object]
    applied: str = ""

    @property
    def values(self) -> Values:
        """The chart's values under those that were given."""
        return merged(self.chart.get("values") or {}, self.config)

    def object(self, kind: str, name: str) -> Object | None:
        """A rendered object."""
        return next((each for each in self.of_kind(kind) if each["metadata"]["name"] == name), None)

    def of_kind(self, kind: str) -> list[Object]:
        """The rendered objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """Helm's merge of values: maps at every depth, everything else as a whole; a null takes a value away."""
    whole = dict(under)
    for key, value in over.items():
        if value is None:
            whole.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(whole.get(key), Mapping):
            whole[key] = merged(whole[key], value)
        else:
            whole[key] = value
    return whole


def decode(secret: Object) -> Revision:
    """Unpack a revision's Secret.

    Raises:
        Unreachable: it holds something else.
    """
    name = secret["metadata"]["name"]
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        found = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
        documents = list(yaml.safe_load_all(found.get("manifest") or ""))
        return Revision(
            name=found["name"],
            number=int(found["version"]),
            status=found["info"]["status"],
            description=found["info"].get("description", ""),
            chart=found["chart"],
            config=found.get("config") or {},
            objects=[each for each in documents if each],
            applied=str(found.get("apply_method") or ""),
        )
    except (KeyError, TypeError, ValueError, OSError, EOFError, binascii.Error, zlib.error, yaml.YAMLError) as error:
        raise Unreachable(f"The Secret {name} is no release that this driver can read: {error!r}.") from None


def history(api: Api, release: str) -> dict[int, str]:
    """Status of each revision by its number; asked without what is in them, which is much."""
    path = f"{api.core('secrets')}?{urlencode({'labelSelector': f'owner=helm,name={release}'})}"
    found = {}
    for each in api.ask("GET", path, headers={"Accept": _METADATA}).get("items") or []:
        labels = each["metadata"]["labels"]
        found[int(labels["version"])] = str(labels["status"])
    return dict(sorted(found.items()))


def newest(api: Api, release: str) -> Revision:
    """The newest revision, whatever its status.

    Raises:
        Refused: there is no such release.
    """
    found = history(api, release)
    if not found:
        raise Refused(_no_release(api, release))
    return revision(api, release, max(found))


def revision(api: Api, release: str, number: int) -> Revision:
    """A revision by its number.

    Raises:
        Unreachable: Helm keeps it no more.
    """
    return decode(api.get(api.core("secrets", f"sh.helm.release.v1.{release}.v{number}")))


def _no_release(api: Api, release: str) -> str:
    """Argo CD renders charts and leaves no release behind; its marks on the objects tell."""
    selector = f"app.kubernetes.io/instance={release},track=stable"
    for each in api.items(api.group("apps/v1", "deployments"), selector):
        owner = gitops(each)
        if owner:
            return owner
    return f"There is no release {release} in the namespace {api.namespace}; `helm list` names those that are there."


def gitops(found: Object) -> str | None:
    """One sentence if Argo CD or Flux owns an object, which would write its weights back."""
    meta = found["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    if "argocd.argoproj.io/tracking-id" in annotations or "argocd.argoproj.io/instance" in labels:
        return (
            f"{meta['name']} is owned by Argo CD, which would take back every weight that is not in git: take this "
            "release out of its Application, let `helm upgrade --install --take-ownership` have it, and start again."
        )
    if "helm.toolkit.fluxcd.io/name" in labels:
        named = labels["helm.toolkit.fluxcd.io/name"]
        return (
            f"{meta['name']} is owned by Flux (HelmRelease {named}), which would take back every weight that is not in "
            f"git: `flux suspend helmrelease {named}`, take its labels off by a deploy of your own, and start again."
        )
    return None
