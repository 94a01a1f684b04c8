"""How a process that must not serve says so: one sentence in the log and in the termination log."""

import contextlib
import logging
from pathlib import Path
from typing import Final

from bentos.errors import PredictionDexError

EXIT_REFUSED: Final = 78
"""EX_CONFIG of sysexits.h: starting again will not help before somebody changes something."""
_KUBERNETES: Final = Path("/dev/termination-log")

log = logging.getLogger(__name__)


def refuse(error: PredictionDexError, termination_log: Path | None = None) -> int:
    """Report why the process ends, and return its exit status.

    Args:
        error: its message is the sentence.
        termination_log: file for ``kubectl describe``; None takes Kubernetes' own, where there is one.
    """
    # Names of files and settings may hold anything, and neither log nor file may break on it, or get a second line.
    sentence = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
    log.error("%s", sentence)
    # Kubernetes mounts the file; made by us it would be a stray file in /dev of some other machine.
    target = termination_log or (_KUBERNETES if _KUBERNETES.exists() else None)
    if target is not None:
        with contextlib.suppress(OSError):
            target.write_text(f"{sentence}\n", "utf-8", errors="backslashreplace")
    return EXIT_REFUSED
