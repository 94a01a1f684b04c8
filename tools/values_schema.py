"""Makes helm/serving/values.schema.json and the table of docs/chart.md from the chart's values.yaml.

    python tools/values_schema.py           write both
    python tools/values_schema.py --check   exit 1 with a sentence for each that is not what would be written

Type and meaning of a value are those of its default and of the comment beside it; ``RULES`` says what a default cannot
tell. Every object is closed and every key required, so a typo fails at any depth, and so does a key set to null. The
settings of the server and the bounds of each are taken from bentos/settings.py, the latency thresholds from the edges
of the histogram.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import BaseModel

from bentos.metrics.labels import EDGES
from bentos.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
VALUES = ROOT / "helm/serving/values.yaml"
SCHEMA = ROOT / "helm/serving/values.schema.json"
DOCUMENT = ROOT / "docs/chart.md"
START, END = "<!-- values: written by tools/values_schema.py -->", "<!-- end of values -->"

Schema = dict[str, Any]

THE_CHARTS_OWN: Final = frozenset(
    {
        *("PDX_BUNDLE", "PDX_TERMINATION_LOG", "PDX_AUTH_KEYS_FILE", "PDX_IDS_KEYS_FILE"),
        *("PDX_HTTP_PORT", "PDX_GRPC_PORT", "PDX_ADMIN_PORT"),
    }
)
"""Settings that other values or the templates decide."""


def text(pattern: str = "", *, empty: bool = True) -> Schema:
    """A string that matches a pattern, or is empty."""
    if not pattern:
        return {"type": "string"} if empty else {"type": "string", "minLength": 1}
    return {"type": "string", "pattern": f"^({pattern})?$" if empty else f"^({pattern})$"}


def whole(least: int, most: int = 2**31 - 1) -> Schema:
    """An integer, bounds included."""
    return {"type": "integer", "minimum": least, "maximum": most}


def number(least: float, most: float) -> Schema:
    """A number, bounds included."""
    return {"type": "number", "minimum": least, "maximum": most}


def many(items: Schema) -> Schema:
    """A list without repetition."""
    return {"type": "array", "items": items, "uniqueItems": True}


def closed(properties: dict[str, Schema], required: list[str]) -> Schema:
    """An object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_DNS: Final = rf"{_LABEL}(\.{_LABEL})*"
_SECRET_KEY: Final = text(r"[-._a-zA-Z0-9]{1,253}", empty=False)
_QUANTITY: Final = r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?"
_CPU: Final = {"type": ["string", "number"], "pattern": r"^([0-9]+(\.[0-9]+)?m?)?$", "exclusiveMinimum": 0}
_BYTES: Final = text(_QUANTITY, empty=False)
_NAME: Final = text(_DNS)
_NAMES: Final = many(text(_DNS, empty=False))
_HOSTS: Final = many(text(rf"(\*\.)?{_DNS}", empty=False))
_KEY: Final = rf"^({_DNS}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
_LABELS: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": _KEY},
    "additionalProperties": text(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"),
}
_ANNOTATIONS: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": _KEY},
    "additionalProperties": {"type": "string"},
}
_RANGES: Final = many(
    text(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/[0-9]{1,3}", empty=False)
)
_PARENTS: Final = many(
    closed(
        {
            "name": text(_DNS, empty=False),
            "namespace": text(_LABEL, empty=False),
            "sectionName": text(_DNS, empty=False),
            "port": whole(1, 65_535),
        },
        ["name"],
    )
)
_PERCENT: Final[Schema] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}
_SECONDS: Final = whole(1, 3600)
_TIMES: Final = whole(1, 1000)

RULES: Final[dict[str, Schema]] = {
    "image.repository": text(r"[a-z0-9][-a-z0-9._]*(:[0-9]+/[-a-z0-9._]+)?(/[-a-z0-9._]+)*"),
    "image.tag": text(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"),
    "image.digest": text(r"sha256:[0-9a-f]{64}"),
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": _NAMES,
    "autoscaling.min": whole(1, 10_000),
    "autoscaling.max": whole(1, 10_000),
    "autoscaling.cpu.utilization": whole(1, 1000),
    "autoscaling.inFlight.average": {"type": "number", "exclusiveMinimum": 0},
    "autoscaling.scaleDownSeconds": whole(0, 3600),
    "rollout.maxSurge": {"anyOf": [whole(1, 10_000), text(r"[1-9][0-9]{0,2}%", empty=False)]},
    "rollout.minReadySeconds": whole(0, 3600),
    "rollout.progressDeadlineSeconds": whole(1, 86_400),
    "rollout.revisionHistoryLimit": whole(1, 1000),
    "probes.startup.periodSeconds": _SECONDS,
    "probes.startup.failureThreshold": _TIMES,
    "probes.readiness.periodSeconds": _SECONDS,
    "probes.readiness.timeoutSeconds": _SECONDS,
    "probes.readiness.failureThreshold": _TIMES,
    "probes.liveness.periodSeconds": _SECONDS,
    "probes.liveness.timeoutSeconds": _SECONDS,
    "probes.liveness.failureThreshold": _TIMES,
    "terminationGracePeriodSeconds": whole(0, 7200),
    "resources.requests.cpu": _CPU | {"minLength": 1},
    "resources.requests.memory": _BYTES,
    "resources.requests.ephemeral-storage": _BYTES,
    "resources.limits.cpu": _CPU,
    "resources.limits.memory": _BYTES,
    "resources.limits.ephemeral-storage": _BYTES,
    "scratchSize": _BYTES,
    "topologySpread": many(
        closed(
            {
                "topologyKey": {"type": "string", "pattern": _KEY},
                "maxSkew": whole(1, 10_000),
                "whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
            },
            ["topologyKey", "maxSkew", "whenUnsatisfiable"],
        )
    ),
    "priorityClassName": _NAME,
    "nodeSelector": _LABELS,
    "tolerations": many(
        closed(
            {
                "key": {"type": "string"},
                "operator": {"enum": ["Equal", "Exists"]},
                "value": {"type": "string"},
                "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                "tolerationSeconds": whole(0),
            },
            [],
        )
    ),
    "podAnnotations": _ANNOTATIONS,
    "podSecurity.runAsUser": whole(0),
    "serviceAccount.annotations": _ANNOTATIONS,
    "auth.existingSecret": _NAME,
    "auth.key": _SECRET_KEY,
    "ids.existingSecret": _NAME,
    "ids.key": _SECRET_KEY,
    "otlp.endpoint": text(r"https?://[^/\s]+(/\S*)?"),
    "otlp.sampleRatio": number(0, 1),
    "route.hostnames": _HOSTS,
    "route.parentRefs": _PARENTS,
    "route.grpc.hostnames": _HOSTS,
    "route.grpc.parentRefs": _PARENTS,
    "ingress.className": _NAME,
    "ingress.annotations": _ANNOTATIONS,
    "ingress.hosts": _HOSTS,
    "ingress.tlsSecret": _NAME,
    "networkPolicy.gateway.namespaceLabels": _LABELS,
    "networkPolicy.gateway.podLabels": _LABELS,
    "networkPolicy.gateway.cidrs": _RANGES,
    "networkPolicy.monitoring.namespaceLabels": _LABELS,
    "networkPolicy.monitoring.podLabels": _LABELS,
    "networkPolicy.monitoring.cidrs": _RANGES,
    "serviceMonitor.interval": text(r"([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?", empty=False) | {"minLength": 2},
    "serviceMonitor.additionalLabels": _LABELS,
    "prometheusRule.additionalLabels": _LABELS,
    "slo.availability.objective": _PERCENT,
    "slo.latency.threshold": {"enum": list(EDGES)},
    "slo.latency.objective": _PERCENT,
    "slo.accuracy.floor": _PERCENT,
    "slo.drift.ceiling": {"type": "number", "exclusiveMinimum": 0},
    "slo.canary.errors": _PERCENT,
    "slo.canary.slow": _PERCENT,
    "slo.canary.flips": _PERCENT,
    "slo.canary.scores": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "test.existingSecret": _NAME,
    "test.key": _SECRET_KEY,
}
"""The whole schema of a value, but for its description, where its default does not say enough."""


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
    try:
        wanted = generate(VALUES.read_text("utf-8"), DOCUMENT.read_text("utf-8"))
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


def generate(values: str, document: str) -> dict[Path, str]:
    """What each file should hold, from the text of values.yaml and that of the document as it is."""
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise Refused("values.yaml is no mapping.")
    lines = values.splitlines()
    leaves = list(_leaves(root, lines, ""))
    unknown = sorted(RULES.keys() - {leaf.path for leaf in leaves})
    if unknown:
        raise Refused(f"tools/values_schema.py has rules for {', '.join(unknown)}, which values.yaml does not.")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart serving",
        **_object(yaml.safe_load(values), {leaf.path: leaf for leaf in leaves}, ""),
    }
    before, found, rest = document.partition(START)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise Refused(f"docs/chart.md lacks the lines {START} and {END}.")
    return {
        SCHEMA: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        DOCUMENT: f"{before}{START}\n{_table(leaves)}{END}{after}",
    }


def _leaves(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Leaf]:
    """Values in the order of the file; a list, or a map with a rule of its own, is one value, whatever it holds."""
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value and path not in RULES:
            yield from _leaves(value, lines, f"{path}.")
        else:
            # What is nested in a default has a comment where it stands.
            for inner in _inner(value):
                _comment(lines, inner.end_mark, path)
            mark = value.end_mark if value.start_mark.line == key.start_mark.line else key.end_mark
            yield Leaf(path, yaml.safe_load(yaml.serialize(value)), _comment(lines, mark, path))


def _inner(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Values of the maps in a list or a map."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _inner(item)
    elif isinstance(node, yaml.MappingNode):
        yield from (value for _, value in node.value if isinstance(value, yaml.ScalarNode))


def _comment(lines: list[str], mark: yaml.Mark, path: str) -> str:
    """The comment that follows a place in its line."""
    _, found, said = lines[mark.line][mark.column :].partition("# ")
    if not found or not said.strip():
        raise Refused(f"values.yaml, line {mark.line + 1}: {path} needs a comment beside it, with its unit.")
    return said.strip()


def _object(values: dict[str, Any], leaves: dict[str, Leaf], prefix: str) -> Schema:
    """The schema of a group."""
    properties: dict[str, Schema] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        leaf = leaves.get(path)
        if leaf is None:
            properties[name] = _object(value, leaves, f"{path}.")
        else:
            properties[name] = {"description": leaf.meaning, **_rule(leaf)}
    if prefix == "settings.":
        properties = settings() | {name: {**settings()[name], **given} for name, given in properties.items()}
    return closed(properties, list(values))


def _rule(leaf: Leaf) -> Schema:
    if leaf.path in RULES:
        return RULES[leaf.path]
    if leaf.path.startswith("settings."):
        return {}
    if not isinstance(leaf.default, bool):
        raise Refused(f"tools/values_schema.py needs a rule for {leaf.path}: only true and false speak for themselves.")
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
