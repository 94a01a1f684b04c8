"""Shows that a cluster left nothing behind: what the machine had before, and what it has after.

before = snapshot()
...  # up, whatever tests do, down
assert differences(before, snapshot()) == []
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from k8s.local import before, packages, paths, processes, require, rules
from k8s.local.commands import run
from k8s.local.errors import Missing

# buildah's and podman's store: it stays mounted after a build, and a cluster has no part in it.
BUILDS: Final = Path("/var/lib/containers/storage")


@dataclass(frozen=True)
class OurProcess:
    """A process of the cluster: of the host, or of a container."""

    pid: int
    command: str


@dataclass(frozen=True)
class Snapshot:
    """What a cluster could leave behind; each entry is one line for people.

    Attributes:
        processes: those of a cluster. Others come and go on a machine that is used.
        mounts: every mount point with its type, but those of image builds.
        links: every network interface.
        namespaces: every named network namespace.
        rules: every rule of iptables and ip6tables, every chain that is not built in.
        cgroups: groups of pods.
        settings: settings of the kernel that a node changes.
        folders: folders that a node makes outside the checkout.
    """

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    links: tuple[str, ...]
    namespaces: tuple[str, ...]
    rules: tuple[str, ...]
    cgroups: tuple[str, ...]
    settings: tuple[str, ...]
    folders: tuple[str, ...]


def snapshot() -> Snapshot:
    """Look at the machine."""
    links = json.loads(run(packages.program("ip"), "-json", "link", "show"))
    named = Path("/run/netns")
    return Snapshot(
        processes=tuple(f"{found.pid} {found.command}" for found in our_processes()),
        mounts=tuple(
            sorted(f"{place} ({kind})" for place, kind in _mounts() if not Path(place).is_relative_to(BUILDS))
        ),
        links=tuple(sorted(str(link["ifname"]) for link in links)),
        namespaces=tuple(sorted(path.name for path in named.glob("*"))),
        rules=tuple(sorted(rules.saved())),
        cgroups=tuple(sorted(map(str, require.CGROUPS.glob("**/kubepods")))),
        settings=tuple(f"{name} = {value}" for name, value in before.settings().items()),
        folders=tuple(before.folders() + [str(path) for path in (paths.RUN, paths.DATA) if path.exists()]),
    )


def write(found: Snapshot, file: Path) -> None:
    """Keep what was found, for a process that looks again."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(found)))


def read(file: Path) -> Snapshot:
    """What was kept.

    Raises:
        Missing: there is no such file, or it holds no snapshot.
    """
    try:
        return Snapshot(**{kind: tuple(things) for kind, things in json.loads(file.read_text()).items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Missing(f"{file} is no snapshot; `python -m k8s.local snapshot` writes one.") from error


def differences(earlier: Snapshot, later: Snapshot) -> list[str]:
    """A line for each thing that is there later and was not earlier, or the other way round."""
    found = []
    had, has = asdict(earlier), asdict(later)
    for kind, things in has.items():
        found += [f"{kind}: left behind: {thing}" for thing in things if thing not in had[kind]]
        found += [f"{kind}: gone: {thing}" for thing in had[kind] if thing not in things]
    return found


def our_processes() -> list[OurProcess]:
    """Processes that carry the cluster's mark, which is inherited, or run in its containers; zombies are none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not (_marked(folder) or _contained(folder)):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it ended while we looked; which error that is depends on how far it has come
            continue
        if processes.started(int(folder.name)):
            found.append(OurProcess(int(folder.name), command[:200]))
    return found


def _marked(folder: Path) -> bool:
    try:
        return f"{processes.MARK}={paths.RUN}".encode() in (folder / "environ").read_bytes().split(b"\0")
    except PermissionError:  # it has more capabilities than we, so we did not start it
        return False


def _contained(folder: Path) -> bool:
    """Whether the process's root is an overlay of our containerd's, whoever its parent is by now."""
    ours = f"upperdir={paths.DATA}/"
    for line in (folder / "mountinfo").read_text().splitlines():
        if line.split()[4] == "/":
            return ours in line
    return False


def volatile_mounts() -> list[str]:
    """Mount points under the cluster's folders, in the order in which they were mounted."""
    return [
        place
        for place, _ in _mounts()
        if Path(place).is_relative_to(paths.RUN) or Path(place).is_relative_to(paths.DATA)
    ]


def _mounts() -> list[tuple[str, str]]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = []
    for line in lines:
        words = line.split()
        # Fields after the dash have no fixed place.
        kind = words[words.index("-") + 1]
        found.append((words[4].encode().decode("unicode_escape"), kind))
    return found
