"""Commands that change nothing: ``status``, ``history`` and ``rbac``."""

import time
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.live import Live as Screen

from k8s.rollout import lease, release, show
from k8s.rollout import rbac as rights
from k8s.rollout.api import Api
from k8s.rollout.errors import RolloutError
from k8s.rollout.given import Context, Form, Kubeconfig, Namespace, Output, Release, Voice, cluster
from k8s.rollout.live import Live
from k8s.rollout.record import Record, Records

_REFRESH_S = 2.0


def status(
    name: Release,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until the rollout has ended.")] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Form.TEXT,
) -> None:
    """Show the last rollout: step, weight, requests of both tracks, and what each check says."""
    api = cluster(kubeconfig, context, namespace)
    records = Records(api, name)
    if watch and output is Form.TEXT:
        with Screen(console=Console(highlight=False), auto_refresh=False) as screen:
            while True:
                record, who, weight = _now(api, records, name)
                screen.update(show.state(record, who, weight), refresh=True)
                if not record.open:
                    return
                time.sleep(_REFRESH_S)
    record, who, weight = _now(api, records, name)
    while watch and record.open:
        time.sleep(_REFRESH_S)
        record, who, weight = _now(api, records, name)
    Voice(output).answer(show.as_json(record, driver=who, live_weight=weight), show.state(record, who, weight))


def _now(api: Api, records: Records, name: str) -> tuple[Record, str | None, int | None]:
    record = records.newest()
    try:
        weight = Live(api, name).weight(release.newest(api, name))
    except RolloutError:
        weight = None
    return record, lease.driver(api, name), weight


def history(
    name: Release,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = Form.TEXT,
) -> None:
    """List the rollouts of a release, also when their Events are gone."""
    found = Records(cluster(kubeconfig, context, namespace), name).all()
    Voice(output).answer([show.as_json(each) for each in found], show.listed(found))


def rbac(
    account: Annotated[str, typer.Argument(help="ServiceAccount that drives.")] = "kubectl-canary",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the release.")] = "default",
    account_namespace: Annotated[str, typer.Option(help="Namespace of the account; the release's by default.")] = "",
    prometheus: Annotated[str, typer.Option(help="NAMESPACE/SERVICE:PORT, as start takes it.")] = "",
) -> None:
    """Print the Role that a driver needs, and its binding, for `kubectl apply -f -`."""
    typer.echo(yaml.safe_dump_all(rights.manifests(namespace, account, account_namespace, prometheus), sort_keys=False))
