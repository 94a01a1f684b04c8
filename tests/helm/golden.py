"""Writes the renders that tests/helm/test_golden.py compares with: ``python -m tests.helm.golden``."""

import sys
import tempfile
from pathlib import Path

from tests.helm import charts


def main() -> int:
    """Render every value set; returns the exit status."""
    program = charts.helm()
    if program is None:
        sys.stderr.write(f"{charts.MISSING}\n")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        for tested in charts.TESTED:
            chart = charts.Chart(program, Path(scratch), tested.folder)
            for name, values in tested.values():
                (tested.golden / f"{name}.yaml").write_text(charts.golden(chart, values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
