"""Images of one program each, from nothing but the program, and how they get into the node without a registry.

An archive is written directly: a layer, its configuration and the list of both are all that the format asks for, and
no build tool has to be there, or leaves anything behind. The same archives go into kind.
"""

import hashlib
import io
import json
import platform
import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from k8s.local import build, packages, parts, paths
from k8s.local.commands import run

NAMESPACE: Final = "k8s.io"  # containerd's, in which the kubelet looks
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_LOADED_WITHIN_S: Final = 300
_ALERTMANAGER: Final = Path("/usr/share/prometheus/alertmanager")  # what Debian's reads wherever it runs


@dataclass(frozen=True)
class Image:
    """An image made of files of this machine.

    Attributes:
        name: last part of its name, and the variable of its reference in manifests.
        files: paths in the image and where they come from.
        entrypoint: path in the image.
    """

    name: str
    files: dict[str, Path] = field(hash=False)
    entrypoint: str

    @property
    def tag(self) -> str:
        """Twelve hex digits over what is in it, so that another program is another image."""
        state = hashlib.sha256(f"{_FORMAT}\0{self.entrypoint}".encode())
        for inside, path in sorted(self.files.items()):
            state.update(f"{inside}\0{_fingerprint(path)}\0".encode())
        return state.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """What a manifest writes as ``image``."""
        return f"localhost/predictiondex/{self.name}:{self.tag}"


_FORMAT: Final = "1"  # of the archives


def of_the_bare() -> list[Image]:
    """The images of a cluster without addons; their parts are built."""
    probe = {name: build.program(parts.PROBE, name) for name in ("pause", "probe")}
    return [
        _single("pause", probe["pause"]),
        _single("probe", probe["probe"]),
        _single("coredns", build.program(parts.COREDNS)),
    ]


def of_parts() -> list[Image]:
    """Every image of the cluster; the parts are built and Alertmanager is installed."""
    alertmanager = Path(packages.program("prometheus-alertmanager")).resolve()
    return [
        *of_the_bare(),
        _single("metrics-server", build.program(parts.METRICS_SERVER)),
        _single("traefik", build.traefik() / "bin/traefik"),
        _single("prometheus-operator", build.program(parts.OPERATOR, "operator")),
        _single("prometheus-config-reloader", build.program(parts.OPERATOR, "prometheus-config-reloader")),
        _single("prometheus", build.program(parts.PROMETHEUS)),
        _single("prometheus-adapter", build.program(parts.ADAPTER, "adapter")),
        _single("alertmanager", alertmanager, *sorted(_ALERTMANAGER.glob("*.tmpl"))),
    ]


def alertmanager_version() -> str:
    """The release that Debian has."""
    said = run(packages.program("prometheus-alertmanager"), "--version")
    found = re.search(r"version (\d+\.\d+\.\d+)", said)
    return found[1] if found else "0.25.0"


def archive(image: Image) -> Path:
    """Write the image as an archive into the cache, unless it is there; returns its path."""
    made = paths.cache() / "images" / f"{image.name}-{image.tag}.tar"
    if made.is_file():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".") as folder:
        layer = Path(folder) / "layer.tar"
        _write_layer(layer, image.files)
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        machine = platform.machine()
        configuration = {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Entrypoint": [image.entrypoint]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": f"files {' '.join(sorted(image.files))}"}],
        }
        manifest = [{"Config": "config.json", "RepoTags": [image.reference], "Layers": ["layer.tar"]}]
        whole = Path(folder) / "image.tar"
        with tarfile.open(whole, "w") as tar:
            for name, value in (("config.json", configuration), ("manifest.json", manifest)):
                content = json.dumps(value, sort_keys=True).encode()
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            tar.add(layer, "layer.tar", filter=_plain)
        whole.rename(made)
    return made


def load(archives: list[Path]) -> None:
    """Import archives into the node's containerd."""
    for path in archives:
        _ctr("images", "import", str(path))


def loaded() -> set[str]:
    """References of the images that the node has."""
    return set(_ctr("images", "ls", "-q").split())


def _ctr(*words: str) -> str:
    command = (packages.program("ctr"), "--address", str(paths.CONTAINERD), "--namespace", NAMESPACE)
    return run(*command, *words, timeout_s=_LOADED_WITHIN_S)


def _single(name: str, path: Path, *others: Path) -> Image:
    inside = f"/bin/{name}"
    return Image(name, {inside: path, **_libraries(path), **{str(other): other for other in others}}, inside)


def _libraries(path: Path) -> dict[str, Path]:
    """The shared libraries of a program, at the places where its loader looks; empty for a static one."""
    with path.open("rb") as file:
        # The path of the loader is among the first bytes of a program that has one.
        if b"/ld-linux" not in file.read(4096):
            return {}
    found: list[str] = re.findall(r"(/\S+) \(0x", run("ldd", path))
    return {name: Path(name).resolve() for name in found}


def _fingerprint(path: Path) -> str:
    cached = paths.cache() / "parts"
    if path.is_relative_to(cached):
        # Its folder is named by what it was built from; reading hundreds of megabytes would say no more.
        return str(path.relative_to(cached))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_layer(layer: Path, files: dict[str, Path]) -> None:
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"/"}
    # A program's place for what is temporary; pods with a read-only root mount their own.
    with tarfile.open(layer, "w") as tar:
        for name in sorted({*folders, "/tmp"}):  # noqa: S108  inside the image
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if name == "/tmp" else 0o755  # noqa: S108
            tar.addfile(entry)
        for name, path in sorted(files.items()):
            tar.add(path, name.lstrip("/"), filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of this machine: no owner and no time."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry
