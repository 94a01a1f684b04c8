"""The messages of the Open Inference Protocol, in a descriptor pool of their own.

Protobuf's default pool takes a symbol once a process, and Triton's client registers the same ones there; so ours are
known to ``POOL`` only. `tools/protos.py` generates the modules from `inference.proto`.
"""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
"""What `inference_pb2` registers its file in."""
