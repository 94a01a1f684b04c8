"""Whose node it is: of which checkout, at which address, since which boot."""

import json
from pathlib import Path

from k8s.local import paths


def current(address: str) -> dict[str, str]:
    """What a node of this checkout at `address` would be."""
    return {"boot": boot(), "address": address, "checkout": str(paths.ROOT)}


def known() -> dict[str, str] | None:
    """What the node on this machine is; None if there is none, or a crash left half a file."""
    try:
        noted: dict[str, str] = json.loads((paths.RUN / "identity.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return noted


def note(identity: dict[str, str]) -> None:
    """Write down that the node is there."""
    paths.RUN.mkdir(parents=True, exist_ok=True)
    (paths.RUN / "identity.json").write_text(json.dumps(identity))


def of_this_boot() -> bool:
    """Whether the node, if there is one, was started since the machine was."""
    noted = known()
    return noted is None or noted.get("boot") == boot()


def boot() -> str:
    """The kernel's name for the time since the machine started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
