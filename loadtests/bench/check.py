"""Asks a door for rows whose answers are known, so that nobody is fast by being wrong."""

import time
from typing import Final

import grpc
import httpx
import numpy as np
from google.protobuf.message import DecodeError

from loadtests.bench.catalogue import Door
from loadtests.bench.model import Floats, Model
from loadtests.bench.servers import Ports
from loadtests.bench.wire import CALL

TOLERANCE: Final = 1e-5
_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 20.0


class WrongAnswerError(Exception):
    """A contender answers with an error or with other probabilities than the model's; the message is one sentence."""


def url(door: Door, ports: Ports) -> str:
    """Address of an HTTP door."""
    return f"http://127.0.0.1:{ports.http}{door.path}"


def _identity(body: bytes) -> bytes:
    return body


def _ask_grpc(door: Door, ports: Ports, rows: Floats) -> Floats:
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        call = channel.unary_unary(f"/{CALL}", request_serializer=_identity, response_deserializer=_identity)
        body: bytes = call(door.codec.encode(rows).body, timeout=_SECONDS)
    return door.codec.decode(body, {})


def _ask_http(door: Door, ports: Ports, rows: Floats) -> Floats:
    payload = door.codec.encode(rows)
    answer = httpx.post(url(door, ports), content=payload.body, headers=dict(payload.headers), timeout=_SECONDS)
    if answer.status_code != httpx.codes.OK:
        raise WrongAnswerError(f"Status {answer.status_code}: {answer.text.strip()[:150]}")
    return door.codec.decode(answer.content, {name.lower(): value for name, value in answer.headers.items()})


def ask(door: Door, ports: Ports, rows: Floats) -> Floats:
    """Probability of class 1 of each row [n], by the contender.

    Raises:
        WrongAnswerError: the answer is an error or cannot be read.
        httpx.TransportError: nobody answers HTTP.
        grpc.RpcError: nobody answers gRPC, or with an error.
    """
    try:
        return _ask_grpc(door, ports, rows) if door.kind == "grpc" else _ask_http(door, ports, rows)
    except (ValueError, LookupError, TypeError, DecodeError) as error:
        raise WrongAnswerError(f"The answer cannot be read: {error!r:.150}") from error


class Readiness:
    """Whether a server answers a door with the model's own probability, asked again and again.

    While they load their model some servers answer with errors. An error that goes on for 20 s after the first is the
    answer.
    """

    def __init__(self, door: Door, ports: Ports, model: Model) -> None:
        self.door, self.ports, self.model = door, ports, model
        self.first_error: float | None = None

    def __call__(self) -> bool:
        """Ask once.

        Raises:
            WrongAnswerError: errors have been coming for 20 s.
        """
        try:
            compare(ask(self.door, self.ports, self.model.rows[:1]), self.model.expected[:1])
        except httpx.TransportError:
            return False
        except (grpc.RpcError, WrongAnswerError) as error:
            status = _status(error)
            if status is not None and status.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            now = time.monotonic()
            self.first_error = self.first_error or now
            if now - self.first_error < _PATIENCE_SECONDS:
                return False
            raise WrongAnswerError(one_line(error)) from error
        return True


def one_line(error: Exception) -> str:
    """What a failed call says, without gRPC's multi-line form."""
    status = _status(error)
    if status is not None:
        return f"gRPC status {status.code().name}: {status.details()}"[:200]
    return str(error) or repr(error)


def _status(error: Exception) -> grpc.Call | None:
    """What a failed call carries besides being an error, which its declared type does not tell."""
    raised: object = error
    return raised if isinstance(raised, grpc.Call) else None


def compare(found: Floats, expected: Floats) -> None:
    """Raise WrongAnswerError unless every probability is the model's to 1e-5."""
    if found.shape != expected.shape:
        raise WrongAnswerError(f"{expected.shape[0]} rows were asked for and {found.shape} came back.")
    worst = float(np.max(np.abs(found - expected), initial=0.0))
    if not worst <= TOLERANCE:
        raise WrongAnswerError(f"A probability is off by {worst:.2g}; at most {TOLERANCE:.0e} is allowed.")


def check(door: Door, ports: Ports, model: Model) -> None:
    """Ask for two single rows, and for the whole batch where batches are measured.

    Raises:
        WrongAnswerError: an answer is not the model's.
    """
    try:
        for index in range(2):
            compare(ask(door, ports, model.rows[index : index + 1]), model.expected[index : index + 1])
        if door.batch:
            compare(ask(door, ports, model.rows), model.expected)
    except grpc.RpcError as error:
        raise WrongAnswerError(one_line(error)) from error
    except httpx.TransportError as error:
        raise WrongAnswerError(f"The connection failed: {error!r:.150}") from error
