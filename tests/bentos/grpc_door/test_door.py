"""Limits, keys, health, and the end, through real connections."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bentos.core import Core
from bentos.errors import SettingsError
from bentos.grpc_door import GrpcDoor, calls, desk
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.keys import Keys, line_of
from bentos.logs import Refusals
from bentos.settings import Settings
from bentos.state import State
from tests.bentos.grpc_door import doors

C = grpc.StatusCode
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
KEY = "a-key-for-these-tests"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """Status and message of a call that has to fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call() if callable(call) else call.result(20)
    error: Any = caught.value
    return error.code(), error.details()


def start(channel: Any, request: Message) -> Any:
    """Call ModelInfer and do not wait."""
    return channel.unary_unary(f"/{doors.SERVICE}/ModelInfer").future(request.SerializeToString(), timeout=30)


class HalfOpen:
    """A call whose message never comes."""

    def __init__(self, channel: Any, path: str = f"/{doors.SERVICE}/ModelInfer") -> None:
        self.done = threading.Event()
        self.call = channel.stream_unary(path).future(self._nothing(), timeout=60)

    def _nothing(self) -> Iterator[bytes]:
        self.done.wait(60)
        yield from ()


# The methods that are not ModelInfer


def test_methods_while_loading_ready_and_stopping(core: Core) -> None:
    state = State()
    with doors.open_door(None, state=state) as door, doors.connect(door) as channel:
        named = pb.ModelReadyRequest(name="battle")

        def told() -> tuple[bool, bool, bool]:
            return (
                doors.ask(channel, "ServerLive", b"", pb.ServerLiveResponse).live,
                doors.ask(channel, "ServerReady", b"", pb.ServerReadyResponse).ready,
                doors.ask(channel, "ModelReady", named, pb.ModelReadyResponse).ready,
            )

        assert told() == (True, False, False)
        loading = (C.UNAVAILABLE, "The model is still loading.")
        assert code_of(lambda: doors.infer(channel, doors.raw_battle(core), wait_for_ready=False)) == loading
        assert code_of(lambda: doors.ask(channel, "ModelMetadata", named, pb.ModelMetadataResponse)) == loading
        assert doors.ask(channel, "ServerMetadata", b"", pb.ServerMetadataResponse).name == "predictiondex"
        state.core = core
        assert told() == (True, True, True)
        wrong = pb.ModelReadyRequest(name="battle", version="9")
        assert code_of(lambda: doors.ask(channel, "ModelReady", wrong, pb.ModelReadyResponse))[0] is C.NOT_FOUND
        state.stopping = True
        assert told() == (True, False, False)
        assert doors.infer(channel, doors.raw_battle(core)).outputs


def test_the_id_of_a_request_comes_back(channel: Any, core: Core) -> None:
    def ident(*given: tuple[str, str]) -> Any:
        call = channel.unary_unary(f"/{doors.SERVICE}/ModelInfer")
        _, done = call.with_call(doors.raw_battle(core).SerializeToString(), metadata=given, timeout=20)
        return dict(done.trailing_metadata())["x-request-id"]

    assert ident(("x-request-id", "mine-7")) == "mine-7"
    made = {ident(), ident(), ident(("x-request-id", "not one; of these")), ident(("x-request-id", "x" * 1000))}
    assert len(made) == 4
    assert all(0 < len(one) <= 64 for one in made)
    with pytest.raises(grpc.RpcError) as caught:
        doors.infer(channel, pb.ModelInferRequest(), metadata=(("x-request-id", "mine-8"),))
    error: Any = caught.value
    assert dict(error.trailing_metadata())["x-request-id"] == "mine-8"


def test_the_id_of_a_refused_call_comes_back_too(core: Core) -> None:
    def ident(channel: Any, method: str, *given: tuple[str, str]) -> tuple[str, Any]:
        with pytest.raises(grpc.RpcError) as caught:
            doors.ask(channel, method, doors.raw_battle(core), pb.ModelInferResponse, metadata=given)
        error: Any = caught.value
        trailing = dict(error.trailing_metadata())
        return trailing["pdx-code"], trailing["x-request-id"]

    mine = ("x-request-id", "mine-9")
    with doors.open_door(core, limit={"in_flight": 4}) as door, doors.connect(door) as channel:
        assert ident(channel, "RepositoryIndex", mine) == ("method_not_allowed", "mine-9")
        half = [HalfOpen(channel) for _ in range(4)]
        doors.until(lambda: len(door.desk.inference) == 4)
        assert ident(channel, "ModelInfer", mine) == ("overloaded", "mine-9")
        made = {ident(channel, "ModelInfer")[1], ident(channel, "ModelInfer", ("x-request-id", "a b"))[1]}
        assert len(made) == 2
        assert all(0 < len(one) <= 64 and " " not in one for one in made)
        door.desk.inference.close()
        assert ident(channel, "ModelInfer", mine) == ("not_ready", "mine-9")
        for call in half:
            call.call.cancel()
            call.done.set()


# Limits


def test_a_message_that_is_too_long(core: Core) -> None:
    with doors.open_door(core, grpc={"message_bytes": 4096}) as door, doors.connect(door) as channel:
        request = doors.raw_battle(core)
        request.id = "x" * 5000
        assert code_of(lambda: doors.infer(channel, request))[0] is C.RESOURCE_EXHAUSTED
        packed = code_of(lambda: doors.infer(channel, request, compression=grpc.Compression.Gzip))
        assert packed[0] is C.RESOURCE_EXHAUSTED
        request.id = "x" * 2000
        assert doors.infer(channel, request).outputs
        doors.until(lambda: len(door.desk.inference) == 0)


def test_metadata_that_is_too_long(core: Core) -> None:
    with doors.open_door(core, grpc={"header_bytes": 4096}) as door, doors.connect(door) as channel:
        request = doors.raw_battle(core)
        assert doors.infer(channel, request, metadata=(("x-a", "a" * 3000),)).outputs
        assert (
            code_of(lambda: doors.infer(channel, request, metadata=(("x-a", "a" * 5000),)))[0] is C.RESOURCE_EXHAUSTED
        )


def test_calls_in_flight_are_bounded_and_others_hear_it_at_once(core: Core) -> None:
    with doors.open_door(core, limit={"in_flight": 2}) as door, doors.connect(door) as channel:
        half = [HalfOpen(channel) for _ in range(2)]
        doors.until(lambda: len(door.desk.inference) == 2)
        before = time.monotonic()
        refused = code_of(lambda: doors.infer(channel, doors.raw_battle(core)))
        assert refused == (C.RESOURCE_EXHAUSTED, "There are 2 calls in flight already.")
        assert time.monotonic() - before < 5
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=20).status == SERVING
        for call in half:
            call.call.cancel()
            call.done.set()
        doors.until(lambda: len(door.desk.inference) == 0)
        assert doors.infer(channel, doors.raw_battle(core)).outputs


def test_callers_that_send_no_message_keep_nobody_from_being_answered(core: Core) -> None:
    with doors.open_door(core, grpc={"threads": 1, "message_seconds": 1}) as door, doors.connect(door) as channel:
        half = [HalfOpen(channel) for _ in range(20)]
        half += [HalfOpen(channel, "/grpc.health.v1.Health/Check") for _ in range(3)]
        doors.until(lambda: len(door.desk.inference) == 20 and len(door.desk.health) == 3)
        assert doors.infer(channel, doors.raw_battle(core)).outputs
        # They are cancelled by and by, without doing anything themselves.
        assert {code_of(call.call)[0] for call in half} == {C.CANCELLED}
        doors.until(lambda: len(door.desk.inference) == len(door.desk.health) == 0)
        for call in half:
            call.done.set()


def test_threads_bound_what_is_computed_at_once(core: Core) -> None:
    with doors.open_door(core, grpc={"threads": 2}) as door, doors.connect(door) as channel:
        with door.desk.permits:
            assert doors.infer(channel, doors.raw_battle(core)).outputs
            with door.desk.permits:
                call = start(channel, doors.raw_battle(core))
                doors.until(lambda: len(door.desk.inference) == 1)
                assert not call.done()
        assert call.result(20)


def test_a_call_without_a_message(channel: Any) -> None:
    call = channel.stream_unary(f"/{doors.SERVICE}/ModelInfer").future(iter(()), timeout=20)
    assert code_of(call) == (C.INVALID_ARGUMENT, "The call ended without a message.")


def test_nothing_is_computed_for_who_has_gone(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    predict = Core.predict

    def noted(*args: Any, **named: Any) -> Any:
        computed.append(1)
        return predict(*args, **named)

    monkeypatch.setattr(Core, "predict", noted)
    with doors.open_door(core, grpc={"threads": 1}) as door, doors.connect(door) as channel:
        with door.desk.permits:
            cancelled = start(channel, doors.raw_battle(core))
            late = channel.unary_unary(f"/{doors.SERVICE}/ModelInfer").future(
                doors.raw_battle(core).SerializeToString(), timeout=0.2
            )
            doors.until(lambda: len(door.desk.inference) == 2)
            cancelled.cancel()
            assert code_of(late)[0] is C.DEADLINE_EXCEEDED
        doors.until(lambda: len(door.desk.inference) == 0)
        assert not computed
        assert doors.infer(channel, doors.raw_battle(core)).outputs
        assert computed == [1]


@pytest.mark.parametrize("where", ["arrivals", "metadata"])
def test_a_bug_before_a_call_is_known_gives_its_place_back(
    core: Core, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("the secret")

    with doors.open_door(core, limit={"in_flight": 4}) as door, doors.connect(door) as channel:
        with monkeypatch.context() as patch:
            if where == "arrivals":
                nobody: Any = type("Nobody", (), {"append": lambda *_: None, "popleft": broken})()
                patch.setattr(door.desk, "arrivals", nobody)
            else:
                patch.setattr(calls, "_bytes", lambda value: broken() if value == "r-1" else value.encode())
            for _ in range(5):
                code, sentence = code_of(
                    lambda: doors.infer(channel, doors.raw_battle(core), metadata=(("x-request-id", "r-1"),))
                )
                assert code is C.INTERNAL
                assert sentence.startswith("The server failed on this request; its log has more under ")
        assert len(door.desk.inference) == 0
        assert doors.infer(channel, doors.raw_battle(core)).outputs


def test_a_bug_is_told_by_its_id_only(
    core: Core, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(Core, "predict", broken)
    with doors.open_door(core) as door, doors.connect(door) as channel:
        sent = (("x-request-id", "r-1"), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
        told = code_of(lambda: doors.infer(channel, doors.raw_battle(core), metadata=sent))
    assert told == (C.INTERNAL, "The server failed on this request; its log has more under r-1.")
    assert "the secret" in caplog.text
    (record,) = [record.__dict__ for record in caplog.records if record.levelno == logging.ERROR]
    fields = [record.get(name) for name in ("request_id", "trace_id", "transport", "route")]
    assert fields == ["r-1", TRACE, "grpc", "ModelInfer"]


def test_what_the_server_refuses_is_logged_and_what_the_caller_did_wrong_is_not(
    core: Core, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk, "refused", Refusals())
    state = State()
    with doors.open_door(None, state=state, limit={"in_flight": 4}) as door, doors.connect(door) as channel:
        for i in range(3):
            sent = (("x-request-id", f"loading-{i}"),)
            code_of(lambda: doors.infer(channel, doors.raw_battle(core), metadata=sent))  # noqa: B023
        state.core = core
        code_of(lambda: doors.infer(channel, b"\xff"))
        assert doors.infer(channel, doors.raw_battle(core)).outputs
        late = doors.raw_battle(core)
        late.parameters["timeout"].int64_param = 1
        code_of(lambda: doors.infer(channel, late, metadata=(("x-request-id", "late"),)))
        half = [HalfOpen(channel) for _ in range(4)]
        doors.until(lambda: len(door.desk.inference) == 4)
        code_of(lambda: doors.infer(channel, doors.raw_battle(core), metadata=(("x-request-id", "over"),)))
        for call in half:
            call.call.cancel()
            call.done.set()
    records = [record.__dict__ for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(each["transport"], each["route"], each["code"], each["request_id"]) for each in records] == [
        ("grpc", "ModelInfer", "not_ready", "loading-0"),
        ("grpc", "ModelInfer", "deadline_exceeded", "late"),
        ("grpc", "ModelInfer", "overloaded", "over"),
    ]


class Counted:
    """What the door tells of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, int]] = []
        self.in_flight: Any = None

    def watch_in_flight(self, transport: str, count: Any) -> None:
        assert transport == "grpc"
        self.in_flight = count

    def request(self, transport: str, route: str, code: str, seconds: float, *said: Any) -> None:
        prediction, cohort = said
        assert (transport, cohort) == ("grpc", None)
        assert 0 <= seconds < 30
        self.calls.append((route, code, 0 if prediction is None else prediction.rows))


def test_every_call_is_told_of_once(core: Core) -> None:
    counted: Any = Counted()
    settings: Any = {"limit": {"in_flight": 1}, "grpc": {"threads": 1}}
    with doors.open_door(core, metrics=counted, **settings) as door, doors.connect(door) as channel:
        doors.infer(channel, doors.raw_battle(core, 3))
        doors.ask(channel, "ServerLive", b"", pb.ServerLiveResponse)
        code_of(lambda: doors.infer(channel, b"\xff"))
        code_of(lambda: doors.ask(channel, "RepositoryIndex", b"", pb.ServerLiveResponse))
        with door.desk.permits:
            call = start(channel, doors.raw_battle(core))
            doors.until(lambda: counted.in_flight() == 1)
            code_of(lambda: doors.infer(channel, doors.raw_battle(core)))
            call.cancel()
            # The door has heard of it when another call on the same connection was answered.
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        doors.until(lambda: counted.in_flight() == 0)
    assert counted.calls == [
        ("ModelInfer", "ok", 3),
        ("ServerLive", "ok", 0),
        ("ModelInfer", "invalid_input", 0),
        ("other", "method_not_allowed", 0),
        ("ModelInfer", "overloaded", 0),
        ("ModelInfer", "cancelled", 0),
    ]


# Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    (tmp_path / "keys").write_text(line_of(KEY) + "\n")
    return Keys.open(tmp_path / "keys")


def test_keys_are_asked_for_except_by_health(core: Core, keys: Keys) -> None:
    with doors.open_door(core, keys=keys) as door, doors.connect(door) as channel:
        request, good, bad = doors.raw_battle(core), (("x-api-key", KEY),), (("x-api-key", "another"),)
        assert doors.infer(channel, request, metadata=good).outputs
        none = code_of(lambda: doors.infer(channel, request))
        assert none == (C.UNAUTHENTICATED, "An API key is needed, sent as x-api-key.")
        assert code_of(lambda: doors.infer(channel, request, metadata=bad))[0] is C.UNAUTHENTICATED
        # Before the message has come, and whatever it is.
        half = HalfOpen(channel)
        assert code_of(half.call)[0] is C.UNAUTHENTICATED
        half.done.set()
        cases: list[tuple[str, Any, type[Message]]] = [
            ("ServerMetadata", b"", pb.ServerMetadataResponse),
            ("ModelMetadata", pb.ModelMetadataRequest(name="battle"), pb.ModelMetadataResponse),
        ]
        for method, message, answer in cases:
            assert code_of(lambda: doors.ask(channel, method, message, answer))[0] is C.UNAUTHENTICATED  # noqa: B023
            assert doors.ask(channel, method, message, answer, metadata=good) != answer()
        assert doors.ask(channel, "ServerLive", b"", pb.ServerLiveResponse).live
        assert doors.ask(channel, "ServerReady", b"", pb.ServerReadyResponse).ready
        assert doors.ask(channel, "ModelReady", pb.ModelReadyRequest(name="battle"), pb.ModelReadyResponse).ready
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=20).status == SERVING
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        assert (
            code_of(lambda: list(reflection.ServerReflectionInfo(iter([question]), timeout=20)))[0] is C.UNAUTHENTICATED
        )
        assert list(reflection.ServerReflectionInfo(iter([question]), timeout=20, metadata=good))


# Health and reflection


@pytest.mark.parametrize("service", ["", doors.SERVICE])
def test_health_follows_the_state(core: Core, service: str) -> None:
    state = State()
    with doors.open_door(None, state=state) as door, doors.connect(door) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        watch = stub.Watch(request, timeout=30)
        steps = [(None, False, NOT_SERVING), (core, False, SERVING), (core, True, NOT_SERVING)]
        for loaded, stopping, expected in steps:
            state.core, state.stopping = loaded, stopping
            assert stub.Check(request, timeout=20).status == expected
            assert next(watch).status == expected


def test_health_of_a_service_that_is_not_here(channel: Any) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="cat")
    assert code_of(lambda: stub.Check(request, timeout=20))[0] is C.NOT_FOUND
    watch = stub.Watch(request, timeout=20)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_streams_of_reflection_are_bounded_and_hold_up_nobody(core: Core) -> None:
    with doors.open_door(core, grpc={"threads": 1}) as door, doors.connect(door) as channel:
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        half = [HalfOpen(channel, path) for _ in range(4)]
        doors.until(lambda: len(door.desk.reflection) == 4)
        refused = code_of(HalfOpen(channel, path).call)
        assert refused == (C.RESOURCE_EXHAUSTED, "Too many streams of reflection are open already.")
        assert doors.infer(channel, doors.raw_battle(core)).outputs
        for call in half:
            call.done.set()


# The end, and the beginning


def test_the_end_finishes_what_is_in_flight_and_refuses_what_comes(core: Core) -> None:
    state = State()
    with doors.open_door(core, state=state, grpc={"threads": 1}) as door, doors.connect(door) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == SERVING
        reflection = HalfOpen(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        doors.until(lambda: len(door.desk.reflection) == 1)
        with door.desk.permits:
            in_flight = start(channel, doors.raw_battle(core))
            doors.until(lambda: len(door.desk.inference) == 1)
            state.stopping = True
            ended = door.end(20)
            assert next(watch).status == NOT_SERVING
            assert code_of(lambda: next(watch))[0] is C.CANCELLED
            with doors.connect(door) as late:
                refused = code_of(lambda: doors.infer(late, doors.raw_battle(core), wait_for_ready=False))
            assert refused == (C.UNAVAILABLE, "The server is stopping.")
            assert not ended.is_set()
        assert pb.ModelInferResponse.FromString(in_flight.result(20)).outputs
        # Not by the grace: the watch and the stream of reflection would have lasted for it.
        assert ended.wait(5)
        reflection.done.set()


def test_what_does_not_finish_is_cancelled_when_its_time_is_over(core: Core) -> None:
    with doors.open_door(core) as door, doors.connect(door) as channel:
        half = HalfOpen(channel)
        doors.until(lambda: len(door.desk.inference) == 1)
        asyncio.run(door.stop(0.1))
        assert code_of(half.call)[0] in {C.CANCELLED, C.UNAVAILABLE}
        half.done.set()


def test_no_answer_is_lost_at_the_end(core: Core) -> None:
    """Whatever was let in is answered; who comes too late hears UNAVAILABLE and nothing else."""
    codes: list[Any] = []
    going = threading.Event()

    def call(door: GrpcDoor) -> None:
        with doors.connect(door) as channel:
            while True:
                try:
                    doors.infer(channel, doors.raw_battle(core), wait_for_ready=False)
                except grpc.RpcError as error:
                    codes.append(error)
                    return
                going.set()

    with doors.open_door(core) as door:
        threads = [threading.Thread(target=call, args=(door,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        assert going.wait(20)
        asyncio.run(door.stop(10))
        for thread in threads:
            thread.join(20)
    assert {error.code() for error in codes} == {C.UNAVAILABLE}


def test_a_port_that_is_taken_is_refused_in_a_sentence(door: GrpcDoor) -> None:
    for host, port, reason in [("127.0.0.1", door.port, "Address already in use"), ("203.0.113.1", 0, "assign")]:
        with pytest.raises(SettingsError, match=f"PDX_GRPC_PORT is not usable: {host}:{port}: .*{reason}"):
            GrpcDoor(Settings.read({"grpc": {"host": host, "port": port}}), State())
