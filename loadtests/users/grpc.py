"""Users of the gRPC door."""

import time
from typing import Any

import grpc
from locust import task
from locust.env import Environment

from loadtests.users import rpc
from loadtests.users.answers import Scored, WrongAnswer, check_rows
from loadtests.users.base import TIMEOUT_SECONDS, PacedUser


class GrpcUser(PacedUser):
    """Asks for rows by the Open Inference Protocol, over a connection of its own."""

    weight = 2
    door = "grpc"

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # Without the option channels to one address share a connection, and a gateway would see one client.
        self._channel = grpc.insecure_channel(self.plan.grpc, options=[("grpc.use_local_subchannel_pool", 1)])
        self._infer: grpc.UnaryUnaryMultiCallable[Any, Any] = self._channel.unary_unary(
            rpc.CALL, request_serializer=lambda message: message.SerializeToString(), response_deserializer=rpc.parse
        )
        self._metadata = tuple(self.plan.headers.items())

    def on_stop(self) -> None:
        """Close the connection."""
        self._channel.close()

    @task
    def ask(self) -> None:
        """One inference request."""
        rows, ident = next(self.plan.batches).rows(), self.next_ident()
        message = rpc.request(self.plan.model, ident, rows)
        failure: str | None = None
        scored: Scored | None = None
        size = 0
        start = time.perf_counter()
        try:
            answer = self._infer(message, timeout=TIMEOUT_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            seconds = time.perf_counter() - start
            failure = self.fail(f"gRPC {error.code().name}", error.details() or "")
        else:
            seconds = time.perf_counter() - start
            size = answer.ByteSize()
            try:
                scored = rpc.scored(answer)
                check_rows(ident, rows, scored)
            except WrongAnswer as wrong:
                failure = self.fail(f"wrong answer: {wrong.kind}", wrong.detail)
        if failure is None and scored is not None:
            self.failed = False
            self.plan.tally.saw(scored.model, scored.version)
        self.environment.events.request.fire(
            request_type="gRPC",
            name="ModelInfer",
            response_time=seconds * 1000,
            response_length=size,
            exception=failure,
            context={"door": self.door},
        )
