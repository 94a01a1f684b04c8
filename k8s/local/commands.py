"""Runs other programs and waits, always within a bound."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from k8s.local.errors import ClusterError, NotReady

_POLL_S = 0.2
_TAIL = 600  # characters of what a failed program said


def run(
    *command: str | Path,
    stdin: str | None = None,
    timeout_s: float = 120,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """Run a program and return its standard output.

    Raises:
        ClusterError: it is missing, ended with another status than 0 (with `check`), or outlasted `timeout_s`.
    """
    words = [str(word) for word in command]
    shown = shlex.join(words[:4])
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except FileNotFoundError:
        raise ClusterError(f"{words[0]} is missing.") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{shown} took more than {timeout_s:g} s.") from None
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-_TAIL:]
        raise ClusterError(f"{shown} ended with status {done.returncode}: {said}")
    return done.stdout


def succeeds(*command: str | Path, **options: Any) -> bool:
    """Whether the program ran and ended with status 0; `options` are those of ``run``."""
    try:
        run(*command, **options)
    except ClusterError:
        return False
    return True


def wait(what: str, ready: Callable[[], bool], timeout_s: float, poll_s: float = _POLL_S) -> None:
    """Poll `ready` until it is true.

    Raises:
        NotReady: it was not within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise NotReady(f"{what} did not happen within {timeout_s:g} s.")
        time.sleep(poll_s)
