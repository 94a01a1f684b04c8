"""The gateway's counters by way of Prometheus: no data, NaN and silence are never zero errors."""

import json
import math
from typing import Any

import pytest

from k8s.rollout.analysis import Tracks
from k8s.rollout.api import Api
from k8s.rollout.errors import Refused, Unreachable
from k8s.rollout.evidence.gateway import PRESETS, Gateway, Prometheus, Reading, Sample
from tests.k8s.rollout.conftest import ApiServer

PROXY = "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query"
NOW = 1000.0


def series(code: str, at: float, value: str, instance: str = "g") -> dict[str, Any]:
    return {"metric": {"code": code, "instance": instance, "service": "x"}, "values": [[at - 15, "0"], [at, value]]}


def answer(server: ApiServer, *found: dict[str, Any]) -> None:
    body = {"status": "success", "data": {"resultType": "matrix", "result": list(found)}}
    server.answers[PROXY] = (200, json.dumps(body).encode())


@pytest.fixture
def gateway(api: Api) -> Gateway:
    return Gateway(Prometheus(api, "monitoring/prometheus:9090"), PRESETS["traefik"], "models", "battle")


def reading(at: float, instance: str = "g", **codes: float) -> Reading:
    return {
        frozenset({("code", code.strip("_")), ("instance", instance)}): Sample(at, value)
        for code, value in codes.items()
    }


def test_what_is_asked_and_read(gateway: Gateway, server: ApiServer) -> None:
    answer(server, series("200", NOW, "5"))
    found = gateway.read()
    assert list(found.stable.values()) == [Sample(NOW, 5.0)]
    queries = [path for _, path, _, _ in server.asked]
    assert "models-battle-stable-" in queries[0]
    assert "models-battle-canary-" in queries[1]


def test_growth_by_track(gateway: Gateway) -> None:
    before = Tracks(reading(NOW - 15, _200=100), reading(NOW - 15, _200=10))
    # A status that never came before is a new series.
    # Of gRPC it says gRPC's own status: 5 is NOT_FOUND there, which a caller may ask for.
    after = Tracks(reading(NOW, _200=150, _502=1), reading(NOW, _200=12, _504=3, _5=9))
    found = gateway.counts(before, after, clock=lambda: NOW)
    assert found is not None
    assert (found.stable.requests, found.stable.errors) == (51, 1)
    assert (found.canary.requests, found.canary.errors) == (14, 3)


def test_a_canary_that_nobody_asked_yet_has_no_series(gateway: Gateway) -> None:
    found = gateway.counts(Tracks(reading(NOW - 15, _200=1), {}), Tracks(reading(NOW, _200=2), {}), clock=lambda: NOW)
    assert found is not None
    assert (found.canary.requests, found.canary.errors) == (0, 0)


def test_no_scrape_between_is_no_count(gateway: Gateway) -> None:
    same = Tracks(reading(NOW, _200=1), reading(NOW, _200=1))
    assert gateway.counts(same, same, clock=lambda: NOW) is None


def test_old_samples_are_no_data(gateway: Gateway) -> None:
    before, after = Tracks(reading(NOW, _200=1), {}), Tracks(reading(NOW + 1, _200=2), {})
    with pytest.raises(Unreachable, match="no sample"):
        gateway.counts(before, after, clock=lambda: NOW + 100)


@pytest.mark.parametrize(
    "after",
    [reading(NOW, _200=math.nan), reading(NOW, _200=50), reading(NOW, instance="new", _200=500)],
    ids=["NaN", "reset", "another gateway's pod"],
)
def test_what_is_not_known_is_no_number(gateway: Gateway, after: Reading) -> None:
    found = gateway.counts(
        Tracks(reading(NOW - 15, _200=100), reading(NOW - 15, _200=1)), Tracks(after, reading(NOW, _200=2)),
        clock=lambda: NOW,
    )  # fmt: skip
    assert found is not None
    assert math.isnan(found.stable.requests)


@pytest.mark.parametrize(
    "said",
    [
        (200, b"<html>"), (200, b"{}"), (200, b'{"status": "error", "error": "no"}'), (503, b'{"kind": "Status"}'),
        (200, b'{"status": "success", "data": null}'),
    ],
)  # fmt: skip
def test_other_answers_are_no_data(gateway: Gateway, server: ApiServer, said: tuple[int, bytes]) -> None:
    server.answers[PROXY] = said
    with pytest.raises(Unreachable):
        gateway.read()


def test_a_url_is_asked_itself(api: Api, server: ApiServer) -> None:
    server.answers["/api/v1/query"] = (200, b'{"status": "success", "data": {"result": []}}')
    assert Prometheus(api, server.url).query("up") == []
    assert "authorization" not in server.asked[-1][2]


def test_nobody_there(api: Api) -> None:
    with pytest.raises(Unreachable):
        Prometheus(api, "http://127.0.0.1:1").query("up")


@pytest.mark.parametrize("where", ["prometheus", "monitoring/prometheus", "ftp://x/y"])
def test_a_place_that_is_none(api: Api, where: str) -> None:
    with pytest.raises(Refused):
        Prometheus(api, where)
