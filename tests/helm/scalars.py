"""Finds names in rendered manifests that YAML reads as numbers, booleans, dates or nothing for want of quotes."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

NUMBERS: Final = frozenset(
    {
        *("activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "completions", "failedJobsHistoryLimit"),
        *("failureThreshold", "initialDelaySeconds", "maxFailedIndexes", "maxReplicas", "maxSkew", "maxSurge"),
        *("maxUnavailable", "minReadySeconds", "minReplicas", "averageUtilization", "parallelism", "periodSeconds"),
        *("port", "containerPort", "targetPort", "progressDeadlineSeconds", "replicas", "revisionHistoryLimit"),
        *("stabilizationWindowSeconds", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "timeoutSeconds"),
        *("terminationGracePeriodSeconds", "tolerationSeconds", "ttlSecondsAfterFinished", "weight"),
        *("defaultMode", "fsGroup", "runAsUser", "onExitCodes.values"),
        *("allowPrivilegeEscalation", "automountServiceAccountToken", "enableServiceLinks", "publishNotReadyAddresses"),
        *("readOnlyRootFilesystem", "readOnly", "runAsNonRoot", "suspend"),
    }
)
"""Fields that the charts render and Kubernetes takes as numbers or booleans, some with the field around them."""

TEXTS: Final = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "selector", "env", "args", "command"})
"""Fields whose values, at any depth, are never anything but strings."""

_GUESSED: Final = re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?0o[0-7_]+|[yYnN])$")
"""What Helm's reader, and not that of Python, takes for a number or a boolean: 1e3, 0o17, y."""


class _Reader(yaml.SafeLoader):
    """YAML 1.1, and what Helm's reader adds to it."""


_Reader.add_implicit_resolver("!guessed", _GUESSED, list("-+.0123456789yYnN"))
_Reader.add_constructor("!guessed", lambda _, node: (node.value,))


def load(text: str) -> list[dict[str, Any]]:
    """Manifests of a render; a plain scalar that any reader may take for something else is no string in them."""
    return [each for each in yaml.load_all(text, Loader=_Reader) if each]


def wrong(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Places of a manifest that hold no string and should: keys of maps, and values but those of NUMBERS."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                yield f"{'.'.join(path)} has the key {name!r}"
            yield from wrong(inner, (*path, str(name)))
    elif isinstance(value, list):
        for inner in value:
            yield from wrong(inner, path)
    elif not isinstance(value, str):
        meant = bool(NUMBERS & {path[-1], ".".join(path[-2:])}) and not TEXTS & set(path)
        if not meant or not isinstance(value, (int, float)):
            yield f"{'.'.join(path)} is {value!r}"
