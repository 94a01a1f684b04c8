"""A world in which a second is a few milliseconds, and its driver."""

import pytest

from k8s.rollout import analysis, back, engine, gates, prepare, work
from k8s.rollout.analysis import Plan
from k8s.rollout.api import Api
from k8s.rollout.work import Work
from tests.k8s.rollout.conftest import ApiServer
from tests.k8s.rollout.engine.driver import Driver
from tests.k8s.rollout.world import World


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is a few milliseconds."""
    slept = Work.sleep
    monkeypatch.setattr(Work, "sleep", lambda self, seconds: slept(self, seconds / 300))
    monkeypatch.setattr(work, "_POLL_S", 0.02)
    monkeypatch.setattr(gates, "_POLL_S", 0.02)
    monkeypatch.setattr(engine, "_PENDING_S", 0.2)
    monkeypatch.setattr(engine, "_POLL_S", 0.05)
    monkeypatch.setattr(back, "_POLL_S", 0.05)
    monkeypatch.setattr(back, "SCALED_S", 0.3)
    monkeypatch.setattr(prepare, "TRAFFIC_S", 0.1)
    # A second of simulation, of which tests/k8s/rollout/analysis sees to.
    expected = Plan(20.0, (4.0,), (10, 50), 0.015, 0.015, None, 0.0)
    monkeypatch.setattr(analysis, "plan", lambda *_, **__: expected)


@pytest.fixture
def world(server: ApiServer) -> World:
    return World(server)


@pytest.fixture
def driver(world: World, api: Api) -> Driver:
    return Driver(world, api)
