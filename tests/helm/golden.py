"""Writes the renders that tests/helm/test_golden.py compares with: ``python -m tests.helm.golden``."""

import sys
import tempfile
from pathlib import Path

from tests.helm import charts

GOLDEN = Path(__file__).parent / "golden"


def main() -> int:
    """Render every value set; returns the exit status."""
    program = charts.helm()
    if program is None:
        sys.stderr.write(f"{charts.MISSING}\n")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        chart = charts.Chart(program, Path(scratch))
        for name, values in charts.sets():
            (GOLDEN / f"{name}.yaml").write_text(charts.golden(chart, values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
