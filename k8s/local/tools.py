"""helm, kubectl and promtool: the person's own where they fit, else ours; `.pdx/bin` links to whichever it is."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from k8s.local import build, parts, paths, progress
from k8s.local.commands import run
from k8s.local.errors import ClusterError
from k8s.local.parts import Part

Version = tuple[int, int]


@dataclass(frozen=True)
class Tool:
    """A program that people have as well.

    Attributes:
        part: what builds ours.
        ask: arguments that make it say its version.
        fits: judges a major and a minor version.
        wanted: what `fits` asks for, in words.
    """

    part: Part
    ask: tuple[str, ...]
    fits: Callable[[Version], bool]
    wanted: str

    @property
    def name(self) -> str:
        """Name of the program."""
        return self.part.name


def _minor(part: Part) -> Version:
    major, minor, *_ = part.version.split(".")
    return int(major), int(minor)


def _near_the_cluster(version: Version) -> bool:
    major, minor = _minor(parts.KUBECTL)
    return version[0] == major and abs(version[1] - minor) <= 1


TOOLS: Final = (
    Tool(parts.HELM, ("version", "--template", "{{.Version}}"), lambda version: version >= (4, 0), "4 or later"),
    Tool(
        parts.KUBECTL,
        ("version", "--client", "--output", "json"),
        _near_the_cluster,  # the skew that Kubernetes supports
        f"within one minor version of {'.'.join(map(str, _minor(parts.KUBECTL)))}",
    ),
    Tool(parts.PROMTOOL, ("--version",), lambda version: version >= (3, 0), "3 or later"),
)


def path(name: str) -> Path:
    """Where ``ensure`` puts the tool."""
    return paths.PROGRAMS / name


def ensure(*names: str) -> None:
    """Link the tools called `names`, or all, into `.pdx/bin`, built first where the machine has none that fits.

    Raises:
        Missing: one has to be built and there is no Go.
        BuildFailed: one does not build.
    """
    paths.PROGRAMS.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        if names and tool.name not in names:
            continue
        found, refusal = choose(tool, _search_path())
        if refusal:
            progress.say(refusal)
        program = found or build.ensure(tool.part) / "bin" / tool.name
        link = path(tool.name)
        fresh = link.with_name(f".{tool.name}.{os.getpid()}")
        fresh.symlink_to(program)
        fresh.replace(link)


def choose(tool: Tool, search: str) -> tuple[Path | None, str]:
    """The tool on the search path `search` if it fits; otherwise None and, if there is one, why it is refused."""
    found = shutil.which(tool.name, path=search)
    if found is None:
        return None, ""
    try:
        said = run(found, *tool.ask, timeout_s=30)
    except ClusterError:
        return None, f"{tool.name} at {found} does not say its version: ours is used."
    version = re.search(r"(?:v|version )(\d+)\.(\d+)[\w.+-]*", said)
    if version and tool.fits((int(version[1]), int(version[2]))):
        return Path(found), ""
    shown = version[0].removeprefix("version ") if version else "of no known version"
    return None, f"{tool.name} {shown} at {found} is refused, {tool.name} has to be {tool.wanted}: ours is used."


def _search_path() -> str:
    """PATH without our own links, which say nothing of what the person has."""
    ours = paths.PROGRAMS.resolve()
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder and Path(folder).resolve() != ours)
