"""What `helm test` runs, in the image that the release serves: one prediction over REST and one over gRPC.

    python -c "$(cat predict.py)" REST_URL GRPC_ADDRESS

It asks for a row of the parity sample of the image's own bundle, so it knows which model, which version and which
numbers have to come back. A key in API_KEY is sent along. Exit status 1 with one sentence where an answer is wrong.
"""

import json
import math
import os
import sys
import urllib.error
import urllib.request
from typing import Any, NamedTuple

import grpc

from bentos.bundle import Bundle
from bentos.contract import Contract
from bentos.grpc_door.wire.inference_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
)
from bentos.locate import bundle_folder
from bentos.settings import Settings

SECONDS = 10.0
FIELDS = {
    "BYTES": "bytes_contents",
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class Answer(NamedTuple):
    """Which model answered, and the numbers of its first output."""

    model: str
    version: str
    values: list[float]


class Wrong(Exception):
    """An answer is not the one that was expected; the message is one sentence."""


def main(rest_url: str, grpc_address: str) -> None:
    """Ask both doors; raises Wrong."""
    contract = Bundle.load(bundle_folder(Settings.read())).contract
    # A row with a missing value cannot be sent as every type.
    complete = [all(value is not None for value in row) for row in contract.parity.rows]
    at = complete.index(True) if True in complete else 0
    row, expected = contract.parity.rows[at], contract.parity.expected[at]
    key = os.environ.get("API_KEY", "").strip()
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(grpc_address, options) as channel:
        call = Call(channel, key)
        metadata = call("ModelMetadata", ModelMetadataRequest(name=contract.name), ModelMetadataResponse)
        inputs = tensors(metadata, contract, row)
        compare("gRPC", contract, expected, over_grpc(call, contract.name, inputs))
    compare("REST", contract, expected, over_rest(rest_url, key, contract.name, inputs))


def tensors(metadata: Any, contract: Contract, row: list[Any]) -> list[dict[str, Any]]:
    """The row as the tensors that the model says it takes: one a column, or one of all columns."""
    columns = {column.name: [value] for column, value in zip(contract.columns, row, strict=True)}
    made = []
    for each in metadata.inputs:
        data = columns.get(each.name, row)
        if each.datatype.startswith("FP"):
            data = [float(value) for value in data]  # a column of another type may be part of the matrix
        made.append({"name": each.name, "datatype": each.datatype, "shape": [1, len(data)], "data": data})
    return made


class Call:
    """A method of the protocol, called with the key."""

    def __init__(self, channel: grpc.Channel, key: str) -> None:
        self._channel = channel
        self._metadata = (("x-api-key", key),) if key else None

    def __call__(self, method: str, request: Any, answer: Any) -> Any:
        """Call a method; raises Wrong where it fails."""
        serialize, parse = type(request).SerializeToString, answer.FromString
        call = self._channel.unary_unary(f"/inference.GRPCInferenceService/{method}", serialize, parse)
        try:
            return call(request, timeout=SECONDS, metadata=self._metadata, wait_for_ready=True)
        except grpc.RpcError as error:
            raise Wrong(f"gRPC answers {method} with {error.code().name}: {error.details()}") from error


def over_grpc(call: Call, model: str, inputs: list[dict[str, Any]]) -> Answer:
    """Ask over gRPC, with typed contents."""
    request = ModelInferRequest(model_name=model)
    for each in inputs:
        tensor = request.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        data = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        getattr(tensor.contents, FIELDS[each["datatype"]]).extend(data)
    answer = call("ModelInfer", request, ModelInferResponse)
    output = answer.outputs[0]
    return Answer(answer.model_name, answer.model_version, list(getattr(output.contents, FIELDS[output.datatype])))


def over_rest(url: str, key: str, model: str, inputs: list[dict[str, Any]]) -> Answer:
    """Ask over REST, in JSON."""
    headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}
    body = json.dumps({"inputs": inputs}).encode()
    request = urllib.request.Request(  # noqa: S310  the chart gives the URL
        f"{url}/v2/models/{model}/infer", body, headers
    )
    # A proxy that the image's environment names knows nothing of the cluster's Services.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise Wrong(f"REST answers {error.code}: {error.read()[:500]!r}") from error
    except OSError as error:
        raise Wrong(f"REST does not answer at {url}: {error}.") from error
    return Answer(answer["model_name"], answer["model_version"], answer["outputs"][0]["data"])


def compare(door: str, contract: Contract, expected: list[float], answer: Answer) -> None:
    """Say what was answered; raises Wrong where it is not what this image's bundle answers."""
    ours = f"{contract.name} version {contract.version}"
    answered = f"{answer.model} version {answer.version}"
    if answered != ours:
        raise Wrong(f"{door} answers as {answered}, and this image is {ours}.")
    # Of two classes the sample has the second one's probability only.
    values, tolerance = answer.values[-len(expected) :], contract.parity.tolerance
    if not all(
        math.isclose(*pair, rel_tol=tolerance, abs_tol=tolerance) for pair in zip(values, expected, strict=True)
    ):
        raise Wrong(f"{door} answers {values}, and the bundle of this image says {expected}.")
    sys.stdout.write(f"{door}: {ours} answers {values}, as its bundle says.\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Wrong as wrong:
        sys.exit(str(wrong))
