"""The iptables rules that kube-proxy, the kubelet and the bridge leave, and a machine without them."""

import itertools
import shutil
from typing import Final

from k8s.local import node, packages
from k8s.local.commands import run

FAMILIES: Final = ("iptables", "ip6tables")
_KUBERNETES: Final = "KUBE-"
_BRIDGE: Final = f'name: \\"{node.NETWORK}\\"'


def remove() -> None:
    """Take ours out of every table, in one step a family."""
    for family in FAMILIES:
        if shutil.which(f"{family}-save", path=packages.SEARCH) is None:
            continue
        before = run(packages.program(f"{family}-save"))
        after = without_ours(before)
        if after != before:
            run(packages.program(f"{family}-restore"), "--wait", stdin=after)


def saved() -> list[str]:
    """Every rule and chain of the machine, of both families; empty built-in chains count as nothing."""
    lines = []
    for family in FAMILIES:
        if shutil.which(f"{family}-save", path=packages.SEARCH):
            text = run(packages.program(f"{family}-save"))
            lines += [f"{family}: {line}" for line in significant(text)]
    return lines


def without_ours(text: str) -> str:
    """What ``iptables-save`` said, without our chains and without rules that lead into them."""
    lines = text.splitlines(keepends=True)
    ours = {chain for line in lines for chain in _chains(line) if chain.startswith(_KUBERNETES)}
    ours |= {chain for line in lines if _BRIDGE in line for chain in _chains(line) if chain.startswith("CNI-")}
    return "".join(line for line in lines if not ours & set(_chains(line)))


def significant(text: str) -> list[str]:
    """Lines of ``iptables-save`` that say something, with the table they are of and without counters."""
    found, table = [], ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A") or (line.startswith(":") and line.split()[1] != "ACCEPT"):
            found.append(f"{table} {line.partition(' [')[0]}")
    return found


def _chains(line: str) -> list[str]:
    """The chains that a line declares, adds to or leads into."""
    words = line.split()
    if line.startswith(":"):
        return [words[0][1:]]
    return [after for word, after in itertools.pairwise(words) if word in {"-A", "-j", "-g"}]
