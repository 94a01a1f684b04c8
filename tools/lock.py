"""Makes and checks the hash-pinned locks `requirements/GROUP.txt` of the groups in `pyproject.toml`.

    python tools/lock.py                     lock what is missing, keep every version that still fits
    python tools/lock.py --upgrade           take the newest versions
    python tools/lock.py --upgrade NAME ...  take the newest versions of these packages
    python tools/lock.py --check             no network: exit 1 with a sentence for each fault

Each group is locked under the versions of those before it, so that training is tested on what serving runs.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "predictiondex"
GROUPS = ("uv", "traefik", "serving", "training", "k8s", "dev")  # in the order in which they build on each other
PARTS = frozenset({"common"})  # only included by others, so without a lock
BUILT_ON = {"training": ("serving",), "dev": ("training", "k8s")}  # whose packages a group has, in the same versions
# Distributions of one module, which own the same files: one environment may hold one of them.
SAME_MODULE = {"xgboost-cpu": "xgboost"}
PLATFORMS = ("darwin", "linux", "win32")  # values of sys_platform
SERVING_NEVER = frozenset(
    {"mlflow", "mlflow-skinny", "pandas", "scikit-learn"}
)  # loaded by xgboost where they are found
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? \\"
)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
COMMENT = re.compile(r" +#.*")


@dataclass
class Lock:
    """One lock file.

    Attributes:
        versions: Each package's pinned versions: more than one where they depend on the Python version.
        markers: Of each package, the environments that it is for, a marker a pin; an empty one is all.
        direct: Packages that the group itself asks for, by uv's annotations.
        faults: Sentences about lines that do not belong into a lock.
    """

    versions: dict[str, set[str]] = field(default_factory=dict)
    markers: dict[str, list[str]] = field(default_factory=dict)
    direct: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def read_lock(text: str, group: str) -> Lock:
    """Read the text of one group's lock; anything but pins, sha256 hashes and comments is a fault."""
    lock = Lock()
    name, hashes = "", 1
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"requirements/{group}.txt:{number}"
        if "://" in line:
            lock.faults.append(f"{where}: names a host.")
        if pin := PIN.fullmatch(line):
            if not hashes:
                lock.faults.append(f"{where}: the package before it has no hash.")
            name, hashes = pin["name"], 0
            lock.versions.setdefault(name, set()).add(pin["version"])
            lock.markers.setdefault(name, []).append(pin["marker"] or "")
        elif HASH.fullmatch(line):
            hashes += 1
        elif COMMENT.fullmatch(line):
            if f"{PROJECT} (pyproject.toml:{group})" in line:
                lock.direct.add(name)
        else:
            lock.faults.append(f"{where}: is no pinned version, sha256 hash or comment: {line.strip()[:60]!r}.")
    if not hashes:
        lock.faults.append(f"requirements/{group}.txt: {name} has no hash.")
    return lock


def requirements(groups: dict[str, list[Any]], group: str) -> list[Requirement]:
    """All requirements of `group`, those of the groups it includes too."""
    own = [Requirement(entry) for entry in groups[group] if isinstance(entry, str)]
    included = [entry["include-group"] for entry in groups[group] if isinstance(entry, dict)]
    return own + [requirement for other in included for requirement in requirements(groups, other)]


def read_groups(root: Path) -> dict[str, list[Any]]:
    """The table [dependency-groups] of `root`/pyproject.toml."""
    groups: dict[str, list[Any]] = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    return groups


def excluded(root: Path) -> set[str]:
    """Packages that no lock may hold."""
    lines = (root / "requirements/exclude.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def group_faults(group: str, lock: Lock, asked: list[Requirement]) -> Iterator[str]:
    """What a lock lacks of its group's requirements, or has beyond them."""
    names = {canonicalize_name(requirement.name) for requirement in asked}
    for name in sorted(names ^ lock.direct):
        yield f"requirements/{group}.txt: {name} is in only one of the lock and its group; run tools/lock.py."
    for requirement in asked:
        for version in sorted(lock.versions.get(canonicalize_name(requirement.name), ())):
            if not requirement.specifier.contains(version, prereleases=True):
                pin = f"{requirement.name}=={version}"
                yield f"requirements/{group}.txt: {pin} is not what its group asks: {requirement}."


def installed(lock: Lock, name: str, platform: str) -> bool:
    """Whether an environment on `platform`, a value of sys_platform, gets a package from `lock`."""
    markers = lock.markers.get(name, ())
    return any(not marker or Marker(marker).evaluate({"sys_platform": platform}) for marker in markers)


def module_faults(group: str, lock: Lock) -> Iterator[str]:
    """Where one environment would get two distributions of one module."""
    for one, other in SAME_MODULE.items():
        for platform in PLATFORMS:
            if installed(lock, one, platform) and installed(lock, other, platform):
                yield f"requirements/{group}.txt: {one} and {other} are one module, and both would be on {platform}."


def build_faults(group: str, lock: Lock, other: str, under: Lock) -> Iterator[str]:
    """What a lock lacks of another that it is built on, or has in another version."""
    for name, versions in sorted(under.versions.items()):
        same = SAME_MODULE.get(name, name)
        if versions not in (lock.versions.get(name), lock.versions.get(same)):
            of = f" of {name}" if same != name else ""
            yield f"requirements/{group}.txt: {same} differs from that{of} in requirements/{other}.txt."


def check(root: Path) -> list[str]:
    """Check the locks under `root` without a network; returns a sentence for each fault."""
    groups = read_groups(root)
    faults = [
        f"pyproject.toml: group {group} has no lock; add it to tools/lock.py."
        for group in groups.keys() - set(GROUPS) - PARTS
    ]
    never = excluded(root)
    locks: dict[str, Lock] = {}
    for group in GROUPS:
        path = root / "requirements" / f"{group}.txt"
        if not path.is_file():
            faults.append(f"requirements/{group}.txt is missing; run tools/lock.py.")
            continue
        lock = locks[group] = read_lock(path.read_text(), group)
        faults += lock.faults
        faults += group_faults(group, lock, requirements(groups, group))
        banned = never | (SERVING_NEVER if group == "serving" else set())
        faults += [
            f"requirements/{group}.txt: {name} must not be in it." for name in sorted(banned & lock.versions.keys())
        ]
        faults += module_faults(group, lock)
        for other in BUILT_ON.get(group, ()):
            if other in locks:
                faults += build_faults(group, lock, other, locks[other])
    for path in sorted(root.glob("*/**/package-lock.json")):
        if "node_modules" not in path.parts:
            faults += node_faults(path.relative_to(root), json.loads(path.read_text()))
    return faults


def node_faults(path: Path, lock: dict[str, Any]) -> Iterator[str]:
    """Packages of a package-lock.json that name a download address, or have no hash."""
    for name, package in lock["packages"].items():
        if "resolved" in package:
            yield f"{path}: {name} names a host; write the lock with omit-lockfile-registry-resolved."
        if name and "integrity" not in package:
            yield f"{path}: {name} has no hash."


def compile_locks(root: Path, uv: str, upgrade: list[str]) -> None:
    """Lock every group with the program `uv`; `upgrade` holds uv's own options about upgrades."""
    for group in GROUPS:
        # Also of those it does not include, or a group that includes both could not be locked.
        constraints = [part for other in GROUPS[: GROUPS.index(group)] for part in ("-c", f"requirements/{other}.txt")]
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-header", "--excludes", "requirements/exclude.txt", "--group", f"pyproject.toml:{group}"]
        command += [*constraints, *upgrade, "-o", f"requirements/{group}.txt"]
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make or check the hash-pinned locks in requirements/.")
    parser.add_argument("--check", action="store_true", help="change nothing, name every fault")
    parser.add_argument("--upgrade", nargs="*", metavar="NAME", help="newest versions of these packages, or of all")
    options = parser.parse_args()
    if options.check:
        faults = check(ROOT)
        print("\n".join(faults) or f"{len(GROUPS)} locks are hash-pinned, agree with their groups and name no host.")
        return 1 if faults else 0
    uv = shutil.which("uv") or shutil.which(ROOT / ".pdx/uv/bin/uv")
    if uv is None:
        print("uv is missing: run `make lint` once, which puts one under .pdx/uv.", file=sys.stderr)
        return 1
    upgrade: list[str] = []
    if options.upgrade is not None:
        upgrade = [part for name in options.upgrade for part in ("--upgrade-package", name)] or ["--upgrade"]
    compile_locks(ROOT, uv, upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
