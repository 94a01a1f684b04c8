"""The methods of ``inference.GRPCInferenceService``, from bytes to bytes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import grpc

from bentos.core import Core
from bentos.errors import InvalidInput
from bentos.grpc_door.calls import Call, Handler, Unary
from bentos.grpc_door.desk import Desk
from bentos.grpc_door.tensors import LARGE, check_supported, fill, raw_content, tensors, too_many_fields
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.oip import metadata
from bentos.oip.checks import shown

SERVICE: Final = "inference.GRPCInferenceService"

_MICROSECOND: Final = 1e-6
_HEADS: Final = 1024
"""Numbers of rows, by the outputs wanted, whose part of the answer is kept."""
_ID, _PARAMETERS, _RAW_CONTENTS = (
    pb.ModelInferResponse.DESCRIPTOR.fields_by_name[name].number for name in ("id", "parameters", "raw_output_contents")
)
_STRING: Final = pb.InferParameter.DESCRIPTOR.fields_by_name["string_param"].number
_LENGTH_DELIMITED: Final = 2


class Methods:
    """The service for the model of a state, whichever it is at a call.

    Args:
        desk: the door's.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._state = desk.state
        self._infer: Infer | None = None
        self._live = pb.ServerLiveResponse(live=True).SerializeToString()
        self._server = pb.ServerMetadataResponse(**metadata.server()).SerializeToString()

    def handlers(self) -> dict[str, Handler]:
        """The handler of each method."""
        desk = self._desk
        behaviours = {
            "ServerLive": Unary(desk, "ServerLive", self._server_live, open=True),
            "ServerReady": Unary(desk, "ServerReady", self._server_ready, open=True),
            "ModelReady": Unary(desk, "ModelReady", self._model_ready, open=True),
            "ServerMetadata": Unary(desk, "ServerMetadata", self._server_metadata),
            "ModelMetadata": Unary(desk, "ModelMetadata", self._model_metadata),
            "ModelInfer": Unary(desk, "ModelInfer", self._model_infer),
        }
        return {name: grpc.stream_unary_rpc_method_handler(unary) for name, unary in behaviours.items()}

    def _server_live(self, message: bytes, call: Call) -> bytes:  # noqa: ARG002
        pb.ServerLiveRequest.FromString(message)
        return self._live

    def _server_ready(self, message: bytes, call: Call) -> bytes:  # noqa: ARG002
        pb.ServerReadyRequest.FromString(message)
        return pb.ServerReadyResponse(ready=self._state.phase == "ready").SerializeToString()

    def _model_ready(self, message: bytes, call: Call) -> bytes:  # noqa: ARG002
        request = pb.ModelReadyRequest.FromString(message)
        if self._state.core is not None:
            self._state.core.check_model(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=self._state.phase == "ready").SerializeToString()

    def _server_metadata(self, message: bytes, call: Call) -> bytes:  # noqa: ARG002
        pb.ServerMetadataRequest.FromString(message)
        return self._server

    def _model_metadata(self, message: bytes, call: Call) -> bytes:  # noqa: ARG002
        request = pb.ModelMetadataRequest.FromString(message)
        core = self._state.require()
        core.check_model(request.name, request.version or None)
        return pb.ModelMetadataResponse(**metadata.model(core)).SerializeToString()

    def _model_infer(self, message: bytes, call: Call) -> bytes:
        core = self._state.require()
        infer = self._infer
        if infer is None or infer.core is not core:
            infer = self._infer = Infer(core)
        return infer(message, call)


class Infer:
    """ModelInfer for one model; what all of its answers share is made once."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._most_inputs = len(core.adapter.inputs)
        self._most_values = core.most_rows * max(abs(spec.shape[-1]) for spec in core.adapter.inputs)
        self._places = {spec.name: place for place, spec in enumerate(core.outputs)}
        self._all = tuple(self._places.values())
        self._head = lru_cache(_HEADS)(self._make_head)

    def __call__(self, message: bytes, call: Call) -> bytes:
        """Answer a request; raises RequestError and protobuf's DecodeError."""
        if len(message) > LARGE and too_many_fields(message):
            raise InvalidInput("The message has more fields than any request of this model.")
        request = pb.ModelInferRequest.FromString(message)
        core = self.core
        core.check_model(request.model_name, request.model_version or None)
        ids, timeout = _parameters(request.parameters) if request.parameters else (None, None)
        wanted = self._wanted(request) if request.outputs else self._all
        if len(request.inputs) > self._most_inputs:
            raise InvalidInput(
                f"The request has {len(request.inputs)} inputs, and the model takes {self._most_inputs}."
            )
        rows = core.tensors(tensors(request, self._most_values))
        call.check_wanted(timeout)
        prediction = call.prediction = core.predict(rows, ids=ids)
        outputs = prediction.outputs
        head = self._head(wanted, prediction.rows)
        if request.raw_input_contents:
            parts = [head, *[_field(_RAW_CONTENTS, raw_content(outputs[place])) for place in wanted]]
        else:
            response = pb.ModelInferResponse.FromString(head)
            for place, output in zip(wanted, response.outputs, strict=True):
                fill(output, outputs[place])
            parts = [response.SerializeToString()]
        if request.id:
            parts.append(_field(_ID, request.id.encode()))
        if prediction.ids:
            parts.append(_ids(prediction.ids))
        # One after the other, serialised messages are the message that has the fields of all.
        return b"".join(parts)

    def _make_head(self, wanted: tuple[int, ...], rows: int) -> bytes:
        """The part of an answer that is the same for all of so many rows."""
        contract = self.core.contract
        response = pb.ModelInferResponse(model_name=contract.name, model_version=contract.version)
        for place in wanted:
            spec = self.core.outputs[place]
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=[rows, *spec.shape[1:]])
        return response.SerializeToString()

    def _wanted(self, request: pb.ModelInferRequest) -> tuple[int, ...]:
        wanted: dict[int, None] = {}
        for output in request.outputs:
            place = self._places.get(output.name)
            if place is None:
                name, known = shown(output.name), ", ".join(self._places)
                raise InvalidInput(f"The model answers no tensor {name}; it answers {known}.", [{"tensor": name}])
            if place in wanted:
                raise InvalidInput(f"The output {output.name} is asked for twice.", [{"tensor": output.name}])
            if output.parameters:
                check_supported(output.parameters, f"The output {output.name}")
            wanted[place] = None
        return tuple(wanted)


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message as protobuf writes it, which for a few fields takes a tenth of its time.

    Source: "Encoding" in the documentation of Protocol Buffers; the number must be below 16.
    """
    size = len(content)
    head = [number << 3 | _LENGTH_DELIMITED]
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content


def _ids(ids: Sequence[str]) -> bytes:
    """The parameter of an answer that has the prediction ids: an entry of a map, whose key is field 1, and value 2."""
    value = _field(_STRING, ",".join(ids).encode())
    return _field(_PARAMETERS, _IDS_KEY + _field(2, value))


_IDS_KEY: Final = _field(1, b"prediction_ids")


def _parameters(given: Any) -> tuple[bool | None, float | None]:
    """Whether ids are asked for, and the timeout in seconds; None each where the request does not say."""
    ids = timeout = None
    if "prediction_ids" in given:
        if given["prediction_ids"].WhichOneof("parameter_choice") != "bool_param":
            raise InvalidInput("The parameter prediction_ids is true or false.", [{"parameter": "prediction_ids"}])
        ids = given["prediction_ids"].bool_param
    if "timeout" in given:
        kind = given["timeout"].WhichOneof("parameter_choice")
        value = getattr(given["timeout"], kind) if kind in {"int64_param", "uint64_param"} else -1
        if value < 0:
            raise InvalidInput("The parameter timeout is a number of microseconds.", [{"parameter": "timeout"}])
        # Zero means none, as for the clients that send it.
        timeout = value * _MICROSECOND if value else None
    return ids, timeout
