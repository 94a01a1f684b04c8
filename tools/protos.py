"""Makes and checks the committed messages of the gRPC door from its `.proto` file.

    python tools/protos.py           generate
    python tools/protos.py --check   exit 1 with a sentence for each file that is not what would be generated

protoc's own Python module would register its symbols in protobuf's default pool, where a client of the same protocol
has registered them already; so it is the file's descriptor that is kept, and our module builds the messages from it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
WIRE = ROOT / "bentos/grpc_door/wire"
PROTO = "inference.proto"
_WIDTH = 100
"""Columns of the literal's lines, less its indent and quotes."""

_HEAD = f"# Generated from {PROTO} by tools/protos.py: edit that file and run this one.\n"
_MODULE = '''"""Message classes of the Open Inference Protocol, built in the pool of this package."""

from google.protobuf.message_factory import GetMessageClass

from bentos.grpc_door.wire import POOL

POOL.AddSerializedFile(
{literal}
)
DESCRIPTOR = POOL.FindFileByName("{name}")
'''


def generate() -> dict[Path, str]:
    """What each generated file should hold."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={WIRE}", f"--pyi_out={out}"]
        subprocess.run([*command, f"--descriptor_set_out={out / 'set'}", PROTO], check=True)
        (file,) = FileDescriptorSet.FromString((out / "set").read_bytes()).file
        # protoc leaves open what the dicts that it takes in place of messages hold.
        stub = (out / "inference_pb2.pyi").read_text("utf-8").replace("_Mapping]", "_Mapping[str, object]]")
    # Comments of the .proto file are not in it: a new comment makes no new module.
    module = _MODULE.format(literal=_literal(file.SerializeToString()), name=PROTO)
    for message in file.message_type:
        module += f'{message.name} = GetMessageClass(DESCRIPTOR.message_types_by_name["{message.name}"])\n'
    return {
        WIRE / "inference_pb2.py": f"# fmt: off\n{_HEAD}{module}",
        WIRE / "inference_pb2.pyi": f"# ruff: noqa: A002, E501, I001, RUF023, UP007, UP045\n# fmt: off\n{_HEAD}{stub}",
    }


def _literal(data: bytes) -> str:
    pieces = [data[start : start + _WIDTH // 4] for start in range(0, len(data), _WIDTH // 4)]
    return "\n".join(f"    {piece!r}" for piece in pieces)


def main() -> int:
    """Write the files, or say which are stale; returns the exit status."""
    parser = argparse.ArgumentParser(description="Generate the messages of the gRPC door.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file is not as generated")
    check = parser.parse_args().check
    wanted = generate()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what {PROTO} generates: run python tools/protos.py.")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
