"""More load than the pods are meant for brings more pods, less takes them away again, both by real metrics."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

import grpc
import pytest

from bentos.grpc_door.wire.inference_pb2 import ModelInferRequest, ModelInferResponse
from tests.e2e import generator
from tests.e2e.cluster import Namespace, until
from tests.e2e.conftest import Measured
from tests.e2e.images import Images
from tests.e2e.load import GRPC, Load
from tests.e2e.release import Release
from tests.e2e.watching import Endpoints

MIN, MAX = 1, 3
BY_CPU: Final[dict[str, Any]] = {
    "autoscaling": {"min": MIN, "max": MAX, "cpu": {"utilization": 50}, "scaleDownSeconds": 15},
    "resources": {"requests": {"cpu": "200m"}},
}
BY_REQUESTS: Final[dict[str, Any]] = {
    "autoscaling": {"cpu": {"enabled": False}, "inFlight": {"enabled": True, "average": 2}},
}
_LOW: Final = {"rate": 4, "connections": 2}
_HIGH: Final = {"rate": 150, "connections": 16}
_CALLERS: Final = 9
_HELD_S: Final = 5
_OUT_S: Final = 120
_IN_S: Final = 150

pytestmark = pytest.mark.usefixtures("space")


class Asked:
    """The release, clients that it can bear with one pod, and the watch of its endpoints."""

    def __init__(self, release: Release, load: Load, endpoints: Endpoints) -> None:
        self.release, self.load, self.endpoints = release, load, endpoints

    def pods(self, number: int, within_s: float) -> float:
        """Wait for a number of ready pods; returns the seconds that it took."""
        start = time.monotonic()
        until(f"{number} pods", lambda: len(self.endpoints.ready) == number, within_s)
        return time.monotonic() - start

    def metrics(self) -> list[dict[str, Any]]:
        """What the autoscaler goes by, with the figures that it read."""
        found: list[dict[str, Any]] = self.release.space.get("hpa", self.release.stable)["status"]["currentMetrics"]
        return found


class SlowCallers:
    """Callers whose calls are open for seconds before their message comes: in flight, and without a use of CPU."""

    def __init__(self, host: str, callers: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._host, self._end = host, threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(callers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        request = ModelInferRequest(model_name="battle")
        for name, value in generator.ROW.items():
            request.inputs.add(name=name, datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(value.encode())
        options: list[tuple[str, str | int]] = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        options.append(("grpc.default_authority", self._host))
        with grpc.insecure_channel("{}:{}".format(*GRPC), options) as channel:
            call: Any = channel.stream_unary(generator.METHOD, None, ModelInferResponse.FromString)
            while not self._end.is_set():
                try:
                    call(self._late(request.SerializeToString()), timeout=60)
                    self.outcomes["OK"] += 1
                except grpc.RpcError as error:
                    self.outcomes[error.code().name] += 1

    def _late(self, message: bytes) -> Iterator[bytes]:
        self._end.wait(_HELD_S)
        yield message


@pytest.fixture(scope="module")
def asked(module_space: Namespace, images: Images) -> Iterator[Asked]:
    release = Release(module_space, "battle")
    release.install(images.version("1").values, BY_CPU)
    with release.asked(**_LOW) as (load, endpoints):
        yield Asked(release, load, endpoints)


def test_the_use_of_cpu(asked: Asked, measured: Measured) -> None:
    asked.pods(MIN, _IN_S)
    with asked.load.during("all of it") as phase:
        with asked.release.load(**_HIGH) as more:
            out_s = asked.pods(MAX, _OUT_S)
            (metric,) = asked.metrics()
        in_s = asked.pods(MIN, _IN_S)
        asked.load.answered(20)
    high = more.stop()
    measured(f"out to {MAX} pods after {out_s:.0f} s, in to {MIN} after {in_s:.0f} s; {high}; few: {phase.tally}")
    assert metric["resource"]["name"] == "cpu"
    assert high.failed == 0
    assert phase.tally.failed == 0


def test_requests_in_flight(asked: Asked, measured: Measured) -> None:
    asked.release.upgrade(BY_REQUESTS)
    asked.pods(MIN, _IN_S)
    with asked.load.during("all of it") as phase:
        with SlowCallers(asked.release.host, _CALLERS) as callers:
            out_s = asked.pods(MAX, _OUT_S)
            (metric,) = asked.metrics()
        in_s = asked.pods(MIN, _IN_S)
        asked.load.answered(20)
    measured(
        f"out to {MAX} pods after {out_s:.0f} s, in to {MIN} after {in_s:.0f} s; "
        f"{_CALLERS} slow callers: {dict(callers.outcomes)}; others: {phase.tally}"
    )
    assert metric["pods"]["metric"]["name"] == "api_requests_in_flight"
    assert set(callers.outcomes) == {"OK"}
    assert phase.tally.failed == 0
