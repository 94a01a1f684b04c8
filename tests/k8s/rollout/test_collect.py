"""What a look keeps where one of its sources is silent."""

import math
from typing import Any

import pytest

from k8s.rollout.analysis import Tracks
from k8s.rollout.api import Api
from k8s.rollout.collect import Collector
from k8s.rollout.errors import Unreachable
from k8s.rollout.evidence import gateway
from k8s.rollout.evidence.gateway import PRESETS, Gateway, Prometheus, Reading, Sample
from k8s.rollout.live import Live
from tests.k8s.rollout.conftest import ApiServer
from tests.k8s.rollout.world import NEW, World

POD = "/api/v1/namespaces/models/pods/canary-v2"


class Told(Gateway):
    """A gateway whose readings are these, one after the other; None is a Prometheus that does not answer."""

    readings: list[Tracks[Reading] | None]

    def read(self) -> Tracks[Reading]:
        found = self.readings.pop(0)
        if found is None:
            raise Unreachable("Prometheus gave no answer.")
        return found


@pytest.fixture
def world(server: ApiServer) -> World:
    made = World(server)
    image = {"repository": "localhost/battle", "tag": "v2"}
    made.upgrade({"canary": {"enabled": True, "image": image, "weight": 50}}, "canary", ())
    return made


@pytest.fixture
def asked(api: Api, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(gateway, "_WINDOW_S", math.inf)
    return Told(Prometheus(api, "monitoring/prometheus:9090"), PRESETS["traefik"], "models", "battle")


def collector(api: Api, asked: Told) -> Collector:
    return Collector(api, Live(api, "battle"), asked, 0.5, {"stable": "1", "canary": "2"})


def reading(at: float, stable: float, canary: float, failed: float) -> Tracks[Reading]:
    def of(**codes: float) -> Reading:
        return {
            frozenset({("code", code.strip("_")), ("instance", "g")}): Sample(at, value)
            for code, value in codes.items()
        }

    return Tracks(of(_200=stable), of(_200=canary, _502=failed))


def test_a_silent_prometheus_hides_no_trouble(api: Api, world: World, asked: Told) -> None:
    asked.readings = [None, None]
    found = collector(api, asked)
    found.look()
    crash: dict[str, Any] = {"restartCount": 3}
    world.server.objects[POD]["status"] = {"conditions": [], "containerStatuses": [crash]}
    look = found.look()
    assert "again and again" in look.trouble
    assert look.absent


@pytest.mark.parametrize("after", [None, reading(2, 20, math.nan, 0), reading(2, 5, 20, 0)])
def test_what_pods_counted_is_kept_where_the_gateway_is_not_read(
    api: Api, world: World, asked: Told, after: Tracks[Reading] | None
) -> None:
    asked.readings = [reading(1, 10, 10, 0), after]
    found = collector(api, asked)
    found.look()
    found.look()
    look = found.look()
    assert look.missing
    assert look.interval is not None
    assert look.interval.gateway is None
    assert world.weight() == 50
    assert look.interval.canary.requests > 0


def test_what_the_gateway_counted_is_kept_where_no_pod_could_be_read(api: Api, world: World, asked: Told) -> None:
    asked.readings = [reading(1, 10, 10, 0), reading(2, 20, 10, 10)]
    found = collector(api, asked)
    found.look()
    found.look()
    world.server.objects[POD]["status"]["conditions"] = []
    look = found.look()
    assert look.interval is None
    assert look.gateway is not None
    assert (look.gateway.stable.errors, look.gateway.canary.errors) == (0, 10)


def test_an_empty_first_reading_is_replaced(api: Api, world: World, asked: Told) -> None:
    assert world.image("canary") == NEW
    asked.readings = [Tracks({}, {}), reading(1, 10, 10, 0), reading(2, 20, 10, 10)]
    found = collector(api, asked)
    looks = [found.look() for _ in range(4)]
    assert looks[-1].interval is not None
    assert looks[-1].interval.gateway is not None
    assert looks[-1].interval.gateway.canary.errors == 10
