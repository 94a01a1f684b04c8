"""The service as BentoML runs it: ``bentoml serve``, and the bento that is built from it."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import servers

GOOD = {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def served(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    folder = tmp_path_factory.mktemp("bentoml")
    rest, grpc, admin = free_port(), free_port(), free_port()
    env = servers.environment(
        BENTOML_HOME=str(folder / "home"),
        PDX_BUNDLE=str(bundle),
        PDX_ADMIN_HOST="127.0.0.1",
        PDX_ADMIN_PORT=str(admin),
        PDX_GRPC_HOST="127.0.0.1",
        PDX_GRPC_PORT=str(grpc),
        PDX_LOG_FORMAT="text",
        PDX_STOP_DRAIN_SECONDS="2",
    )
    command = [sys.executable, "-m", "bentoml", "serve", "bentos.service:PredictionDex"]
    with servers.spawn([*command, "--host", "127.0.0.1", "--port", str(rest)], folder, servers.ROOT, env) as process:
        process.rest, process.admin = f"http://127.0.0.1:{rest}", f"http://127.0.0.1:{admin}"
        process.grpc = f"127.0.0.1:{grpc}"
        servers.until(process.ready, process, seconds=120)
        yield process


@pytest.mark.slow
def test_the_doors_answer_and_drain(served: servers.Process) -> None:
    for path in ("/predict/battle", "/bento/predict_battle"):
        answer = httpx.post(served.rest + path, json=GOOD)
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == {"name": "battle", "version": "1"}
    refused = httpx.post(f"{served.rest}/predict/battle", json={**GOOD, "pokemon_a": "ditto"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert httpx.get(f"{served.rest}/docs").status_code == 200
    assert httpx.get(f"{served.rest}/readyz").status_code == 200
    assert httpx.get(f"{served.rest}/schema.json").json()["code"] == "not_found"
    assert httpx.get(f"{served.admin}/contract").json()["name"] == "battle"

    served.terminate()
    servers.until(lambda: httpx.get(f"{served.admin}/readyz").status_code == 503, served)
    assert httpx.get(f"{served.rest}/readyz").status_code == 503
    last = httpx.post(f"{served.rest}/predict/battle", json=GOOD)
    assert (last.status_code, last.headers["connection"]) == (200, "close")
    assert served.wait() == 0


@pytest.mark.slow
def test_a_built_bento_serves_the_model_that_it_names(bundle: Path, tmp_path: Path) -> None:
    from training.package import package

    built = package(bundle, tmp_path / "home")
    env = servers.environment(
        BENTOML_HOME=str(tmp_path / "home"), PDX_HTTP_PORT="0", PDX_GRPC_PORT="0", PDX_ADMIN_PORT="0"
    )
    env.pop("PYTHONPATH")  # the code is the bento's own
    command = [sys.executable, "-m", "bentos", "--host", "127.0.0.1"]
    with servers.spawn(command, tmp_path, built.folder / "src", env) as process:
        servers.ready(process)
        assert httpx.post(f"{process.rest}/predict/battle", json=GOOD).status_code == 200
        shown = httpx.get(f"{process.admin}/contract").json()
    assert built.model.startswith(f"battle:{shown['version']}-")
