"""A bare threaded gRPC server: ModelInfer with raw contents, numpy and ONNX Runtime, nothing else."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import oip_pb2
import oip_pb2_grpc
import onnxruntime as ort

THREADS = 16


class Inference(oip_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated without types
    """Answers one FP32 tensor [n, columns]."""

    def __init__(self, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802  gRPC's name
        """From the request's message to the answer's."""
        rows = np.frombuffer(request.raw_input_contents[0], dtype=np.float32).reshape(request.inputs[0].shape)
        probabilities = self.session.run(["probabilities"], {"input": rows})[0]
        answer = oip_pb2.ModelInferResponse(model_name="model", model_version="1")
        answer.outputs.add(name="probabilities", datatype="FP32", shape=probabilities.shape)
        answer.raw_output_contents.append(probabilities.tobytes())
        return answer


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    server = grpc.server(ThreadPoolExecutor(THREADS))
    oip_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Inference(options.model), server)
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
