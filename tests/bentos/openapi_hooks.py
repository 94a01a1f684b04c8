"""What schemathesis cannot read from the document: bodies packed as their header says, and tensors framed as bytes.

Loaded by schemathesis itself, in its own process.
"""

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import strategies as st

LENGTH = "Inference-Header-Content-Length"
OCTETS = "application/octet-stream"
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}
_FORMATS = {"FP32": "<f", "FP64": "<d", "INT64": "<q", "BOOL": "<?"}
_FLAG = st.none() | st.booleans()


def frame(datatype: str, values: list[Any]) -> bytes:
    """Values as the binary tensor data extension has them."""
    if datatype != "BYTES":
        return b"".join(struct.pack(_FORMATS[datatype], value) for value in values)
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@st.composite
def framed(draw: st.DrawFn, example: dict[str, Any], outputs: list[str]) -> bytes:
    """A request that is answered: some tensors, or none, as bytes behind the JSON text."""
    rows = draw(st.integers(1, 3))
    buffers = []
    inputs = []
    for given in example["inputs"]:
        tensor = {**given, "shape": [rows, *given["shape"][1:]], "data": given["data"] * rows}
        if draw(st.booleans()):
            buffer = frame(tensor["datatype"], tensor.pop("data"))
            tensor["parameters"] = {"binary_data_size": len(buffer)}
            buffers.append(buffer)
        inputs.append(tensor)
    names = draw(st.lists(st.sampled_from(outputs), unique=True))
    request = {
        "id": draw(st.none() | st.text(st.characters(codec="utf-8"), max_size=9)),
        "inputs": inputs,
        "outputs": [{"name": name, "parameters": {"binary_data": draw(_FLAG)}} for name in names],
        "parameters": {"binary_data_output": draw(_FLAG), "prediction_ids": draw(_FLAG)},
    }
    return json.dumps(request).encode() + b"".join(buffers)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001  schemathesis's signature
    operation = next(item["post"] for path, item in raw_schema["paths"].items() if path.endswith("/infer"))
    media = operation["requestBody"]["content"]["application/json"]
    outputs = media["schema"]["properties"]["outputs"]["items"]["properties"]["name"]["enum"]
    schemathesis.openapi.media_type(OCTETS, framed(media["example"], outputs))
    # Registering the media type has registered a serializer too.
    schemathesis.serializer(OCTETS)(lambda context, value: _packed(context.case, value))


@schemathesis.serializer("application/json")
def _json(context: Any, value: Any) -> bytes:
    # What is no JSON at all comes as it is.
    return _packed(context.case, value if isinstance(value, bytes) else json.dumps(value).encode())


def _packed(case: Any, body: bytes) -> bytes:
    packer = _PACKERS.get(str(case.headers.get("Content-Encoding")))
    return body if packer is None else packer(body)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001  schemathesis's signature
    """The length of the JSON text follows from the body; one that is no number is left, to be refused."""
    given = case.headers.get(LENGTH)
    if given is not None and not (str(given).isascii() and str(given).isdigit() and len(str(given)) <= 10):
        return
    if case.media_type == OCTETS and isinstance(case.body, bytes):
        # The text is ASCII, so its characters are bytes.
        _, end = json.JSONDecoder().raw_decode(case.body.decode("latin-1"))
        case.headers[LENGTH] = str(end)
    elif given is not None:
        del case.headers[LENGTH]
