"""Installs every contender into an environment of its own, and finds the two load generators."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from loadtests.bench.places import CONTENDERS, PYTHON, ROOT, STATE

GHZ_VERSION: Final = "v0.120.0"
_GHZ: Final = f"github.com/bojand/ghz/cmd/ghz@{GHZ_VERSION}"
_INSTALL_SECONDS: Final = 900.0
_FOLDERS: Final = re.compile(r"(?<![\w.])/(?:[\w.@+-]+/)+")


class InstallError(Exception):
    """Something the benchmark needs cannot be installed; the message is one sentence."""


def find_uv() -> str:
    """The program uv: the machine's own, or the one that `make` puts under .pdx/uv."""
    found = shutil.which("uv") or shutil.which(ROOT / ".pdx/uv/bin/uv")
    if found is None:
        raise InstallError("uv is missing; `make lint` puts one under .pdx/uv.")
    return found


def last_line(text: str) -> str:
    """The last line that says something, for a reason in the table, without the folders of this machine."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _FOLDERS.sub("", lines[-1])[:200] if lines else "no output"


def run(command: list[str], *, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Standard output of a command.

    Raises:
        InstallError: it failed or took longer than 15 minutes.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{name} took longer than {_INSTALL_SECONDS:.0f} s.") from error
    if done.returncode != 0:
        raise InstallError(f"{name} failed: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def install(folder: str) -> Path:
    """Python of the environment for ``contenders/FOLDER``, made or brought up to its lock.

    Raises:
        InstallError: uv could not install the lock.
    """
    lock = CONTENDERS / folder / "requirements.txt"
    venv = ROOT / STATE / folder / "venv"
    python = venv / "bin/python"
    ready = venv / ".ready"
    text = lock.read_text()
    if python.exists() and ready.is_file() and ready.read_text() == text:
        return python
    uv = find_uv()
    run([uv, "venv", "--quiet", "--allow-existing", "--python", str(PYTHON.resolve()), str(venv)])
    sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
    run([*sync, "--python", str(python), str(lock)])
    ready.write_text(text)
    return python


def lock(folder: str) -> None:
    """Write ``contenders/FOLDER/requirements.txt`` from ``requirements.in``: pinned with hashes, naming no host.

    Contenders that take the versions of the serving group get them: then only the server differs.
    """
    place = (CONTENDERS / folder).relative_to(ROOT)
    command = [find_uv(), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--excludes", "requirements/exclude.txt", str(place / "requirements.in")]
    try:
        run([*command, "-c", "requirements/serving.txt", "-o", str(place / "requirements.txt")])
    except InstallError:
        run([*command, "-o", str(place / "requirements.txt")])


def find_wrk() -> str:
    """The program wrk.

    Raises:
        InstallError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise InstallError("wrk is missing: install Debian's package `wrk` (apt-get install wrk).")
    return found


def find_ghz() -> str:
    """The program ghz, built with Go into .pdx/bench/bin where it is missing.

    Raises:
        InstallError: Go is missing or the build failed.
    """
    folder = ROOT / STATE / "bin" / GHZ_VERSION
    if not (folder / "ghz").is_file():
        go = shutil.which("go")
        if go is None:
            raise InstallError("ghz is missing and so is Go, which builds it: install Go 1.24 or later.")
        run([go, "install", _GHZ], env={**os.environ, "GOBIN": str(folder)})
    return str(folder / "ghz")
