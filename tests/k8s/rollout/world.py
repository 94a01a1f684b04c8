"""A namespace with one release in it: an API server, a helm, pods that count, and users.

Helm and the controllers are played, as far as a driver sees them: a helm that is asked for revisions keeps them as
Secrets and writes objects, pods are there as soon as they are asked for, and users' requests follow the live weights.
On a real cluster the same is shown by tests/e2e/canary; here every moment at which a driver may be killed is.
"""

import base64
import gzip
import json
import random
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from k8s.rollout.errors import Unreachable
from k8s.rollout.helm import Helm
from k8s.rollout.release import merged
from tests.k8s.rollout.conftest import ApiServer

Object = dict[str, Any]

NAMESPACE: Final = "models"
OLD: Final = "localhost/battle:v1"
NEW: Final = "localhost/battle:v2"
CHART: Final[Object] = {
    "metadata": {"name": "serving", "version": "1.0.0"},
    "values": {
        "image": {"repository": "", "tag": "", "digest": ""},
        "autoscaling": {"min": 2, "max": 10},
        "canary": {
            "enabled": False,
            "image": {"repository": "", "tag": "", "digest": ""},
            "weight": 0,
            "autoscaling": {"min": 1, "max": 10},
            "stableMin": 0,
        },
        "shadow": {"share": 0},
        "slo": {
            "availability": {"objective": 99.0},
            "latency": {"threshold": 0.5, "objective": 99},
            "accuracy": {"margin": 0.5},
            "canary": {"errors": 1.0, "slow": 1.0, "flips": 0.5, "scores": 0.05},
        },
    },
}


class Killed(Exception):
    """The driver, by SIGKILL: nothing of it runs any more, not even what ends a block."""


class World:
    """The namespace.

    Attributes:
        server: its API server.
        errors: share of failing answers, by image.
        rate: requests a second, all together.
        revisions: of the release.
        applied: how Helm writes them.
        writes: weight and images of stable and canary after each revision of helm's.
        before: called before helm does something, with its words.
        half: called when a revision is stored as pending and its objects are written, before it is said to be deployed.
    """

    def __init__(self, server: ApiServer, **values: Any) -> None:
        self.server = server
        self.errors: dict[str, float] = {}
        self.rate = 4000.0
        self.restarts: dict[str, int] = {}
        self.revisions: list[Object] = []
        self.applied = "ssa"
        self.writes: list[tuple[int, str, str | None]] = []
        self.before: Callable[[tuple[str, ...]], None] = lambda _: None
        self.half: Callable[[tuple[str, ...]], None] = lambda _: None
        self._random = random.Random(1)  # noqa: S311  users of a simulation
        self._counted: dict[str, list[float]] = {}
        self._at = time.monotonic()
        self._generations: dict[str, int] = {}
        self.deploy(merged({"image": {"repository": "localhost/battle", "tag": "v1"}}, values))

    # Helm.

    def deploy(self, config: Object, description: str = "Install complete") -> None:
        """A plain deploy."""
        self._store(config, description, "deployed")
        self._apply(self.revisions[-1]["objects"])

    def upgrade(self, config: Object, description: str, words: tuple[str, ...]) -> None:
        whole = merged(self.revisions[-1]["config"], config)
        if self.revisions[-1]["status"].startswith("pending"):
            raise Unreachable("another operation (install/upgrade/rollback) is in progress")
        self._store(whole, "Preparing upgrade", "pending-upgrade")
        self._apply(self.revisions[-1]["objects"])
        self.half(words)
        self.revisions[-1]["description"] = description
        self._said("deployed")

    def rollback(self, number: int, words: tuple[str, ...]) -> None:
        found = self.revisions[number - 1]
        if self.revisions[-1]["status"].startswith("pending"):
            self._said("superseded")
        self._store(found["config"], f"Rollback to {number}", "pending-rollback")
        self._apply(self.revisions[-1]["objects"])
        self.half(words)
        self._said("deployed")

    def _store(self, config: Object, description: str, status: str) -> None:
        number = len(self.revisions) + 1
        for each in self.revisions:
            if each["status"] == "deployed":
                each["status"] = "superseded"
                self._secret(each)
        objects = self._rendered(merged(CHART["values"], config))
        found = {
            "number": number, "config": deepcopy(config), "description": description,
            "status": status, "objects": objects,
        }  # fmt: skip
        self.revisions.append(found)
        self._secret(found)

    def _said(self, status: str) -> None:
        self.revisions[-1]["status"] = status
        self._secret(self.revisions[-1])

    def _secret(self, found: Object) -> None:
        manifest = "\n---\n".join(json.dumps(each) for each in found["objects"])
        packed = {
            "name": "battle", "version": found["number"], "chart": CHART, "config": found["config"],
            "info": {"status": found["status"], "description": found["description"]}, "manifest": manifest,
            "apply_method": self.applied,
        }  # fmt: skip
        name = f"sh.helm.release.v1.battle.v{found['number']}"
        data = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(packed).encode()))).decode()
        labels = {"owner": "helm", "name": "battle", "version": str(found["number"]), "status": found["status"]}
        secret = {"metadata": {"name": name, "labels": labels}, "data": {"release": data}}
        self.server.put(f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}", secret)

    # The chart.

    def _rendered(self, values: Object) -> list[Object]:
        canary = values["canary"]
        tracks = {"stable": (values["image"], max(values["autoscaling"]["min"], canary["stableMin"]))}
        if canary["enabled"]:
            tracks["canary"] = (canary["image"], canary["autoscaling"]["min"])
        made: list[Object] = []
        for track, (image, least) in tracks.items():
            name = {"name": f"battle-{track}"}
            container = {"name": "server", "image": f"{image['repository']}:{image['tag']}"}
            made += [
                {"kind": "Deployment", "metadata": name, "spec": {"template": {"spec": {"containers": [container]}}}},
                {
                    "kind": "HorizontalPodAutoscaler", "metadata": name,
                    "spec": {"minReplicas": least, "maxReplicas": 10},
                },
            ]  # fmt: skip
        weights = (
            {"stable": 100 - canary["weight"], "canary": canary["weight"]} if canary["enabled"] else {"stable": 100}
        )
        backends = [{"name": f"battle-{track}", "port": 3000, "weight": weight} for track, weight in weights.items()]
        rules = [{"matches": [{"path": {"value": "/"}}], "backendRefs": backends}]
        return [*made, {"kind": "HTTPRoute", "metadata": {"name": "battle"}, "spec": {"rules": rules}}]

    # Controllers.

    def path(self, kind: str, name: str) -> str:
        """Of an object."""
        places = {
            "Deployment": f"apps/v1/namespaces/{NAMESPACE}/deployments",
            "HorizontalPodAutoscaler": f"autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers",
            "HTTPRoute": f"gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes",
        }
        return f"/apis/{places[kind]}/{name}"

    def live(self, kind: str, name: str) -> Object:
        """An object as it is."""
        return self.server.objects[self.path(kind, name)]

    def _apply(self, objects: list[Object]) -> None:
        self.advance()
        names = {(each["kind"], each["metadata"]["name"]) for each in objects}
        for kind in ("Deployment", "HorizontalPodAutoscaler"):
            if (kind, "battle-canary") not in names:
                self.server.objects.pop(self.path(kind, "battle-canary"), None)
        for each in deepcopy(objects):
            self.put(each)
        self._pods()
        canary = self.image("canary")
        self.writes.append((self.weight(), str(self.image("stable")), canary))

    def put(self, found: Object) -> None:
        """Write an object, by whomever."""
        path = self.path(found["kind"], found["metadata"]["name"])
        before = self.server.objects.get(path)
        generation = self._generations.get(path, 0) + (before is None or before["spec"] != found["spec"])
        self._generations[path] = generation
        found = deepcopy(found)
        found["metadata"] |= {"generation": generation, "namespace": NAMESPACE, "uid": path}
        if found["kind"] == "HTTPRoute":
            conditions = [
                {"type": kind, "status": "True", "observedGeneration": generation}
                for kind in ("Accepted", "ResolvedRefs")
            ]
            found["status"] = {"parents": [{"conditions": conditions}]}
        if found["kind"] == "Deployment":
            count = 100  # as many as any autoscaler asks for
            found["status"] = {
                "observedGeneration": generation,
                **dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count),
            }
        self.server.put(path, found)

    def image(self, track: str) -> str | None:
        """What a track runs."""
        found = self.server.objects.get(self.path("Deployment", f"battle-{track}"))
        return None if found is None else found["spec"]["template"]["spec"]["containers"][0]["image"]

    def weight(self) -> int:
        """Percent of the requests that go to the canary."""
        backends = self.live("HTTPRoute", "battle")["spec"]["rules"][0]["backendRefs"]
        return next((each["weight"] for each in backends if each["name"] == "battle-canary"), 0)

    def _pods(self) -> None:
        base = f"/api/v1/namespaces/{NAMESPACE}/pods"
        for path in [path for path in self.server.objects if path.startswith(f"{base}/")]:
            del self.server.objects[path]
        for track in ("stable", "canary"):
            image = self.image(track)
            if image is None:
                continue
            name = f"{track}-{image.rpartition(':')[2]}"
            status: Object = {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"restartCount": self.restarts.get(image, 0)}],
            }
            labels = {"track": track}
            self.server.put(
                f"{base}/{name}", {"metadata": {"name": name, "uid": name, "labels": labels}, "status": status}
            )
            version = image.rpartition(":v")[2]
            contract = {"name": "battle", "version": version, "task": "binary", "expectation": None}
            self.server.answers[f"{base}/{name}:3002/proxy/contract"] = (200, json.dumps(contract).encode())
            self.server.answers[f"{base}/{name}:3002/proxy/metrics"] = lambda _, n=name, v=version: (  # type: ignore[misc]
                200, self._metrics(n, v),
            )  # fmt: skip

    # Users.

    def advance(self) -> None:
        """Let the users ask for as long as has passed."""
        now = time.monotonic()
        seconds, self._at = now - self._at, now
        if self.path("HTTPRoute", "battle") not in self.server.objects:
            return
        weight = self.weight() / 100
        for track, share in (("stable", 1 - weight), ("canary", weight)):
            image = self.image(track)
            if image is None or not share or not self.rate:
                continue
            name = f"{track}-{image.rpartition(':')[2]}"
            mean = self.rate * share * seconds
            asked = max(0, round(self._random.gauss(mean, mean**0.5)))
            chance = self.errors.get(image, 0.0)
            failed = max(0, min(asked, round(self._random.gauss(asked * chance, (asked * chance) ** 0.5))))
            counted = self._counted.setdefault(name, [0.0, 0.0])
            counted[0] += asked - failed
            counted[1] += failed

    def _metrics(self, name: str, version: str) -> bytes:
        self.advance()
        right, failed = self._counted.get(name, (0.0, 0.0))
        common = f'transport="rest",route="/predict",model="battle",version="{version}"'
        lines = [
            f'api_requests_total{{{common},class="ok"}} {right}',
            f'api_requests_total{{{common},class="server"}} {failed}',
            f'api_request_duration_seconds_bucket{{{common},le="0.5"}} {right}',
            f'api_request_duration_seconds_bucket{{{common},le="+Inf"}} {right}',
            f"api_request_duration_seconds_count{{{common}}} {right}",
        ]
        return ("\n".join(lines) + "\n").encode()


class WorldsHelm(Helm):
    """helm in the world: what the driver would have said to the real one.

    Attributes:
        said: the words of each call.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._options = []
        self._program = "helm"
        self.history_max = 60
        self.said: list[tuple[str, ...]] = []

    def run(self, *words: str, stdin: str | None = None) -> str:
        self.said.append(words)
        self._world.before(words)
        if words[0] == "upgrade" and "--dry-run=server" not in words:
            description = words[words.index("--description") + 1]
            self._world.upgrade(json.loads(stdin or "{}"), description, words)
        elif words[0] == "rollback":
            self._world.rollback(int(words[2]), words)
        return ""
