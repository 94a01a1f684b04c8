"""grpc.reflection.v1alpha: lets grpcurl and its like find the methods and messages of this server."""

from collections.abc import Iterator
from typing import Final

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from bentos.errors import PredictionDexError
from bentos.grpc_door import health, inference
from bentos.grpc_door.calls import Context, Handler, Requests, fail, told
from bentos.grpc_door.desk import Desk
from bentos.grpc_door.wire import inference_pb2

SERVICE: Final = reflection.SERVICE_NAME
_MOST_QUESTIONS: Final = 1000
"""Questions a stream; a client asks a few dozen."""


class Reflection:
    """The service of one door, about that door and nothing else that the process may have registered."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        pool = DescriptorPool()
        for module in (inference_pb2, health_pb2, reflection_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self._servicer = reflection.ReflectionServicer((inference.SERVICE, health.SERVICE, SERVICE), pool)
        self._open: set[Context] = set()

    def handlers(self) -> dict[str, Handler]:
        """The handler of each method."""
        return {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._info)}

    def close(self) -> None:
        """End every stream: none of them would end by itself."""
        for context in self._open.copy():
            context.cancel()

    def _info(self, requests: Requests, context: Context) -> Iterator[bytes]:
        self._open.add(context)
        try:
            if self._desk.keys is not None:
                self._desk.keys.check(dict(context.invocation_metadata()).get("x-api-key"))
            yield from self._answers(requests, context)
        except (PredictionDexError, DecodeError) as error:
            fail(context, told(error))
        finally:
            self._open.discard(context)
            self._desk.reflection.leave()

    def _answers(self, requests: Requests, context: Context) -> Iterator[bytes]:
        for _ in range(_MOST_QUESTIONS):
            try:
                message = self._desk.read(requests, context)
            except StopIteration:
                return
            question = reflection_pb2.ServerReflectionRequest.FromString(message)
            for answer in self._servicer.ServerReflectionInfo(iter((question,)), context):
                with self._desk.patience(context):
                    yield answer.SerializeToString()
