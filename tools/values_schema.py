"""Makes values.schema.json of both charts, and the tables in docs/chart.md and docs/training-chart.md.

    python tools/values_schema.py           write them
    python tools/values_schema.py --check   exit 1 with a sentence for each that is not what would be written

Type and meaning of a value are those of its default and of the comment beside it; tools/values_rules.py says what a
default cannot tell. Every object is closed and every key required, so a typo fails at any depth, and so does a key set
to null. The settings of the server and the bounds of each are taken from bentos/settings.py.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import BaseModel

from bentos.settings import PREFIX, Settings
from tools import values_rules
from tools.values_rules import Schema, closed

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- values: written by tools/values_schema.py -->", "<!-- end of values -->"

THE_CHARTS_OWN: Final = frozenset(
    {
        *("PDX_BUNDLE", "PDX_TERMINATION_LOG", "PDX_AUTH_KEYS_FILE", "PDX_IDS_KEYS_FILE"),
        *("PDX_HTTP_PORT", "PDX_GRPC_PORT", "PDX_ADMIN_PORT", "PDX_SCRATCH", "PDX_TRACK"),
        *("PDX_SHADOW_FILE", "PDX_SHADOW_TARGET", "PDX_COHORT_HEADER"),
    }
)
"""Settings that other values or the templates decide."""


class Chart(NamedTuple):
    """A chart and its page.

    Attributes:
        name: of the chart, and of its folder under helm/.
        document: the page with the table.
        rules: whole schemas of values, by their paths.
    """

    name: str
    document: Path
    rules: dict[str, Schema]

    @property
    def values(self) -> Path:
        """The defaults, with a comment beside each."""
        return ROOT / "helm" / self.name / "values.yaml"

    @property
    def schema(self) -> Path:
        """What is written beside them."""
        return self.values.with_suffix(".schema.json")


SERVING: Final = Chart("serving", ROOT / "docs/chart.md", values_rules.SERVING)
TRAINING: Final = Chart("training", ROOT / "docs/training-chart.md", values_rules.TRAINING)


class Leaf(NamedTuple):
    """A value that a user sets.

    Attributes:
        path: keys from the root, joined by dots.
        default: as values.yaml has it.
        meaning: the comment beside it.
    """

    path: str
    default: Any
    meaning: str


class Refused(Exception):
    """values.yaml cannot be described; the message is one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Write, or compare; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args(arguments).check
    wanted: dict[Path, str] = {}
    try:
        for chart in (SERVING, TRAINING):
            wanted |= generate(chart, chart.values.read_text("utf-8"), chart.document.read_text("utf-8"))
    except Refused as refused:
        print(refused)
        return 1
    status = 0
    for path, content in wanted.items():
        if not check:
            path.write_text(content, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != content:
            print(f"{path.relative_to(ROOT)} is not what the chart's values say; run tools/values_schema.py")
            status = 1
    return status


def generate(chart: Chart, values: str, document: str) -> dict[Path, str]:
    """What schema and document should hold, from the text of values.yaml and that of the document as it is."""
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise Refused(f"{chart.name}/values.yaml is no mapping.")
    lines = values.splitlines()
    leaves = list(_leaves(chart, root, lines, ""))
    unknown = sorted(chart.rules.keys() - {leaf.path for leaf in leaves})
    if unknown:
        raise Refused(
            f"tools/values_rules.py has rules for {', '.join(unknown)}, which {chart.name}/values.yaml does not."
        )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Values of the chart {chart.name}",
        **_object(chart, yaml.safe_load(values), {leaf.path: leaf for leaf in leaves}, ""),
    }
    before, found, rest = document.partition(START)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise Refused(f"{chart.document.relative_to(ROOT)} lacks the lines {START} and {END}.")
    return {
        chart.schema: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        chart.document: f"{before}{START}\n{_table(leaves)}{END}{after}",
    }


def _leaves(chart: Chart, node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Leaf]:
    """Values in the order of the file; a list, or a map with a rule of its own, is one value, whatever it holds."""
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value and path not in chart.rules:
            yield from _leaves(chart, value, lines, f"{path}.")
        else:
            # What is nested in a default has a comment where it stands.
            for inner in _inner(value):
                _comment(chart, lines, inner.end_mark, path)
            mark = value.end_mark if value.start_mark.line == key.start_mark.line else key.end_mark
            yield Leaf(path, yaml.safe_load(yaml.serialize(value)), _comment(chart, lines, mark, path))


def _inner(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Values of the maps in a list or a map."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _inner(item)
    elif isinstance(node, yaml.MappingNode):
        yield from (value for _, value in node.value if isinstance(value, yaml.ScalarNode))


def _comment(chart: Chart, lines: list[str], mark: yaml.Mark, path: str) -> str:
    """The comment that follows a place in its line."""
    _, found, said = lines[mark.line][mark.column :].partition("# ")
    if not found or not said.strip():
        raise Refused(
            f"{chart.name}/values.yaml, line {mark.line + 1}: {path} needs a comment beside it, with its unit."
        )
    return said.strip()


def _object(chart: Chart, values: dict[str, Any], leaves: dict[str, Leaf], prefix: str) -> Schema:
    """The schema of a group."""
    properties: dict[str, Schema] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        leaf = leaves.get(path)
        if leaf is None:
            properties[name] = _object(chart, value, leaves, f"{path}.")
        else:
            properties[name] = {"description": leaf.meaning, **_rule(chart, leaf)}
    if chart is SERVING and prefix == "settings.":
        properties = settings() | {name: {**settings()[name], **given} for name, given in properties.items()}
    return closed(properties, list(values))


def _rule(chart: Chart, leaf: Leaf) -> Schema:
    if leaf.path in chart.rules:
        return chart.rules[leaf.path]
    if chart is SERVING and leaf.path.startswith("settings."):
        return {}
    if not isinstance(leaf.default, bool):
        raise Refused(f"tools/values_rules.py needs a rule for {leaf.path}: only true and false speak for themselves.")
    return {"type": "boolean"}


def settings() -> dict[str, Schema]:
    """Schemas of the server's settings that a chart's user may give, by the names of their variables."""
    found: dict[str, Schema] = {}
    for group, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, schema in model.model_json_schema()["properties"].items():
                kept = {key: schema[key] for key in ("type", "enum", "minimum", "maximum") if key in schema}
                found[f"{PREFIX}{group}_{name}".upper()] = kept
    return {name: schema for name, schema in found.items() if name not in THE_CHARTS_OWN}


def _table(leaves: list[Leaf]) -> str:
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, default, meaning in leaves:
        shown = "–" if default == "" else f"`{json.dumps(default)}`" if not isinstance(default, str) else f"`{default}`"
        rows.append(f"| `{path}` | {shown} | {meaning[0].upper()}{meaning[1:]} |".replace("*", r"\*"))
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
