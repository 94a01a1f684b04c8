"""What the values of the charts may be, where a default does not say enough; tools/values_schema.py reads it."""

from typing import Any, Final

from bentos.metrics.labels import EDGES

Schema = dict[str, Any]


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
_QUANTITY: Final = r"(0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)(k|Ki|M|Mi|G|Gi|T|Ti)?"
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
_PORTS: Final = many(whole(1, 65_535))
_PERCENT: Final[Schema] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}
_SECONDS: Final = whole(1, 3600)
_TIMES: Final = whole(1, 1000)

IMAGE: Final[dict[str, Schema]] = {
    "image.repository": text(r"[a-z0-9][-a-z0-9._]*(:[0-9]+/[-a-z0-9._]+)?(/[-a-z0-9._]+)*"),
    "image.tag": text(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"),
    "image.digest": text(r"sha256:[0-9a-f]{64}"),
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": _NAMES,
}
PODS: Final[dict[str, Schema]] = {
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
}


def resources(at: str = "") -> dict[str, Schema]:
    """Rules of the amounts that a container may use."""
    return {
        f"{at}resources.requests.cpu": _CPU | {"minLength": 1},
        f"{at}resources.requests.memory": _BYTES,
        f"{at}resources.requests.ephemeral-storage": _BYTES,
        f"{at}resources.limits.cpu": _CPU,
        f"{at}resources.limits.memory": _BYTES,
        f"{at}resources.limits.ephemeral-storage": _BYTES,
        f"{at}scratchSize": _BYTES,
    }


def peers(at: str) -> dict[str, Schema]:
    """Rules of one side of a NetworkPolicy."""
    return {f"{at}.namespaceLabels": _LABELS, f"{at}.podLabels": _LABELS, f"{at}.cidrs": _RANGES}


SERVING: Final[dict[str, Schema]] = {
    **IMAGE,
    **PODS,
    **resources(),
    **peers("networkPolicy.gateway"),
    **peers("networkPolicy.monitoring"),
    "networkPolicy.gateway.namespaces": many(text(_LABEL, empty=False)),
    "networkPolicy.monitoring.namespaces": many(text(_LABEL, empty=False)),
    "networkPolicy.dns.ports": _PORTS | {"minItems": 1},
    "networkPolicy.otlp.ports": _PORTS,
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
    "serviceAccount.annotations": _ANNOTATIONS,
    "auth.existingSecret": _NAME,
    "auth.key": _SECRET_KEY,
    "ids.existingSecret": _NAME,
    "ids.key": _SECRET_KEY,
    "otlp.endpoint": text(r"https?://[^/@\s]+(/\S*)?"),
    "otlp.sampleRatio": number(0, 1),
    "route.hostnames": _HOSTS,
    "route.parentRefs": _PARENTS,
    "route.grpc.hostnames": _HOSTS,
    "route.grpc.parentRefs": _PARENTS,
    "canary.image.repository": IMAGE["image.repository"],
    "canary.image.tag": IMAGE["image.tag"],
    "canary.image.digest": IMAGE["image.digest"],
    "canary.weight": whole(0, 100),
    "canary.autoscaling.min": whole(1, 10_000),
    "canary.autoscaling.max": whole(1, 10_000),
    "canary.stableMin": whole(0, 10_000),
    "canary.header.value": text(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,63}"),
    "shadow.share": number(0, 1),
    "shadow.concurrency": whole(1, 64),
    "shadow.timeoutSeconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60},
    "ingress.className": _NAME,
    "ingress.annotations": _ANNOTATIONS,
    "ingress.hosts": _HOSTS,
    "ingress.tlsSecret": _NAME,
    "serviceMonitor.interval": text(r"([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?", empty=False) | {"minLength": 2},
    "serviceMonitor.additionalLabels": _LABELS,
    "prometheusRule.additionalLabels": _LABELS,
    "prometheusRule.runbookUrl": text(r"(https?://)?[-A-Za-z0-9._~/:%]+", empty=False),
    "prometheusRule.minimumRequests": whole(1),
    "prometheusRule.minimumFailures": whole(1),
    "prometheusRule.minimumObservations": whole(50),
    "prometheusRule.canaryHours": whole(1, 10_000),
    "prometheusRule.mixedMinutes": whole(1, 100_000),
    "prometheusRule.speedup": whole(1, 300),
    "grafana.url": text(r"https?://[^/@\s]+(/\S*)?"),
    "grafana.dashboards.additionalLabels": _LABELS,
    "grafana.dashboards.annotations": _ANNOTATIONS,
    "slo.availability.objective": _PERCENT,
    "slo.latency.threshold": {"enum": list(EDGES)},
    "slo.latency.objective": _PERCENT,
    "slo.latency.p95": {"type": "number", "exclusiveMinimum": 0, "maximum": EDGES[-1]},
    "slo.errors.ratio": _PERCENT,
    "slo.errors.clients": _PERCENT,
    "slo.accuracy.floor": _PERCENT,
    "slo.accuracy.margin": number(0, 100),
    "slo.accuracy.outcomes": whole(10),
    "slo.accuracy.outcomesBelowOffline": whole(10),
    "slo.drift.floor": {"type": "number", "exclusiveMinimum": 0},
    "slo.drift.ceiling": {"type": "number", "exclusiveMinimum": 0},
    "slo.age.days": {"type": "number", "exclusiveMinimum": 0},
    "slo.saturation.percent": _PERCENT,
    "slo.canary.errors": _PERCENT,
    "slo.canary.slow": _PERCENT,
    "slo.canary.flips": _PERCENT,
    "slo.canary.scores": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "test.existingSecret": _NAME,
    "test.key": _SECRET_KEY,
}
"""Of helm/serving: the whole schema of a value, but for its description, where its default does not say enough."""

CANDIDATES: Final = ("xgboost", "logistic_regression", "hist_gradient_boosting", "random_forest")
"""Candidates that training knows."""

_DEADLINE: Final = whole(60, 7 * 86_400)
_RETRIES: Final = whole(0, 100)
_KEPT: Final = whole(1, 100)
_MODES: Final[Schema] = {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]}
_HOST: Final = rf"(\*\.)?{_DNS}(:(\*|[0-9]+))?"


def _field(*values: str) -> str:
    """One field of cron: values and ranges of them, each with a step or none, between commas."""
    value = f"({'|'.join(values)})"
    item = rf"(\*|\?|{value}(-{value})?)(/[1-9][0-9]*)?"
    return rf"{item}(,{item})*"


def _words(*words: str) -> list[str]:
    """Words in letters of either case."""
    return ["".join(f"[{letter}{letter.upper()}]" for letter in word) for word in words]


_MONTHS: Final = _words(*("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
_DAYS: Final = _words("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON: Final = " ".join(
    [
        _field("[0-5]?[0-9]"),
        _field("[01]?[0-9]", "2[0-3]"),
        _field("0?[1-9]", "[12][0-9]", "3[01]"),
        _field("0?[1-9]", "1[0-2]", *_MONTHS),
        _field("[0-6]", *_DAYS),
    ]
)


def volume(at: str) -> dict[str, Schema]:
    """Rules of a PersistentVolumeClaim."""
    return {
        f"{at}.existingClaim": _NAME,
        f"{at}.size": _BYTES,
        f"{at}.storageClassName": _NAME,
        f"{at}.accessMode": _MODES,
    }


TRAINING: Final[dict[str, Schema]] = {
    **IMAGE,
    **PODS,
    **peers("networkPolicy.clients"),
    **resources("mlflow."),
    **volume("mlflow.volume"),
    **resources("training."),
    **resources("shards."),
    **volume("shards.volume"),
    "podSecurity.fsGroup": whole(1),
    "serviceAccount.annotations": _ANNOTATIONS,
    "mlflow.workers": whole(1, 64),
    "mlflow.allowedHosts": many(text(_HOST, empty=False)),
    "mlflow.startupSeconds": _SECONDS,
    "mlflow.database.existingSecret": _NAME,
    "mlflow.database.key": _SECRET_KEY,
    "mlflow.database.port": whole(1, 65_535),
    "mlflow.s3.bucket": text(r"[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]"),
    "mlflow.s3.prefix": text(r"[-A-Za-z0-9_.]+(/[-A-Za-z0-9_.]+)*"),
    "mlflow.s3.endpoint": text(r"https?://[^/@\s]+/?"),
    "mlflow.s3.region": text(r"[-a-z0-9]+"),
    "mlflow.s3.existingSecret": _NAME,
    "mlflow.s3.accessKeyId": _SECRET_KEY,
    "mlflow.s3.secretAccessKey": _SECRET_KEY,
    "mlflow.external.uri": text(r"https?://[^/@\s]+(/[^@\s]*)?"),
    "mlflow.external.existingSecret": _NAME,
    "mlflow.external.username": _SECRET_KEY,
    "mlflow.external.password": _SECRET_KEY,
    "training.schedule": text(rf"@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{_CRON}", empty=False),
    "training.timeZone": text(r"[A-Za-z]+([-+/_A-Za-z0-9]*)", empty=False),
    # The kubelet would put a variable in place of $(NAME).
    "training.source.uri": text(r"[^$]+"),
    "training.source.existingSecret": _NAME,
    "training.source.key": _SECRET_KEY,
    "training.source.table": text(r"[^\s$]{1,128}", empty=False),
    "training.source.bad": {"enum": ["refuse", "set-aside"]},
    "training.algorithms": many({"enum": list(CANDIDATES)}),
    "training.rows": {"anyOf": [{"const": 0}, whole(1000)]},
    "training.trials": whole(0, 100_000),
    "training.folds": {"anyOf": [{"const": 0}, whole(2, 20)]},
    "training.seed": whole(0),
    "training.gateSlowdown": number(1, 1000),
    "training.backoffLimit": _RETRIES,
    "training.activeDeadlineSeconds": _DEADLINE,
    "training.startingDeadlineSeconds": whole(10, 86_400),
    "training.successfulJobsHistoryLimit": _KEPT,
    "training.failedJobsHistoryLimit": _KEPT,
    "shards.seed": whole(0, 10**9 - 1),
    "shards.count": whole(1, 100_000),
    "shards.rows": whole(1, 10**9 - 1),
    "shards.parallelism": whole(1, 1000),
    "shards.backoffLimit": _RETRIES,
    "shards.activeDeadlineSeconds": _DEADLINE,
    "networkPolicy.dns.ports": _PORTS | {"minItems": 1},
    "networkPolicy.mlflowPorts": _PORTS,
    "networkPolicy.trainingPorts": _PORTS,
}
"""Of helm/training."""
