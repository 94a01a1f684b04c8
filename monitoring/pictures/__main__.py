"""Record dashboards of a Prometheus, or draw what was recorded.

python -m monitoring.pictures record --url http://localhost:9090 --namespace models --release battle
python -m monitoring.pictures record --service monitoring/prometheus-operated:web --namespace models --release battle
python -m monitoring.pictures draw                        draws monitoring/pictures/recordings into docs/pictures
python -m monitoring.pictures draw .pdx/e2e/pictures --keep   those of the last `make e2e K=monitoring`, and keeps them
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from monitoring.pictures import ask
from monitoring.pictures.draw import draw, silent
from monitoring.pictures.panels import dashboard, names
from monitoring.pictures.recording import MOST_BYTES, Recording, RecordingError, Span, record

ROOT: Final = Path(__file__).resolve().parents[2]
RECORDINGS: Final = Path(__file__).resolve().parent / "recordings"
PICTURES: Final = ROOT / "docs/pictures"
_POINTS: Final = 120
"""Moments of a recording, unless a step is given; as many pixels as a panel has for them, about."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.pictures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("record", help="ask a Prometheus for every panel")
    where = asked.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="of Prometheus")
    where.add_argument("--service", metavar="NAMESPACE/NAME:PORT", help="of Prometheus, which kubectl reaches")
    asked.add_argument("--namespace", required=True, help="of the release")
    asked.add_argument("--release", required=True, help="its name")
    asked.add_argument("--dashboard", nargs="+", choices=names(), default=names(), help="which; all by default")
    asked.add_argument("--minutes", type=float, default=60, help="until now (default %(default)s)")
    asked.add_argument("--step", type=float, help=f"seconds between two points; by default a {_POINTS}th of the time")
    asked.add_argument("--interval", type=float, default=15, help="of the scrapes, in seconds (default %(default)s)")
    asked.add_argument("--out", type=Path, default=RECORDINGS, metavar="DIR", help="default %(default)s")
    drawn = commands.add_parser("draw", help="draw recordings")
    drawn.add_argument("folder", type=Path, nargs="?", default=RECORDINGS, help="default %(default)s")
    drawn.add_argument("--out", type=Path, default=PICTURES, metavar="DIR", help="default %(default)s")
    drawn.add_argument("--keep", action="store_true", help=f"copy the recordings to {RECORDINGS.relative_to(ROOT)}")
    return parser


def _record(given: argparse.Namespace) -> None:
    reach = ask.by_url(given.url) if given.url else ask.by_kubectl(given.service)
    end = time.time()
    step = given.step or max(given.interval, given.minutes * 60 / _POINTS)
    span = Span(end - given.minutes * 60, end, step, max(4 * given.interval, step + given.interval))
    chosen = {"namespace": given.namespace, "release": given.release}
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.dashboard:
        of = f"release {given.release} in {given.namespace}"
        path = record(reach, dashboard(name), chosen, span, of).write(given.out)
        if path.stat().st_size > MOST_BYTES:
            sys.stderr.write(f"{path} is larger than {MOST_BYTES / 1000:.0f} kB; give a longer --step to commit it.\n")


def _draw(given: argparse.Namespace) -> None:
    files = sorted(given.folder.glob("*.json.gz"))
    if not files:
        raise RecordingError(f"{given.folder} has no recordings.")
    given.out.mkdir(parents=True, exist_ok=True)
    for file in files:
        recording = Recording.read(file)
        sys.stdout.write(f"{draw(recording, given.out)}\n")
        for query in silent(recording):
            sys.stderr.write(f"No data: {query.dashboard}, {query.panel}: {query.expr}\n")
        if given.keep:
            shutil.copy(file, RECORDINGS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 1 with a sentence where Prometheus or a file does not do."""
    given = _parser().parse_args(arguments)
    try:
        (_record if given.command == "record" else _draw)(given)
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
