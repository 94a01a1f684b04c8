"""What a driver may do: a Role for the release's namespace, and one for that of Prometheus."""

from typing import Any, Final

ALL: Final = ["get", "list", "watch", "create", "update", "patch", "delete"]
_RULES: Final[list[tuple[str, list[str], list[str]]]] = [
    # Helm's own: what the chart renders, and the Secrets in which it keeps revisions.
    ("", ["secrets", "configmaps", "services", "serviceaccounts"], ALL),
    ("apps", ["deployments"], ALL),
    ("autoscaling", ["horizontalpodautoscalers"], ALL),
    ("policy", ["poddisruptionbudgets"], ALL),
    ("networking.k8s.io", ["networkpolicies", "ingresses"], ALL),
    ("gateway.networking.k8s.io", ["httproutes", "grpcroutes"], ALL),
    ("monitoring.coreos.com", ["servicemonitors", "prometheusrules"], ALL),
    # The driver's.
    ("", ["pods"], ["get", "list"]),
    ("", ["pods/proxy"], ["get", "create"]),
    ("", ["events"], ["create"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "update"]),
]
"""Group, resources and verbs. Secrets cannot be narrowed by name: Helm makes one a revision, and lists them."""


def manifests(
    namespace: str, account: str, account_namespace: str = "", prometheus: str = "", name: str = "kubectl-canary"
) -> list[dict[str, Any]]:
    """Role and RoleBinding of an account, in the release's namespace, and in Prometheus' where that is asked.

    Args:
        namespace: of the release.
        account: a ServiceAccount.
        account_namespace: its own; empty takes the release's.
        prometheus: ``NAMESPACE/SERVICE:PORT`` as ``start`` takes it, or empty, or a URL, which needs no right.
        name: that the objects' names begin with; the rest says whose they are, so that none replace another's.
    """
    home = account_namespace or namespace
    name = "-".join([name, namespace, *([] if home == namespace else [home]), account])
    rules = [{"apiGroups": [group], "resources": resources, "verbs": verbs} for group, resources, verbs in _RULES]
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home}
    made = _bound(name, namespace, rules, subject)
    if prometheus and "://" not in prometheus:
        where, _, service = prometheus.partition("/")
        # The name that a proxy is asked by has the port in it.
        names = [service, service.partition(":")[0]]
        proxy = {"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": names, "verbs": ["get"]}
        made += _bound(f"{name}-prometheus", where, [proxy], subject)
    return made


def _bound(name: str, namespace: str, rules: list[dict[str, Any]], subject: dict[str, str]) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    meta = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]
