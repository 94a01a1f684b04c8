"""The limits of the gRPC door that few callers reach; ``grpc_door/test_door.py`` has the others."""

import socket
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bentos.core import Core
from tests.bentos.grpc_door import doors
from tests.bentos.grpc_door.test_door import HalfOpen, code_of, start

C = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING


def http2_settings(port: int) -> dict[int, int]:
    """What a server says of itself first, by the numbers of RFC 9113, 6.5.2."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        with connection.makefile("rb") as stream:
            head = stream.read(9)
            assert head[3] == 4
            body = stream.read(int.from_bytes(head[:3]))
    return dict(struct.iter_unpack(">HI", body))


def test_streams_and_metadata_of_a_connection_are_bounded(core: Core) -> None:
    with doors.open_door(core, limit={"in_flight": 5}, grpc={"header_bytes": 4096}) as door:
        found = http2_settings(door.port)
    assert found[3] == 20  # SETTINGS_MAX_CONCURRENT_STREAMS
    assert found[6] == 4096  # SETTINGS_MAX_HEADER_LIST_SIZE


def test_metadata_are_refused_by_their_length_and_not_at_random(core: Core) -> None:
    # gRPC's own two limits are 8 and 16 KiB, and between them it refuses some calls and others not.
    request = doors.raw_battle(core)
    for limit in (4096, 32768):
        with doors.open_door(core, grpc={"header_bytes": limit}) as door, doors.connect(door) as channel:
            for _ in range(20):
                assert doors.infer(channel, request, metadata=(("x-a", "a" * (limit - 1000)),)).outputs
                refused = code_of(lambda: doors.infer(channel, request, metadata=(("x-a", "a" * (limit + 500)),)))  # noqa: B023
                assert refused[0] is C.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("lane", "path", "most", "sentence"),
    [
        ("open", f"/{doors.SERVICE}/ServerReady", 16, "Too many calls for readiness are waiting already."),
        ("health", "/grpc.health.v1.Health/Check", 16, "Too many health checks are waiting already."),
        ("health", "/grpc.health.v1.Health/Watch", 16, "Too many health checks are waiting already."),
    ],
)
def test_calls_without_a_key_have_places_of_their_own(
    core: Core, lane: str, path: str, most: int, sentence: str
) -> None:
    with (
        doors.open_door(core, limit={"in_flight": 4}, grpc={"threads": 1}) as door,
        doors.connect(door) as channel,
        # Beside the places, there are as many streams that one connection may have.
        doors.connect(door) as another,
    ):
        half = [HalfOpen(channel, path) for _ in range(most)]
        doors.until(lambda: len(getattr(door.desk, lane)) == most)
        refused = HalfOpen(another, path)
        assert code_of(refused.call) == (C.RESOURCE_EXHAUSTED, sentence)
        assert doors.infer(another, doors.raw_battle(core)).outputs
        for call in (*half, refused):
            call.call.cancel()
            call.done.set()
        doors.until(lambda: len(getattr(door.desk, lane)) == 0)


def test_watchers_are_bounded_and_give_their_places_back(core: Core) -> None:
    with doors.open_door(core) as door, doors.connect(door) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()

        def watch() -> Any:
            call = stub.Watch(request, timeout=60)
            assert next(call).status == SERVING
            return call

        watches = [watch() for _ in range(256)]
        assert code_of(lambda: next(stub.Watch(request, timeout=20))) == (
            C.RESOURCE_EXHAUSTED,
            "There are 256 watchers already.",
        )
        for call in watches:
            call.cancel()
        doors.until(lambda: not door._health._watchers)
        watch().cancel()


def questions(count: int) -> Iterator[Any]:
    for _ in range(count):
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=doors.SERVICE)


def test_questions_of_a_stream_of_reflection_are_bounded(core: Core) -> None:
    with doors.open_door(core) as door, doors.connect(door) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = list(stub.ServerReflectionInfo(questions(1005), timeout=50))
    assert len(answers) == 1000


def test_a_caller_of_reflection_that_does_not_read_is_let_go(core: Core) -> None:
    # A window that does not grow, so that the answers do not all fit into it.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    with (
        doors.open_door(core, grpc={"message_seconds": 0.5}) as door,
        grpc.insecure_channel(f"127.0.0.1:{door.port}", options=options) as channel,
    ):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(questions(900), timeout=60)
        doors.until(lambda: len(door.desk.reflection) == 1)
        doors.until(lambda: len(door.desk.reflection) == 0)
        with pytest.raises(grpc.RpcError):
            list(call)


def test_long_messages_are_computed_one_after_another_and_short_ones_beside_them(core: Core) -> None:
    with doors.open_door(core) as door, doors.connect(door) as channel:
        long = doors.raw_battle(core)
        long.id = "x" * (256 << 10)
        with door.desk.large:
            call = start(channel, long)
            doors.until(lambda: len(door.desk.inference) == 1)
            assert doors.infer(channel, doors.raw_battle(core)).outputs
            assert not call.done()
        assert call.result(20)


def test_rows_are_bounded(core: Core) -> None:
    sample = core.contract.parity.rows
    assert len(sample) > 3
    most, core.most_rows = core.most_rows, 3
    try:
        with doors.open_door(core) as door, doors.connect(door) as channel:
            assert doors.infer(channel, doors.raw_battle(core, 3)).outputs
            refused = code_of(lambda: doors.infer(channel, doors.raw_battle(core, 4)))
    finally:
        core.most_rows = most
    assert refused[0] is C.INVALID_ARGUMENT
    assert "more values than the longest request" in refused[1]
