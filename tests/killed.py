"""Processes that are killed in the middle of putting a folder in the place of another."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

_SCRIPT = """
import os, signal, sys
from pathlib import Path
from training.folder import replacing

out, mark, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rename = Path.rename

def counted(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)

with replacing(out, mark, ValueError) as folder:
    (folder / mark).write_text("new")
    Path.rename = counted
"""


def while_replacing(out: Path, mark: str, renames: int = 1) -> None:
    """Replace ``out`` by a folder whose file ``mark`` says "new", killed after so many of the two renames."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT, str(out), mark, str(renames)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
