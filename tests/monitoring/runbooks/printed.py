"""Commands as runbooks print them."""

from pathlib import Path


def retraining(runbook: Path) -> str:
    """The lines of a runbook that make a Job of training's CronJob, watch it and clear it away."""
    _, _, undo = runbook.read_text().partition("## Undo")
    printed = [line.strip() for line in undo.splitlines() if line.startswith("    ") and "$TRAINING" in line]
    return "\n".join(printed)
