"""The battle engine's installation, and what it says of species and attacks."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from training.dataset.errors import EngineError

ENGINE = Path(__file__).parent.parent / "engine"


def require(program: str) -> str:
    """Find ``node`` or ``npm``.

    Raises:
        EngineError: it is not on PATH.
    """
    found = shutil.which(program)
    if found is None:
        raise EngineError(f"Duels are played by Node.js, but there is no {program} on PATH; install Node 18 or later.")
    return found


def installed() -> bool:
    """True when the engine's package is there."""
    return (ENGINE / "node_modules" / "pokemon-showdown" / "package.json").is_file()


def install(say: Callable[[str], None]) -> None:
    """Install the locked engine unless it is there, and say so first.

    Raises:
        EngineError: npm is missing or fails.
    """
    if installed():
        return
    npm = require("npm")
    say(
        "The battle engine is not installed yet; running npm ci --ignore-scripts in training/engine (about 20 seconds)."
    )
    done = subprocess.run(  # noqa: S603  (fixed program and arguments)
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=ENGINE,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise EngineError(
            f"npm ci failed with code {done.returncode} ({last}); run `npm ci --ignore-scripts` in training/engine "
            "where the npm registry can be reached."
        )


def extract_dex() -> bytes:
    """The dex table as JSON text, made anew from the installed engine.

    Raises:
        EngineError: Node or the engine is missing, or fails.
    """
    if not installed():
        raise EngineError("The battle engine is not installed; run `npm ci --ignore-scripts` in training/engine.")
    done = subprocess.run(  # noqa: S603  (fixed program and arguments)
        [require("node"), "dex.mjs"], cwd=ENGINE, check=False, capture_output=True
    )
    if done.returncode:
        raise EngineError(f"The dex cannot be extracted: Node ended with code {done.returncode}.")
    return done.stdout
