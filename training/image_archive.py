"""What an image holds, read from its archive without running it: id, settings, size, packages."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any, Final

from training import image_go

_DPKG: Final = "var/lib/dpkg/status"
_PROGRAMS: Final = PurePosixPath("app/bin")  # where our images have programs that no package brought


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package.

    Attributes:
        kind: ``deb``, ``golang``, ``npm`` or ``pypi``, as package URLs name it.
        name: as its registry names it.
        version: in its registry's spelling.
        license: SPDX expression or name, where it says one.
        architecture: of a Debian package.
    """

    kind: str
    name: str
    version: str
    license: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive says.

    Attributes:
        id: ``sha256:…`` of the image's configuration, which names the digests of all layers: equal in every store.
        configuration: the OCI image configuration.
        size: bytes of all files in all layers, unpacked.
        packages: sorted, each once.
    """

    id: str
    configuration: dict[str, Any]
    size: int
    packages: list[Package]


def read(archive: Path) -> Contents:
    """Read an archive as ``docker save`` writes it.

    Raises:
        KeyError, tarfile.TarError, ValueError: it is none.
    """
    with tarfile.open(archive) as outer:
        manifest = json.loads(_member(outer, "manifest.json"))[0]
        raw = _member(outer, manifest["Config"])
    size = 0
    packages: set[Package] = set()
    debian = ""
    for _, name, length, content in files(archive):
        size += length
        path = PurePosixPath(name)
        if name == _DPKG:
            # A later layer's list replaces that of an earlier one.
            debian = content().decode()
        elif path.name == "METADATA" and path.parent.suffix == ".dist-info":
            packages.add(_python(content().decode()))
        elif path.name == "package.json" and _is_node_package(path):
            packages |= _node(content())
        elif path.parent == _PROGRAMS:
            packages |= {Package("golang", module.path, module.version) for module in image_go.modules(content())}
    packages |= set(_debian(debian))
    return Contents(f"sha256:{hashlib.sha256(raw).hexdigest()}", json.loads(raw), size, sorted(packages))


def files(archive: Path) -> Iterator[tuple[int, str, int, Any]]:
    """Each regular file of each layer: the layer's number from 0, the path, its bytes, and a function that reads it."""
    with tarfile.open(archive) as outer:
        layers = json.loads(_member(outer, "manifest.json"))[0]["Layers"]
        for number, layer in enumerate(layers):
            opened = outer.extractfile(layer)
            if opened is None:
                raise ValueError(f"The archive's layer {layer} is no file.")
            with opened, tarfile.open(fileobj=opened, mode="r:*") as inner:
                for entry in inner:
                    if entry.isfile():

                        def content(inner: tarfile.TarFile = inner, entry: tarfile.TarInfo = entry) -> bytes:
                            file = inner.extractfile(entry)
                            return file.read() if file else b""

                        yield number, entry.name.removeprefix("./"), entry.size, content


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"The archive's {name} is no file.")
    with file:
        return file.read()


def _python(text: str) -> Package:
    head: Message = HeaderParser().parsestr(text)
    spoken = str(head.get("License-Expression") or head.get("License") or "")
    # Some write the whole text of the licence there.
    return Package("pypi", str(head["Name"]).lower(), str(head["Version"]), spoken if "\n" not in spoken else "")


def _is_node_package(path: PurePosixPath) -> bool:
    """True for node_modules/NAME/package.json and node_modules/@SCOPE/NAME/package.json."""
    parts = path.parts
    scoped = len(parts) > 2 and parts[-3].startswith("@")
    return len(parts) > 3 and parts[-4 if scoped else -3] == "node_modules"


def _node(content: bytes) -> set[Package]:
    table = json.loads(content)
    if not (isinstance(table, dict) and table.get("name") and table.get("version")):
        return set()
    license_ = table.get("license")
    return {Package("npm", table["name"], table["version"], license_ if isinstance(license_, str) else "")}


def _debian(status: str) -> Iterator[Package]:
    for block in status.split("\n\n"):
        head = HeaderParser().parsestr(block)
        if str(head.get("Status", "")).endswith(" installed"):
            yield Package("deb", str(head["Package"]), str(head["Version"]), architecture=str(head["Architecture"]))
