"""What the pods use of what they may: CPU, memory, disk, restarts, and how many there are."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring.dashboards.parts import NO_OTHERS, OWN, PODS, RATE, Query, alerts, dashboard, lines, row

NAME: Final = "resources"
ALERTS: Final = "Model(Cpu|Memory|Disk)High|ModelCrashLooping|ModelAutoscalerAtMaximum"
_CONTAINER: Final = 'namespace="$namespace",container="server"'
_ITS_PODS: Final = f"and on (namespace, pod) (up{{{PODS}}} {NO_OTHERS})"


def _limit(resource: str) -> Query:
    return Query(f'max(release:resource:limit{{{OWN},resource="{resource}"}})', "limit")


def _alarm(resource: str) -> Query:
    share = f"scalar(max(slo:saturation:percent{{{OWN}}})) / 100"
    return Query(f'max(release:resource:limit{{{OWN},resource="{resource}"}}) * {share}', "threshold of the alert")


def made() -> Dashboard:
    """The dashboard."""
    return (
        dashboard(NAME, "resources", "CPU, memory, disk, restarts and pods of one release.")
        .with_row(row("Pods"))
        .with_panel(alerts(ALERTS))
        .with_panel(
            lines(
                "CPU",
                "Cores by pod, by the kubelet's word or the process's own. Without a limit there is no line for it.",
                [
                    Query(
                        f"max by (pod) (rate(container_cpu_usage_seconds_total{{{_CONTAINER}}}[{RATE}]) {_ITS_PODS})"
                        f" or sum by (pod) (rate(process_cpu_seconds_total{{{PODS}}}[{RATE}]) {NO_OTHERS})",
                        "{{pod}}",
                    )
                ],
                "cores",
            )
        )
        .with_panel(
            lines(
                "Memory",
                "Working set by pod. What grows steadily leaks; past the limit the pod is killed.",
                [
                    Query(
                        f"max by (pod) (container_memory_working_set_bytes{{{_CONTAINER}}} {_ITS_PODS})"
                        f" or max by (pod) (process_resident_memory_bytes{{{PODS}}} {NO_OTHERS})",
                        "{{pod}}",
                    ),
                    _limit("memory"),
                    _alarm("memory"),
                ],
                "bytes",
            )
        )
        .with_panel(
            lines(
                "Disk",
                "Files in the scratch folder by pod, the only one that can be written.",
                [
                    Query(f"max by (pod) (process_scratch_bytes{{{PODS}}} {NO_OTHERS})", "{{pod}}"),
                    _limit("disk"),
                    _alarm("disk"),
                ],
                "bytes",
            )
        )
        .with_panel(
            lines(
                "Pods",
                "That can be scraped, by track, against the bounds of the autoscaler.",
                [
                    Query(f"count by (track) (up{{{PODS}}} == 1 {NO_OTHERS})", "{{track}}"),
                    Query(f"max(release:pods:min{{{OWN}}})", "at least"),
                    Query(f"max(release:pods:max{{{OWN}}})", "at most"),
                ],
                "short",
            )
        )
        .with_panel(
            lines(
                "Starts within an hour",
                "Of the process in each pod, beyond its first.",
                [Query(f"max by (pod) (changes(process_start_time_seconds{{{PODS}}}[1h]) {NO_OTHERS})", "{{pod}}")],
                "short",
            )
        )
        .with_panel(
            lines(
                "Open files",
                "Connections are files.",
                [Query(f"max by (pod) (process_open_fds{{{PODS}}} {NO_OTHERS})", "{{pod}}")],
                "short",
            )
        )
    )
