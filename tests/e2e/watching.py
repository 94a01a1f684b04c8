"""Which pods a Service sends requests to, written down at every change."""

import threading
import time
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import kubernetes.watch

from tests.e2e.cluster import Namespace

_RENEW_S: Final = 5


class Change(NamedTuple):
    """A state and when it began, in monotonic seconds."""

    at: float
    ready: frozenset[str]


class Endpoints:
    """Watches the EndpointSlices of a Service in a thread: gateways and kube-proxy go by the very same.

    Args:
        space: where the Service is.
        service: its name.
    """

    def __init__(self, space: Namespace, service: str) -> None:
        self._api, self._namespace = space.cluster.discovery, space.name
        self._selector = f"kubernetes.io/service-name={service}"
        self._slices: dict[str, frozenset[str]] = {}
        self._changes: list[Change] = []
        self._seen, self._end = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._seen.wait(30), f"no EndpointSlice of {self._selector}: {self._failure}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join(_RENEW_S + 30)
        if kind is None and self._failure is not None:
            raise self._failure

    @property
    def ready(self) -> frozenset[str]:
        """Names of the pods that get requests now."""
        return self._changes[-1].ready

    def lowest(self, start: float, end: float | None = None) -> int:
        """The fewest ready pods between two times, the state at ``start`` included."""
        last = float("inf") if end is None else end
        before = [change for change in self._changes if change.at <= start][-1:]
        within = [change for change in self._changes if start < change.at <= last]
        return min(len(change.ready) for change in (*before, *within))

    def ever(self, start: float) -> frozenset[str]:
        """Names of all pods that got requests since a time, the state then included."""
        before = [change for change in self._changes if change.at <= start][-1:]
        since = [change for change in self._changes if change.at > start]
        return frozenset().union(*(change.ready for change in (*before, *since)))

    def left(self, pod: str, after: float) -> float | None:
        """When a pod was no longer ready, in monotonic seconds; None while it still is."""
        return next((change.at for change in self._changes if change.at > after and pod not in change.ready), None)

    def _run(self) -> None:
        version = None
        try:
            while not self._end.is_set():
                if version is None:
                    version = self._list()
                version = self._follow(version)
        except BaseException as error:  # noqa: BLE001  raised in the test's own thread
            self._failure = error

    def _list(self) -> str:
        found = self._api.list_namespaced_endpoint_slice(self._namespace, label_selector=self._selector)
        self._slices = {each.metadata.name: _ready(each) for each in found.items}
        self._note()
        version: str = found.metadata.resource_version
        return version

    def _follow(self, version: str) -> str | None:
        """Take changes for a while; returns where the next stretch begins, None where it has to list anew."""
        watch: Any = kubernetes.watch.Watch()  # type: ignore[no-untyped-call]
        stream = watch.stream(
            self._api.list_namespaced_endpoint_slice, self._namespace, label_selector=self._selector,
            resource_version=version, timeout_seconds=_RENEW_S,
        )  # fmt: skip
        try:
            for event in stream:
                each = event["object"]
                self._slices[each.metadata.name] = frozenset() if event["type"] == "DELETED" else _ready(each)
                self._note()
                version = each.metadata.resource_version
        except kubernetes.client.ApiException as error:
            if error.status == 410:
                return None
            raise
        return version

    def _note(self) -> None:
        ready = frozenset().union(*self._slices.values())
        if not self._changes or self._changes[-1].ready != ready:
            self._changes.append(Change(time.monotonic(), ready))
        self._seen.set()


def _ready(each: Any) -> frozenset[str]:
    return frozenset(
        endpoint.target_ref.name
        for endpoint in each.endpoints or ()
        if endpoint.conditions.ready and endpoint.target_ref
    )
