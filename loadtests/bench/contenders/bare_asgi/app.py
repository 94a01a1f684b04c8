"""A bare ASGI app: one Open Inference Protocol route, orjson, numpy and ONNX Runtime, nothing else."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    """Answers every POST as an inference request with one FP32 tensor [n, columns]."""

    def __init__(self, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    async def __call__(self, _scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = self.infer(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def infer(self, body: bytes) -> bytes:
        """From the request's JSON to the answer's."""
        tensor = orjson.loads(body)["inputs"][0]
        rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        probabilities = self.session.run(["probabilities"], {"input": rows})[0]
        output = {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": list(probabilities.shape),
            "data": probabilities.ravel(),
        }
        answer = {"model_name": "model", "model_version": "1", "outputs": [output]}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def main() -> None:
    """Serve on one uvicorn with uvloop and httptools."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        App(options.model),
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
