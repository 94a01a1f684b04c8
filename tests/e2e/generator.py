"""Sends requests over REST and gRPC until it is told to stop, and writes each of them down.

It is a process of its own, so that nothing a test does delays it: ``tests.e2e.load`` starts it with its plan as JSON on
the first line of standard input, and ends it by another line, or by closing that. Every request that was begun is one
line of JSON on standard output, in the order of ``tests.e2e.load.Request``. Times are those of the machine's monotonic
clock, in seconds.

The serving image has all that is imported here, so that it can be run in a pod as well.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import grpc
import httptools

from bentos.grpc_door.wire.inference_pb2 import ModelInferRequest, ModelInferResponse

# What a client may do about an answer that no server of ours gave: ask again, each time later.
WAITS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
_AGAIN: Final = frozenset({"HTTP 502", "HTTP 503", "HTTP 504", "refused", "closed"})
# gRPC itself cancels a call that arrives in the moment in which its server stops (bentos/grpc_door/door.py).
_GRPC_AGAIN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
_READ: Final = 65_536
_DUEL: Final = {
    "pokemon_a": "pikachu",
    "pokemon_b": "blastoise",
    "available_moves_a": ["thunderbolt", "quickattack"],
    "available_moves_b": ["surf", "icebeam"],
}
ROW: Final = {"pokemon_a": "pikachu", "move_a": "thunderbolt", "pokemon_b": "blastoise", "move_b": "surf"}


class Failure(Exception):
    """A request without its answer; the message is the kind, a word or two.

    Attributes:
        again: whether a client with retries asks again.
    """

    def __init__(self, kind: str, *, again: bool) -> None:
        super().__init__(kind)
        self.again = again


class _Answer:
    """An HTTP answer that is arriving."""

    def __init__(self) -> None:
        self.body = b""
        self.whole = False
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


class Rest:
    """One connection that is kept, opened anew where it was closed."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._address: tuple[str, int] = tuple(plan["rest"])
        body = json.dumps(_DUEL).encode()
        head = [
            "POST /predict/battle HTTP/1.1",
            f"host: {plan['host']}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in plan["headers"].items()),
        ]
        self._request = "\r\n".join((*head, "", "")).encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __call__(self) -> str:
        """Ask once; returns the version that answered, raises Failure."""
        try:
            answer = await self._exchange()
        except OSError as error:
            self.close()
            refused = isinstance(error, ConnectionRefusedError)
            raise Failure("refused" if refused else "closed", again=True) from error
        except BaseException:
            self.close()  # what is left of an answer must not be taken for that of the next request
            raise
        if not answer.parser.should_keep_alive():
            self.close()
        status = answer.parser.get_status_code()
        if status != 200:
            raise Failure(f"HTTP {status}", again=f"HTTP {status}" in _AGAIN)
        version: str = json.loads(answer.body)["model"]["version"]
        return version

    async def _exchange(self) -> _Answer:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(self._request)
        answer = _Answer()
        while not answer.whole:
            data = await reader.read(_READ)
            if not data:
                raise ConnectionResetError
            answer.parser.feed_data(data)
        return answer

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Grpc:
    """One channel with a connection of its own; what gRPC would do again by itself is switched off."""

    def __init__(self, plan: dict[str, Any]) -> None:
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", plan["host"]),
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.aio.insecure_channel("{}:{}".format(*plan["grpc"]), options)
        request = ModelInferRequest(model_name="battle")
        for name, value in ROW.items():
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
            tensor.contents.bytes_contents.append(value.encode())
        self._request = request.SerializeToString()
        self._call: Any = self._channel.unary_unary(METHOD, None, ModelInferResponse.FromString)
        self._timeout_s: float = plan["timeout_s"]
        self._metadata = list(plan["headers"].items())

    async def __call__(self) -> str:
        """Ask once; returns the version that answered, raises Failure."""
        try:
            answer: ModelInferResponse = await self._call(
                self._request, timeout=self._timeout_s, metadata=self._metadata
            )
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            raise Failure(f"gRPC {code.name}", again=code in _GRPC_AGAIN) from error
        return str(answer.model_version)


Ask = Callable[[], Coroutine[Any, Any, str]]


class Client:
    """Asks at its pace, one request after the other, and writes each down."""

    def __init__(self, plan: dict[str, Any], door: str, ask: Ask, stop: asyncio.Event) -> None:
        self._door, self._ask, self._stop = door, ask, stop
        self._interval_s: float = plan["connections"] / plan["rate"]
        self._timeout_s: float = plan["timeout_s"]
        self._waits_s = WAITS_S if plan["retry"] else ()

    async def run(self, delay_s: float) -> None:
        """Ask until told to stop; what has been begun by then is still answered and counted."""
        due = time.monotonic() + delay_s
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, due - time.monotonic()))
                break
            await self._one()
            # A client that waited for an answer does not make up for it.
            due = max(due + self._interval_s, time.monotonic())

    async def _one(self) -> None:
        sent = time.monotonic()
        raw: list[tuple[float, str]] = []
        version, failure = None, None
        for wait_s in (*self._waits_s, None):
            try:
                version, failure = await asyncio.wait_for(self._ask(), self._timeout_s), None
                break
            except Failure as error:
                failure, again = str(error), error.again
            except TimeoutError:
                failure, again = "timeout", True
            except (ValueError, KeyError, TypeError, httptools.HttpParserError) as error:
                failure, again = f"no answer of ours: {type(error).__name__}", False
            raw.append((time.monotonic(), failure))
            if wait_s is None or not again:
                break
            await asyncio.sleep(wait_s)
        line = [self._door, sent, time.monotonic(), version, failure, raw]
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


async def main(plan: dict[str, Any]) -> None:
    """Run the clients of both doors until standard input has another line, or ends."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def told() -> None:
        sys.stdin.readline()
        stop.set()

    loop.add_reader(sys.stdin, told)
    asks: list[tuple[str, Ask]] = []
    for _ in range(plan["connections"]):
        asks += [("rest", Rest(plan)), ("grpc", Grpc(plan))]
    clients = [Client(plan, door, ask, stop) for door, ask in asks]
    # Spread over an interval, not all at once.
    step_s = plan["connections"] / plan["rate"] / len(clients)
    await asyncio.gather(*(client.run(number * step_s) for number, client in enumerate(clients)))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
