"""From a prediction to the bytes of an inference response."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import orjson

from bentos.core import Prediction
from bentos.http import JSON, OCTETS, Headers, Response
from bentos.oip import binary
from bentos.packing import pack
from bentos.tensor import Tensor, TensorSpec

_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY


class _Output(NamedTuple):
    """The constant text around the shape of one output, and all of it up to the values for one row."""

    head: bytes
    tail: bytes
    single: bytes


class Writer:
    """Writes answers of one model; what all of them share is made once.

    Args:
        name: the model's.
        version: the model's.
        outputs: the tensors it answers.
        classes: the labels it gives, none for a regressor.
    """

    def __init__(self, name: str, version: str, outputs: Sequence[TensorSpec], classes: Sequence[str]) -> None:
        self._head = orjson.dumps({"model_name": name, "model_version": version})[:-1]
        self._outputs = [_output(spec) for spec in outputs]
        self._all = [(place, False) for place in range(len(outputs))]
        self._frames = {label: binary.framed([label]) for label in classes}
        self._texts = {label: orjson.dumps([label]) for label in classes}

    def write(
        self, prediction: Prediction, ident: str | None, wanted: Sequence[tuple[int, bool]] | None, accept: bytes | None
    ) -> Response:
        """The answer.

        Args:
            prediction: what the core said.
            ident: the request's own id.
            wanted: places of the outputs and whether each is binary; None for all, as JSON.
            accept: the header ``Accept-Encoding``.
        """
        parts = [self._head]
        if ident is not None:
            parts += (b',"id":', orjson.dumps(ident))
        if prediction.ids:
            # Letters, digits, dashes and underscores: nothing to escape.
            parts += (b',"parameters":{"prediction_ids":"', ",".join(prediction.ids).encode(), b'"}')
        parts.append(b',"outputs":[')
        rows, outputs = prediction.rows, prediction.outputs
        buffers: list[bytes] = []
        for place, raw in wanted or self._all:
            head, tail, single = self._outputs[place]
            if raw:
                buffer = self._bytes(outputs[place])
                buffers.append(buffer)
                parts.append(b'%b%d%b,"parameters":{"binary_data_size":%d}},' % (head, rows, tail, len(buffer)))
            elif rows == 1:
                parts += (single, self._text(outputs[place]), b"},")
            else:
                parts.append(b'%b%d%b,"data":%b},' % (head, rows, tail, self._text(outputs[place])))
        parts[-1] = parts[-1][:-1]
        parts.append(b"]}")
        text = b"".join(parts)
        if not buffers:
            return Response(200, text) if accept is None else packed(text, JSON, (), accept)
        headers = ((binary.LENGTH_HEADER, b"%d" % len(text)),)
        return packed(b"".join([text, *buffers]), OCTETS, headers, accept)

    def _text(self, tensor: Tensor) -> bytes:
        """The values in JSON, as one flat list."""
        data = tensor.data
        if tensor.datatype != "BYTES":
            # orjson writes a float32 in the digits of a float32; as a list, it would be a float64's.
            if len(data) == 1 and data.flags.c_contiguous:
                return orjson.dumps(data, option=_NUMPY)[1:-1]
            return orjson.dumps(np.ascontiguousarray(data).ravel(), option=_NUMPY)
        known = self._texts.get(data.item()) if len(data) == 1 else None
        return orjson.dumps(data.ravel().tolist()) if known is None else known

    def _bytes(self, tensor: Tensor) -> bytes:
        if tensor.datatype != "BYTES":
            return tensor.data.tobytes()
        texts = tensor.data.ravel().tolist()
        try:
            return b"".join([self._frames[text] for text in texts])
        except KeyError:
            return binary.framed(texts)


def _output(spec: TensorSpec) -> _Output:
    head = orjson.dumps({"name": spec.name, "datatype": spec.datatype})[:-1] + b',"shape":['
    tail = b"".join(b",%d" % size for size in spec.shape[1:]) + b"]"
    return _Output(head, tail, head + b"1" + tail + b',"data":')


def packed(body: bytes, content_type: bytes, headers: Headers, accept: bytes | None) -> Response:
    """An answer of status 200, packed where the client asks for it and it is long."""
    if accept is not None:
        body, encoding = pack(body, accept)
        if encoding is not None:
            headers = (*headers, (b"content-encoding", encoding))
    return Response(200, body, content_type, headers)
