"""Measures where the microseconds of a request of one row go, and writes them to loadtests/results/microseconds.json.

    .venv/bin/python tools/microseconds.py        about five minutes; needs wrk, and ghz, which `make bench` builds

Servers that do a little more from one to the next are loaded in turns, each pinned to one core, and their CPU time is
divided by the requests they answered: other work on the machine adds little to it, unlike to a latency. Stages of REST
run behind this project's own HTTP protocol; what a stage adds is its cost among all the others, caches included, which
is two to three times what the same code takes in a loop of its own.
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from bentos.core import Core
    from bentos.http import Answer, Request
    from loadtests.bench.model import Model

RESULT: Final = ROOT / "loadtests" / "results" / "microseconds.json"
SECONDS: Final = 3.0
ROUNDS: Final = 5
SCRAPED_SECONDS: Final = 12.0
METHOD: Final = "/inference.GRPCInferenceService/ModelInfer"
REST: Final = {
    "uvicorn": "uvicorn and an ASGI app with a constant answer",
    "bare_asgi": "the bare ASGI app with the model",
    "protocol": "our HTTP protocol with a constant answer",
    "read": "JSON read into a tensor",
    "check": "values held against the contract",
    "model": "the model, its outputs, the prediction id",
    "write": "the answer as JSON",
    "server": "routing, request id, metrics, drift: the whole server",
}
GRPC: Final = {
    "grpc": "grpc.server with a constant answer",
    "bare_grpc": "the bare grpc.server with the model",
    "infer": "grpc.server with our reading, checks, model, id and answer",
    "door": "limits, deadlines, request id, metrics, drift: the whole server",
}
"""Stages in order; uvicorn and those named bare are no step on the way to the whole server, but to compare with."""


# The servers


def stages(core: "Core") -> "dict[str, Callable[[Request], Answer]]":
    """Handlers of REST, each doing more of a request than the one before; the last is the server's own."""
    from bentos.http import Request, Response
    from bentos.metrics import Metrics
    from bentos.oip.answer import Writer
    from bentos.oip.request import Reader
    from bentos.rest import Rest
    from bentos.settings import Settings
    from bentos.state import State

    settings, state, metrics = Settings(), State(), Metrics()
    metrics.bind(core.contract)
    state.core = core
    contract = core.contract
    reader = Reader(core.adapter.inputs, core.outputs, core.most_rows, settings.limit.nesting)
    writer = Writer(contract.name, contract.version, core.outputs, contract.classes or ())
    constant = Response(200, b"x" * 300)

    def read(request: Request) -> Response:
        reader.read(request.body, None)
        return constant

    def check(request: Request) -> Response:
        core.tensors(reader.read(request.body, None).tensors)
        return constant

    def model(request: Request) -> Response:
        core.predict(core.tensors(reader.read(request.body, None).tensors))
        return constant

    def write(request: Request) -> Response:
        prediction = core.predict(core.tensors(reader.read(request.body, None).tensors))
        return writer.write(prediction, None, None, None)

    whole = Rest(None, state=state, settings=settings, metrics=metrics)
    return {
        "protocol": lambda _: constant,
        "read": read,
        "check": check,
        "model": model,
        "write": write,
        "server": whole.handle,
    }


class Stage:
    """A handler of our HTTP protocol around one function."""

    stopping = False

    def __init__(self, handle: "Callable[[Request], Answer]") -> None:
        self.handle = handle

    def admit(self, request: "Request") -> None:
        """Everything is let in."""

    def release(self, request: "Request") -> None:
        """Nothing is counted."""

    def refuse(self, request: "Request", error: Any) -> Any:  # noqa: ARG002  Handler's signature
        """Nothing is refused in these runs."""
        raise error


def serve_rest(stage: str, bundle: Path, port: int) -> None:
    """Serve one stage of REST until stopped."""
    import uvicorn
    import uvloop

    from bentos.core import Core
    from bentos.doors import limits_of
    from bentos.listen import Server, bind
    from bentos.settings import Http

    if stage == "uvicorn":
        length = [(b"content-type", b"application/json"), (b"content-length", b"300")]

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": b"x" * 300})

        options: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "lifespan": "off", "access_log": False}
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", **options)
        return

    async def serve() -> None:
        handler = Stage(stages(Core.open(bundle))[stage])
        settle()
        await Server(handler, bind("127.0.0.1", port, "--port"), limits_of(Http())).start()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def serve_grpc(stage: str, bundle: Path, port: int) -> None:
    """Serve one stage of gRPC until stopped."""
    import grpc

    from bentos.core import Core
    from bentos.grpc_door.inference import Infer
    from bentos.grpc_door.wire import inference_pb2 as pb

    core = Core.open(bundle)
    infer = Infer(core)
    constant = pb.ModelInferResponse(model_name="model", raw_output_contents=[b"x" * 100]).SerializeToString()

    class Nobody:
        """A call without a deadline."""

        prediction: Any = None

        def check_wanted(self, _: float | None) -> None:
            """It always is."""

    def answer(message: bytes, _: grpc.ServicerContext) -> bytes:
        return constant if stage == "grpc" else infer(message, Nobody())  # type: ignore[arg-type]  # all that it asks

    handler: Any = grpc.unary_unary_rpc_method_handler(answer)

    class Handler(grpc.GenericRpcHandler):
        """Knows one method."""

        def service(self, details: grpc.HandlerCallDetails) -> Any:
            return handler if details.method == METHOD else None

    settle()
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def settle() -> None:
    """What the server does once its model is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


# The measurement


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(stage: str, port: int, other: int, bundle: Path, trained: "Model") -> list[str]:
    """What starts a stage on a port."""
    from loadtests.bench.places import CONTENDERS, SERVING_PYTHON

    python = str(SERVING_PYTHON)
    if stage == "door":
        ports = ["--grpc-port", str(port), "--port", str(other), "--admin-port", "0"]
        return [python, "-m", "bentos", "--bundle", str(bundle), "--host", "127.0.0.1", *ports]
    if stage == "bare_asgi":
        app = CONTENDERS / "bare_asgi" / "app.py"
        return [python, str(app), "--model", str(trained.onnx), "--port", str(port)]
    if stage == "bare_grpc":
        own = ROOT / ".pdx/bench/bare_grpc/venv/bin/python"
        return [
            str(own),
            str(CONTENDERS / "bare_grpc" / "server.py"),
            "--model",
            str(trained.onnx),
            "--port",
            str(port),
        ]
    return [python, str(Path(__file__)), "--serve", stage, "--bundle", str(bundle), "--port", str(port)]


def ladder(names: list[str], bundle: Path, trained: "Model") -> dict[str, list[float]]:
    """Microseconds of CPU time a request of each stage, one figure a round."""
    from loadtests.bench import payloads
    from loadtests.bench.environments import find_ghz, find_wrk
    from loadtests.bench.load import Generators
    from loadtests.bench.places import STATE, default_cores, environment
    from loadtests.bench.servers import free_ports

    cores = default_cores()
    generators = Generators(find_wrk(), find_ghz(), cores, ROOT / STATE)
    one = trained.rows[:1]
    taken: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        variables = environment(PYTHONPATH=str(ROOT / ".pdx/bench/bare_grpc/state"), PDX_STOP_DRAIN_SECONDS="0")
        for name in names:
            ports = free_ports()
            start = cores.pin_server(command(name, ports.http, ports.grpc, bundle, trained))
            process = subprocess.Popen(start, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            running[name] = (process, ports.http)
        os.sched_setaffinity(0, {cores.generator})
        time.sleep(10)
        for number in range(-1, ROUNDS):
            for name, (process, port) in running.items():
                before = cpu_seconds(process.pid)
                if name in GRPC:
                    message = payloads.OIP_GRPC.encode(one)
                    load = generators.grpc(port, message, concurrency=16, seconds=SECONDS)
                else:
                    body = payloads.OIP_JSON.encode(one)
                    load = generators.http(
                        f"http://127.0.0.1:{port}/v2/models/model/infer", body, connections=16, seconds=SECONDS
                    )
                if number >= 0:  # the first round warms up
                    taken[name].append((cpu_seconds(process.pid) - before) / load.requests * 1e6)
    return taken


def scrapes(bundle: Path, trained: "Model") -> list[float]:
    """Milliseconds that each scrape of the whole server took while it had as many requests as it could answer."""
    from threading import Thread
    from urllib.request import urlopen

    from loadtests.bench import payloads
    from loadtests.bench.environments import find_wrk
    from loadtests.bench.load import Generators
    from loadtests.bench.places import SERVING_PYTHON, STATE, default_cores, environment
    from loadtests.bench.servers import free_ports

    cores, ports = default_cores(), free_ports()
    doors = ["--port", str(ports.http), "--grpc-port", str(ports.grpc), "--admin-port", str(ports.admin)]
    start = [str(SERVING_PYTHON), "-m", "bentos", "--bundle", str(bundle), "--host", "127.0.0.1", *doors]
    generators = Generators(find_wrk(), None, cores, ROOT / STATE)
    body = payloads.OIP_JSON.encode(trained.rows[:1])
    url = f"http://127.0.0.1:{ports.http}/v2/models/model/infer"
    taken: list[float] = []
    with ExitStack() as stack:
        process = subprocess.Popen(
            cores.pin_server(start), cwd=ROOT, env=environment(PDX_STOP_DRAIN_SECONDS="0"), stdout=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        time.sleep(5)
        load = Thread(target=generators.http, args=(url, body), kwargs={"connections": 16, "seconds": SCRAPED_SECONDS})
        load.start()
        time.sleep(1)
        while load.is_alive():
            begun = time.monotonic()
            with urlopen(f"http://127.0.0.1:{ports.admin}/metrics", timeout=10) as answer:
                answer.read()
            taken.append((time.monotonic() - begun) * 1e3)
            time.sleep(0.2)
        load.join()
    return taken[:-1]  # the last one may have come after the load


def measure() -> dict[str, Any]:
    """Everything that is written."""
    from loadtests.bench import model
    from loadtests.bench.places import STATE
    from loadtests.bench.product import product_bundle

    trained = model.load(ROOT / STATE / "model")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = product_bundle(Path(scratch) / "bundle", trained)
        stages_taken = {**ladder([*REST], bundle, trained), **ladder([*GRPC], bundle, trained)}
        scraped = scrapes(bundle, trained)
    stages = [
        {"stage": name, "title": {**REST, **GRPC}[name], "least": min(each), "greatest": max(each)}
        for name, each in stages_taken.items()
    ]
    return {
        "stages": stages,
        "scrape_ms": {"scrapes": len(scraped), "median": statistics.median(scraped), "greatest": max(scraped)},
    }


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", choices=[*REST, *GRPC], help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        (serve_rest if options.serve in REST else serve_grpc)(options.serve, options.bundle, options.port)
        return 0
    result = measure()
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for each in result["stages"]:
        print(f"{each['least']:6.1f} µs  {each['title']}")
    print(result["scrape_ms"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
