"""The gRPC door: the Open Inference Protocol, health and reflection, on a threaded server."""

from bentos.grpc_door.door import GrpcDoor

__all__ = ["GrpcDoor"]
