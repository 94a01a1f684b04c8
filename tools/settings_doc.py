"""Writes docs/settings.md, the server's settings, from the docstrings and defaults of bentos/settings.py.

With ``--check`` it writes nothing and ends with 1 where the file is not what would be written.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from bentos.settings import OTHERS, PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "settings.md"
HEAD = """# Settings of the server

Written by `tools/settings_doc.py` from `bentos/settings.py`. All are environment variables and optional, but the bundle
outside of a bento. An unknown variable that begins with `PDX_` is refused, unless Kubernetes adds it for a service or
`pdx` or the tests read it (OTHERS), and so is a value out of range: exit code 78.
`python -m bentos --help` shows the few that are options too. For traces, OpenTelemetry's own variables are read,
`OTEL_EXPORTER_OTLP_ENDPOINT` first.
"""
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What a model's docstring says of each attribute."""
    text = (inspect.getdoc(model) or "").partition("Attributes:\n")[2]
    return {name: " ".join(said.split()).replace("``", "`") for name, said in _ATTRIBUTE.findall(text)}


def table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Rows of a group's settings."""
    said = attributes(model)
    for name, field in model.model_fields.items():
        if name not in said:
            continue
        default = "–" if field.default is None else f"`{field.default}`"
        yield f"| `{prefix}{name.upper()}` | {default} | {said[name][0].upper()}{said[name][1:]} |"


def document() -> str:
    """The whole file."""
    parts = [HEAD.replace("OTHERS", ", ".join(f"`{name}`" for name in sorted(OTHERS)))]
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    parts.append("\n".join([*rows, *table(Settings, PREFIX)]))
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            title = (inspect.getdoc(group) or "").partition("\n")[0].rstrip(".")
            parts.append(f"\n## {title.partition(':')[0].partition(';')[0]}\n")
            parts.append("\n".join([*rows, *table(group, f"{PREFIX}{name.upper()}_")]))
    return "\n".join(parts) + "\n"


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    if options.check:
        if FILE.read_text() != document():
            print("docs/settings.md is not what bentos/settings.py says; run tools/settings_doc.py")
            return 1
        return 0
    FILE.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
