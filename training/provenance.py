"""Which commit a model was trained from."""

import os
import shutil
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def git_commit() -> str:
    """The commit of the checkout, with ``-dirty`` where tracked files differ from it.

    ``PDX_GIT_COMMIT`` says it where there is no checkout (an image); ``unknown`` where nothing does.
    """
    given = os.environ.get("PDX_GIT_COMMIT")
    git = shutil.which("git")
    if given or git is None:
        return given or UNKNOWN
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return UNKNOWN
    described = subprocess.run(  # noqa: S603  (fixed arguments)
        [git, "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or UNKNOWN
