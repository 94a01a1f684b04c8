"""Live objects of a release: what runs, who gets traffic, and where they differ from what Helm wrote.

Someone may change them by hand at any moment (``kubectl rollout undo``, ``kubectl patch``). The driver does not write
over that: it says what it sees and holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from k8s.rollout.api import Api, Object
from k8s.rollout.errors import NotThere
from k8s.rollout.release import Revision

APPS: Final = "apps/v1"
SCALING: Final = "autoscaling/v2"
GATEWAY: Final = "gateway.networking.k8s.io/v1"
TRACKS: Final = ("stable", "canary")
_PLACES: Final = {
    "Deployment": (APPS, "deployments"),
    "HorizontalPodAutoscaler": (SCALING, "horizontalpodautoscalers"),
    "HTTPRoute": (GATEWAY, "httproutes"),
    "GRPCRoute": (GATEWAY, "grpcroutes"),
}
ROUTES: Final = ("HTTPRoute", "GRPCRoute")
_LASTING: Final = dict.fromkeys(("InvalidImageName", "ErrImageNeverPull"), "has no image")
_PASSING: Final = {
    **dict.fromkeys(("ErrImagePull", "ImagePullBackOff"), "has no image"),
    **dict.fromkeys(("CreateContainerConfigError", "CreateContainerError", "RunContainerError"), "cannot start"),
}
"""A registry that was slow once is no fault of the new version's; what stays so is, after ``--ready-minutes``."""
_RESTARTS: Final = 2
"""Ends of a container after which it does not merely start anew: the kubelet begins to back off."""


@dataclass(frozen=True)
class Pod:
    """What matters of a pod.

    Attributes:
        name, track, uid: of it.
        restarts: ends of its container so far.
        ready: whether it takes requests.
        trouble: one sentence on a crash, a kill or an image that can never be there, or None.
        waits: one sentence on what keeps its container from a start, and may pass, or None.
    """

    name: str
    track: str
    uid: str
    restarts: int
    ready: bool
    trouble: str | None
    waits: str | None = None


@dataclass
class Live:
    """The objects of one release.

    Args:
        api: the cluster.
        release: its name.
        chart: name of the chart, which the labels hold.
        since: UTC, as the API server writes it; how a container ended before is no trouble. Empty counts all.
    """

    api: Api
    release: str
    chart: str = "serving"
    since: str = ""
    _routes: dict[str, bool] = field(default_factory=dict)

    def name(self, track: str) -> str:
        """Of the track's Deployment, Service and autoscaler."""
        return f"{self.release}-{track}"

    def find(self, kind: str, name: str) -> Object | None:
        """An object, or None where there is none."""
        group, plural = _PLACES[kind]
        try:
            return self.api.get(self.api.group(group, plural, name))
        except NotThere:
            return None

    def differences(self, revision: Revision) -> list[str]:
        """One sentence for each thing that decides who runs or who gets traffic and is not as the revision has it."""
        said: list[str] = []
        for kind in _PLACES:
            for wanted in revision.of_kind(kind):
                name = wanted["metadata"]["name"]
                there = self.find(kind, name)
                if there is None:
                    said.append(f"{kind} {name} is gone")
                    continue
                said += _compare(kind, name, dict(_facts(kind, wanted)), dict(_facts(kind, there)))
        return said

    def pods(self) -> list[Pod]:
        """Its pods, without those that are about to go."""
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/name={self.chart},track"
        found = self.api.items(self.api.core("pods"), selector)
        return [_pod(each, self.since) for each in found if "deletionTimestamp" not in each["metadata"]]

    def unready(self, track: str, image: str) -> str | None:
        """Why a track does not wholly run an image, or None: rolled out, ready, at its autoscaler's minimum."""
        deployment = self.find("Deployment", self.name(track))
        if deployment is None:
            return f"there is no Deployment {self.name(track)}"
        spec, status = deployment["spec"], deployment.get("status") or {}
        if image_of(deployment) != image:
            return f"{self.name(track)} is to run another image than {image}"
        if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
            return f"{self.name(track)} has not been looked at by its controller"
        scaler = self.find("HorizontalPodAutoscaler", self.name(track))
        least = scaler["spec"].get("minReplicas", 1) if scaler else 1
        wanted = max(spec.get("replicas", 1), least)
        for word, key in (("new", "updatedReplicas"), ("ready", "availableReplicas")):
            if status.get(key, 0) < wanted:
                return f"{status.get(key, 0)} of {wanted} pods of {self.name(track)} are {word}"
        if status.get("replicas", 0) > status.get("updatedReplicas", 0):
            return f"old pods of {self.name(track)} still run"
        return None

    def available(self, track: str) -> int:
        """Pods of a track that are of its newest template and ready for requests: so many at least."""
        status = (self.find("Deployment", self.name(track)) or {}).get("status") or {}
        old = int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))
        return int(status.get("availableReplicas", 0)) - old

    def replicas(self, track: str) -> int:
        """Pods that a track's Deployment wants, by its autoscaler's word; 0 where there is none."""
        deployment = self.find("Deployment", self.name(track))
        return 0 if deployment is None else int(deployment["spec"].get("replicas", 1))

    def unrouted(self, revision: Revision) -> str | None:
        """Why the gateway may not have taken the weights, or None: Accepted and ResolvedRefs at this generation."""
        for kind in ROUTES:
            for wanted in revision.of_kind(kind):
                name = wanted["metadata"]["name"]
                there = self.find(kind, name)
                if there is None:
                    return f"there is no {kind} {name}"
                parents = (there.get("status") or {}).get("parents") or []
                if not parents:
                    return f"no gateway has taken {kind} {name}"
                generation = there["metadata"]["generation"]
                for parent in parents:
                    for condition in ("Accepted", "ResolvedRefs"):
                        problem = _condition(parent.get("conditions") or [], condition, generation)
                        if problem:
                            return f"{kind} {name} {problem}"
        return None

    def weight(self, revision: Revision) -> int:
        """Percent of the requests that the live route gives the canary; of several rules the greatest."""
        found = [0]
        for kind in ROUTES:
            for wanted in revision.of_kind(kind):
                there = self.find(kind, wanted["metadata"]["name"])
                found += [
                    weight
                    for (_, backend), weight in _facts(kind, there or {})
                    if isinstance(backend, str) and backend.startswith(f"{self.name('canary')}:")
                ]
        return max(found)


def image_of(deployment: Object) -> str:
    """The image of a Deployment's one container."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


Fact = tuple[tuple[str, Any], Any]


def _facts(kind: str, found: Object) -> Iterator[Fact]:
    """What of an object decides who runs or who gets traffic, as the chart and the API server write it alike."""
    spec = found.get("spec") or {}
    if kind == "Deployment":
        for container in spec["template"]["spec"]["containers"]:
            yield ("image", container["name"]), container["image"]
            for variable in container.get("env") or []:
                # What is taken from elsewhere gets fields of the API server's own.
                if "valueFrom" not in variable:
                    yield ("variable", variable["name"]), variable.get("value", "")
        yield ("field", "paused"), bool(spec.get("paused"))
    elif kind == "HorizontalPodAutoscaler":
        yield ("field", "minReplicas"), spec.get("minReplicas", 1)
        yield ("field", "maxReplicas"), spec.get("maxReplicas")
    else:
        for place, rule in enumerate(spec.get("rules") or []):
            for backend in rule.get("backendRefs") or []:
                named = f"{backend['name']}:{backend.get('port')}"
                # A tester's rule leads everything it matches to the canary, and has no part in the weights.
                if not any(match.get("headers") for match in rule.get("matches") or []):
                    yield (f"weight in rule {place + 1} of", named), backend.get("weight", 1)


def _compare(kind: str, name: str, wanted: dict[Any, Any], there: dict[Any, Any]) -> Iterator[str]:
    for key in {**wanted, **there}:
        ours, theirs = wanted.get(key), there.get(key)
        if (ours or "") != (theirs or "") or (ours == 0) != (theirs == 0):
            what, which = key
            if what == "variable":
                # Values of the environment may be secrets, and the record and Events are read by many.
                yield f"{kind} {name} has another value of {what} {which} than the release"
                continue
            yield f"{kind} {name} has {what} {which} {theirs!r} where the release has {ours!r}"


def _condition(conditions: list[Object], kind: str, generation: int) -> str | None:
    found = next((each for each in conditions if each["type"] == kind), None)
    if found is None:
        return f"has no condition {kind}"
    if found.get("observedGeneration", 0) < generation:
        return f"has not been looked at since it changed ({kind} at generation {found.get('observedGeneration', 0)})"
    if found["status"] != "True":
        return f"is not {kind}: {found.get('message', found.get('reason', ''))}"
    return None


def _pod(found: Object, since: str) -> Pod:
    meta, status = found["metadata"], found.get("status") or {}
    containers = status.get("containerStatuses") or [{}]
    restarts = sum(each.get("restartCount", 0) for each in containers)
    return Pod(
        name=meta["name"],
        track=meta["labels"]["track"],
        uid=meta["uid"],
        restarts=restarts,
        ready=any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or []),
        trouble=_trouble(meta["name"], containers, since),
        waits=next((said for each in containers if (said := _waits(meta["name"], each, _PASSING))), None),
    )


def _trouble(name: str, containers: list[Object], since: str) -> str | None:
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        ended = (each.get("lastState") or {}).get("terminated") or (each.get("state") or {}).get("terminated") or {}
        said = str(ended.get("message") or "").strip().splitlines()
        last = f": {said[-1][:300]}" if said else ""
        # A container that ended long ago may have every restart of its pod's life to its name.
        lately = str(ended.get("finishedAt") or since) >= since
        if lately and ended.get("reason") == "OOMKilled":
            return f"{name} was killed for memory"
        if waiting.get("reason") == "CrashLoopBackOff" or (lately and each.get("restartCount", 0) >= _RESTARTS):
            return f"{name} crashes again and again (status {ended.get('exitCode')}){last}"
        if never := _waits(name, each, _LASTING):
            return never
    return None


def _waits(name: str, container: Object, reasons: Mapping[str, str]) -> str | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    what = reasons.get(waiting.get("reason", ""))
    return what and f"{name} {what}: {str(waiting.get('message', waiting['reason']))[:300]}"
