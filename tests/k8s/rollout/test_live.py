"""What someone changed by hand is seen, and what the API server adds by itself is not."""

from copy import deepcopy
from typing import Any

import pytest

from k8s.rollout.api import Api
from k8s.rollout.collect import trouble_of
from k8s.rollout.live import Live, Pod
from k8s.rollout.release import Revision
from tests.k8s.rollout.conftest import ApiServer

Object = dict[str, Any]


def deployment(image: str = "a:v1") -> Object:
    container = {"name": "server", "image": image, "env": [{"name": "PDX_TRACK", "value": "stable"}]}
    return {
        "kind": "Deployment",
        "metadata": {"name": "battle-stable", "generation": 4},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def scaler(least: int = 2) -> Object:
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "battle-stable"},
        "spec": {"minReplicas": least, "maxReplicas": 10},
    }


def route(weight: int = 5, generation: int = 7, seen: int = 7, accepted: str = "True") -> Object:
    backends = [
        {"name": "battle-stable", "port": 3000, "weight": 100 - weight},
        {"name": "battle-canary", "port": 3000, "weight": weight},
    ]
    tester = {"matches": [{"headers": [{"name": "x-canary"}]}], "backendRefs": [{**backends[1], "weight": 1}]}
    conditions = [
        {"type": kind, "status": accepted, "observedGeneration": seen, "message": "no such Service"}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "battle", "generation": generation},
        "spec": {"rules": [tester, {"matches": [{"path": {"value": "/"}}], "backendRefs": backends}]},
        "status": {"parents": [{"conditions": conditions}]},
    }


MADE = Revision("battle", 3, "deployed", "", {}, {}, [deployment(), scaler(), route()])


@pytest.fixture
def live(api: Api, server: ApiServer) -> Live:
    """Live objects as the release has them, with what the API server adds."""
    put(server, deployment(), scaler(), route())
    there = server.objects["/apis/apps/v1/namespaces/models/deployments/battle-stable"]
    there["spec"] |= {"replicas": 2, "paused": False, "progressDeadlineSeconds": 180}
    there["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/termination-log"
    return Live(api, "battle")


def put(server: ApiServer, *found: Object) -> None:
    places = {
        "Deployment": "apps/v1/namespaces/models/deployments",
        "HorizontalPodAutoscaler": "autoscaling/v2/namespaces/models/horizontalpodautoscalers",
        "HTTPRoute": "gateway.networking.k8s.io/v1/namespaces/models/httproutes",
    }
    for each in deepcopy(found):
        server.put(f"/apis/{places[each['kind']]}/{each['metadata']['name']}", each)


def test_nothing_was_changed(live: Live) -> None:
    assert live.differences(MADE) == []


def without_image() -> Object:
    found = deployment()
    found["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "other"
    return found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (deployment("a:v0"), ("Deployment battle-stable", "'a:v0'", "'a:v1'")),  # kubectl rollout undo
        (without_image(), ("PDX_TRACK", "another value")),
        (scaler(1), ("HorizontalPodAutoscaler battle-stable", "minReplicas", "1", "2")),
        (route(50), ("HTTPRoute battle", "battle-canary", "50", "5")),
        (route(0), ("HTTPRoute battle", "battle-canary", "0", "5")),
    ],
)
def test_what_was_changed_is_said(live: Live, server: ApiServer, found: Object, words: tuple[str, ...]) -> None:
    put(server, found)
    said = "; ".join(live.differences(MADE))
    assert all(word in said for word in words), said
    assert "other'" not in said  # the environment may hold secrets


def test_an_object_that_is_gone(live: Live, server: ApiServer) -> None:
    del server.objects["/apis/gateway.networking.k8s.io/v1/namespaces/models/httproutes/battle"]
    assert live.differences(MADE) == ["HTTPRoute battle is gone"]


def test_the_live_weight_is_not_that_of_testers(live: Live, server: ApiServer) -> None:
    assert live.weight(MADE) == 5
    put(server, route(0))
    assert live.weight(MADE) == 0


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (route(), None),
        (route(generation=8), "since it changed"),
        (route(accepted="False"), "no such Service"),
        ({**route(), "status": {}}, "no gateway"),
    ],
)
def test_conditions_count_at_this_generation(live: Live, server: ApiServer, found: Object, word: str | None) -> None:
    put(server, found)
    said = live.unrouted(MADE)
    assert (said is None) == (word is None)
    assert word is None or word in str(said)


READY = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize(
    ("image", "status", "word"),
    [
        ("a:v1", READY, None),
        ("a:v2", READY, "another image"),
        ("a:v1", {**READY, "observedGeneration": 3}, "controller"),
        ("a:v1", {**READY, "availableReplicas": 1}, "1 of 2 pods of battle-stable are ready"),
        ("a:v1", {**READY, "replicas": 3}, "old pods"),
    ],
)
def test_a_track_that_is_wholly_there(
    live: Live, server: ApiServer, image: str, status: Object, word: str | None
) -> None:
    there = server.objects["/apis/apps/v1/namespaces/models/deployments/battle-stable"]
    # The autoscaler's minimum counts, also before the Deployment has heard of it.
    there["spec"]["replicas"], there["status"] = 1, status
    said = live.unready("stable", image)
    assert (said is None) == (word is None), said
    assert word is None or word in str(said)


@pytest.mark.parametrize(("counts", "new"), [((2, 2, 1), 1), ((12, 3, 9), 0), ((3, 2, 3), 2)])
def test_pods_of_an_old_template_are_not_counted(
    live: Live, server: ApiServer, counts: tuple[int, int, int], new: int
) -> None:
    there = server.objects["/apis/apps/v1/namespaces/models/deployments/battle-stable"]
    there["status"] = dict(zip(("replicas", "updatedReplicas", "availableReplicas"), counts, strict=True))
    assert live.available("stable") == new


def pod(name: str, track: str, **container: Any) -> Object:
    return {
        "metadata": {"name": name, "uid": name, "labels": {"track": track}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"restartCount": 0, **container}],
        },
    }


OOM = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}, "restartCount": 1}
CRASH = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 78, "message": "The bundle's digest does not fit."}},
}


@pytest.mark.parametrize(
    ("container", "word"),
    [
        ({}, None),
        ({"restartCount": 1}, None),  # once is an accident
        ({"restartCount": 2}, "again and again"),
        (OOM, "memory"),
        (CRASH, "digest does not fit"),
        ({"state": {"waiting": {"reason": "ErrImageNeverPull"}}}, "no image"),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, None),  # a registry may have been slow
    ],
)
def test_trouble_of_pods(live: Live, server: ApiServer, container: Object, word: str | None) -> None:
    for each in (pod("s", "stable"), pod("c", "canary", **container)):
        server.put(f"/api/v1/namespaces/models/pods/{each['metadata']['name']}", each)
    there = live.pods()
    said = trouble_of(there)
    assert bool(said) == (word is not None)
    assert word is None or word in said


def test_what_both_tracks_have_is_not_the_canarys_fault() -> None:
    both = [
        Pod(name, track, name, 3, ready=False, trouble="crashes") for name, track in (("s", "stable"), ("c", "canary"))
    ]
    assert trouble_of(both) == ""


def test_what_stable_has_come_over_hides_nothing() -> None:
    stable = Pod("s", "stable", "s", 3, ready=True, trouble="s was killed for memory")
    canary = Pod("c", "canary", "c", 3, ready=False, trouble="c crashes")
    assert trouble_of([stable, canary]) == "c crashes"


@pytest.mark.parametrize(("ended", "found"), [("2026-01-01T11:59:59Z", False), ("2026-01-01T12:00:00Z", True)])
@pytest.mark.parametrize("reason", ["OOMKilled", "Error"])
def test_ends_before_the_rollout_are_no_trouble(
    live: Live, server: ApiServer, ended: str, reason: str, *, found: bool
) -> None:
    live.since = "2026-01-01T12:00:00Z"
    last = {"terminated": {"reason": reason, "exitCode": 137, "finishedAt": ended}}
    server.put("/api/v1/namespaces/models/pods/s", pod("s", "stable", restartCount=7, lastState=last))
    (there,) = live.pods()
    assert bool(there.trouble) == found


def test_pods_that_go_are_none(live: Live, server: ApiServer) -> None:
    gone = pod("c", "canary", **CRASH)
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    server.put("/api/v1/namespaces/models/pods/c", gone)
    assert live.pods() == []
