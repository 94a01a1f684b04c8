"""Write the dashboards, or with ``--check`` say whether the committed ones are what would be written."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.dashboards import model, resources, rollout, service

FOLDER: Final = Path(__file__).resolve().parents[2] / "helm/serving/dashboards"


def texts() -> dict[str, str]:
    """Each dashboard's JSON, by the name of its file."""
    made = {each.NAME: each.made().build() for each in (service, model, resources, rollout)}
    return {
        f"{name}.json": json.dumps(json.loads(JSONEncoder().encode(one)), indent=1, sort_keys=True) + "\n"
        for name, one in made.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare; returns 1 where a committed file is not what would be written."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards", description="Write the dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing, and exit with 1 on a difference")
    given = parser.parse_args(arguments)
    wanted = texts()
    if given.check:
        there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
        if there != wanted:
            sys.stderr.write("helm/serving/dashboards is not what its source makes: python -m monitoring.dashboards\n")
            return 1
        return 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
