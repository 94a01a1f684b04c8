"""What the numbers were measured on."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.catalogue import Contender
from loadtests.bench.environments import GHZ_VERSION
from loadtests.bench.places import CONTENDERS, ROOT, Cores


@dataclass(frozen=True)
class Machine:
    """One machine.

    Attributes:
        processor: its model name.
        cores: how many this process may use.
        server_core: number of the core that servers ran on.
        generator_core: number of the core that the generators ran on.
        python: version of the interpreter.
        wrk: version of the HTTP generator.
        ghz: version of the gRPC generator.
        load: mean number of processes that wanted to run in the minute before the benchmark began.
    """

    processor: str
    cores: int
    server_core: int
    generator_core: int
    python: str
    wrk: str
    ghz: str
    load: float


def processor() -> str:
    """The processor's model name."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def describe(cores: Cores, wrk: str) -> Machine:
    """This machine."""
    # wrk's --version ends with status 1.
    banner = subprocess.run([wrk, "--version"], capture_output=True, text=True, check=False).stdout
    return Machine(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        server_core=cores.server,
        generator_core=cores.generator,
        python=platform.python_version(),
        wrk=" ".join(banner.split()[1:2]),
        ghz=GHZ_VERSION.removeprefix("v"),
        load=round(os.getloadavg()[0], 2),
    )


def pinned(contender: Contender) -> str:
    """Package and version that a contender's lock pins; of this server its commit."""
    if contender.package is None:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or "unknown"
    return f"{contender.package} {locked(contender.name, contender.package)}"


def locked(folder: str, package: str) -> str:
    """The version of a package in ``contenders/FOLDER/requirements.txt``."""
    lock = (CONTENDERS / folder / "requirements.txt").read_text()
    found = re.search(rf"^{re.escape(package)}==(\S+)", lock, re.MULTILINE)
    return found[1] if found else "unknown"
