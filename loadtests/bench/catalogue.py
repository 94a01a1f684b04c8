"""The contenders: how each is started, and the doors it is asked through."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from loadtests.bench import payloads
from loadtests.bench.model import Model
from loadtests.bench.payloads import Codec
from loadtests.bench.places import CONTENDERS, ROOT, SERVING_PYTHON
from loadtests.bench.servers import Ports

_OIP_PATH: Final = "/v2/models/model/infer"


@dataclass(frozen=True)
class Door:
    """One way to ask a contender.

    Attributes:
        name: what the table calls it.
        kind: which generator loads it: wrk or ghz.
        codec: bodies and answers.
        path: of HTTP.
        batch: whether batches of 1,000 rows are measured too, alone and beside single rows.
    """

    name: str
    kind: Literal["http", "grpc"]
    codec: Codec
    path: str = _OIP_PATH
    batch: bool = False


@dataclass(frozen=True)
class Setup:
    """What a contender's commands are made of.

    Attributes:
        python: of its environment.
        folder: holds its own files.
        model: the model it serves.
        state: a folder of its own for what it prepares and writes; it is started there.
        bundle: the product's bundle of that model; None for everybody else.
    """

    python: Path
    folder: Path
    model: Model
    state: Path
    bundle: Path | None = None

    def script(self, name: str) -> Path:
        """A command that its environment installed."""
        return self.python.parent / name

    def run(self, name: str) -> list[str]:
        """The start of a command that runs one of its own files."""
        return [str(self.python), str(self.folder / name)]


@dataclass(frozen=True)
class Contender:
    """One server.

    Attributes:
        name: for ``--only``, and of its folder in ``contenders/``.
        title: what the table calls it.
        doors: how it is asked; the first one also tells when it is ready.
        command: starts it.
        variables: its environment variables.
        package: the one whose version the table names; None for this server.
        prepare: a command to run once before; None where there is nothing to prepare.
        installed: whether it has an environment of its own; the product runs in the serving environment.
    """

    name: str
    title: str
    doors: tuple[Door, ...]
    command: Callable[[Setup, Ports], list[str]]
    variables: Callable[[Setup, Ports], Mapping[str, str]] = field(default=lambda _setup, _ports: {})
    prepare: Callable[[Setup], list[str]] | None = None
    package: str | None = None
    installed: bool = True


REST_JSON: Final = "REST JSON"
REST_BINARY: Final = "REST binary"
GRPC: Final = "gRPC"

PRODUCT_VARIABLES: Final = {"PDX_STOP_DRAIN_SECONDS": "0"}
"""Nobody is routed to a server that is being measured, so it need not wait for that before it stops."""

_JSON_DOOR: Final = Door(REST_JSON, "http", payloads.OIP_JSON)
_GRPC_DOOR: Final = Door(GRPC, "grpc", payloads.OIP_GRPC)
_LOCALHOST: Final = "127.0.0.1"


def _product(setup: Setup, ports: Ports) -> list[str]:
    options = ["--bundle", str(setup.bundle), "--host", _LOCALHOST]
    options += ["--port", str(ports.http), "--grpc-port", str(ports.grpc), "--admin-port", str(ports.admin)]
    return [str(setup.python), "-m", "bentos", *options]


def _bare_asgi(setup: Setup, ports: Ports) -> list[str]:
    return [*setup.run("app.py"), "--model", str(setup.model.onnx), "--port", str(ports.http)]


def _bare_binary(setup: Setup, ports: Ports) -> list[str]:
    files = ["--onnx", str(setup.model.onnx), "--ubj", str(setup.model.ubj)]
    return [*setup.run("app.py"), *files, "--port", str(ports.http)]


def _bare_grpc(setup: Setup, ports: Ports) -> list[str]:
    return [*setup.run("server.py"), "--model", str(setup.model.onnx), "--port", str(ports.grpc)]


def _bare_grpc_stubs(setup: Setup) -> list[str]:
    out = [f"--python_out={setup.state}", f"--grpc_python_out={setup.state}"]
    return [str(setup.python), "-m", "grpc_tools.protoc", f"-I{setup.folder}", *out, "oip.proto"]


def _bentoml(setup: Setup, ports: Ports) -> list[str]:
    options = ["--host", _LOCALHOST, "--port", str(ports.http)]
    return [str(setup.script("bentoml")), "serve", "service:Classifier", "--working-dir", str(setup.folder), *options]


def _fastapi(setup: Setup, ports: Ports) -> list[str]:
    options = ["--app-dir", str(setup.folder), "--host", _LOCALHOST, "--port", str(ports.http)]
    return [str(setup.script("uvicorn")), "app:app", *options]


def _kserve(setup: Setup, ports: Ports) -> list[str]:
    options = ["--model_name", "model", "--http_port", str(ports.http), "--grpc_port", str(ports.grpc)]
    return [*setup.run("server.py"), "--model", str(setup.model.ubj), *options]


def _mlserver_repository(setup: Setup) -> list[str]:
    settings = {
        "name": "model",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": str(setup.model.ubj), "version": "1"},
    }
    folder = setup.state / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return [str(setup.script("mlserver")), "--version"]


def _mlserver_variables(_setup: Setup, ports: Ports) -> Mapping[str, str]:
    """Without its process for inference, which on one core makes it three times as slow, and without debug mode."""
    names = {"HTTP_PORT": ports.http, "GRPC_PORT": ports.grpc, "METRICS_PORT": ports.admin, "HOST": _LOCALHOST}
    return {f"MLSERVER_{name}": str(value) for name, value in names.items()} | {
        "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": "0",
    }


def _mlflow(setup: Setup, ports: Ports) -> list[str]:
    options = ["--env-manager", "local", "--host", _LOCALHOST, "--port", str(ports.http), "--workers", "1"]
    return [str(setup.script("mlflow")), "models", "serve", "--model-uri", str(setup.state / "saved"), *options]


def _mlflow_save(setup: Setup) -> list[str]:
    files = ["--ubj", str(setup.model.ubj), "--rows", str(setup.model.rows_file)]
    return [*setup.run("save.py"), *files, "--out", str(setup.state / "saved")]


PRODUCT: Final = Contender(
    name="product",
    title="this server",
    doors=(_JSON_DOOR, Door(REST_BINARY, "http", payloads.OIP_BINARY, batch=True), _GRPC_DOOR),
    command=_product,
    variables=lambda _setup, _ports: PRODUCT_VARIABLES,
    installed=False,
)

ALL: Final = (
    PRODUCT,
    Contender("bare_asgi", "bare ASGI app", (_JSON_DOOR,), _bare_asgi, package="uvicorn"),
    Contender(
        "bare_binary",
        "bare ASGI app, binary",
        (Door(REST_BINARY, "http", payloads.OIP_BINARY, batch=True),),
        _bare_binary,
        package="uvicorn",
    ),
    Contender(
        "bare_grpc",
        "bare grpc.server",
        (_GRPC_DOOR,),
        _bare_grpc,
        lambda setup, _ports: {"PYTHONPATH": str(setup.state)},
        _bare_grpc_stubs,
        package="grpcio",
    ),
    Contender(
        "bentoml",
        "BentoML",
        (Door(REST_JSON, "http", payloads.BENTOML, "/predict"),),
        _bentoml,
        lambda setup, _ports: {"BENCH_MODEL": str(setup.model.ubj), "BENTOML_HOME": str(setup.state)},
        package="bentoml",
    ),
    Contender(
        "fastapi",
        "FastAPI",
        (Door(REST_JSON, "http", payloads.FASTAPI, "/predict"),),
        _fastapi,
        lambda setup, _ports: {"BENCH_MODEL": str(setup.model.ubj)},
        package="fastapi",
    ),
    Contender(
        "mlserver",
        "MLServer",
        (_JSON_DOOR, _GRPC_DOOR),
        lambda setup, _ports: [str(setup.script("mlserver")), "start", str(setup.state)],
        _mlserver_variables,
        _mlserver_repository,
        package="mlserver",
    ),
    Contender(
        "kserve",
        "KServe",
        (_JSON_DOOR, Door(REST_BINARY, "http", payloads.OIP_BINARY), _GRPC_DOOR),
        _kserve,
        package="kserve",
    ),
    Contender(
        "mlflow",
        "MLflow models serve",
        (Door(REST_JSON, "http", payloads.MLFLOW, "/invocations"),),
        _mlflow,
        lambda setup, _ports: {"PATH": f"{setup.python.parent}:/usr/bin:/bin"},
        _mlflow_save,
        package="mlflow",
    ),
)


def setup_of(contender: Contender, python: Path, model: Model, state: Path, bundle: Path | None) -> Setup:
    """The pieces of a contender's commands; the product runs in the serving environment, from the sources."""
    if contender.installed:
        return Setup(python, CONTENDERS / contender.name, model, state)
    return Setup(SERVING_PYTHON, ROOT, model, ROOT, bundle)
