"""A bare ASGI app for binary tensors: ONNX Runtime for small requests, XGBoost for batches, nothing else."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
import uvicorn
import xgboost as xgb

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CROSSOVER_ROWS = 64
"""From here on XGBoost is the faster of the two."""


class App:
    """Answers every POST as an inference request whose one FP32 tensor follows the JSON as bytes."""

    def __init__(self, onnx: str, ubj: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.booster = xgb.Booster(model_file=ubj)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        length = next(int(value) for name, value in scope["headers"] if name == b"inference-header-content-length")
        pieces = []
        more = True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        header, raw = self.infer(b"".join(pieces), length)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(len(header) + len(raw)).encode()),
            (b"inference-header-content-length", str(len(header)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": header + raw})

    def infer(self, body: bytes, length: int) -> tuple[bytes, bytes]:
        """From the request's JSON and bytes to the answer's."""
        tensor = orjson.loads(body[:length])["inputs"][0]
        rows = np.frombuffer(body, dtype=np.float32, offset=length).reshape(tensor["shape"])
        if len(rows) < CROSSOVER_ROWS:
            probabilities = self.session.run(["probabilities"], {"input": rows})[0]
        else:
            wins = self.booster.inplace_predict(rows)
            probabilities = np.column_stack((1 - wins, wins))
        raw = probabilities.astype(np.float32).tobytes()
        output = {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": list(probabilities.shape),
            "parameters": {"binary_data_size": len(raw)},
        }
        return orjson.dumps({"model_name": "model", "model_version": "1", "outputs": [output]}), raw


def main() -> None:
    """Serve on one uvicorn with uvloop and httptools."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--ubj", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        App(options.onnx, options.ubj),
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
