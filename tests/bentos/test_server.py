"""``python -m bentos`` as a process: how it starts, refuses, and stops."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bentos.contract import CONTRACT_FILE
from tests import bundles, servers

REFUSED = 78  # EX_CONFIG
GOOD = {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}
SERVING = servers.ROOT / ".venv-serving" / "bin" / "python"


def corrupt(folder: Path) -> None:
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1] + b"\0")


def another_schema(folder: Path) -> None:
    contract = json.loads((folder / CONTRACT_FILE).read_text())
    (folder / CONTRACT_FILE).write_text(json.dumps({**contract, "schema_version": 2}))


def off_parity(folder: Path) -> None:
    fitted = bundles.model()
    bundles.seal(folder, parity={"rows": fitted.rows, "expected": [[1 - p] for p in fitted.expected]})


def multiclass(folder: Path) -> None:
    bundles.seal(folder, task="multiclass")


def empty_booster(folder: Path) -> None:
    (folder / "model.ubj").write_bytes(b"")
    bundles.seal(folder)


def dex_without_power(folder: Path) -> None:
    dex = json.loads((folder / "dex.json").read_text())
    for attack in dex["attacks"]:
        del attack["power"]
    (folder / "dex.json").write_text(json.dumps(dex))
    bundles.seal(folder)


def pipe(folder: Path) -> None:
    (folder / "card.md").unlink()
    os.mkfifo(folder / "card.md")


def contract_without_end(folder: Path) -> None:
    (folder / CONTRACT_FILE).unlink()
    (folder / CONTRACT_FILE).symlink_to("/dev/zero")


def odd_name(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff\n", "w"):  # noqa: PTH123  a name that is no text
        pass


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (multiclass, "A battle model answers the task binary, and this one's is multiclass."),
        (empty_booster, "XGBoost cannot load model.ubj: it is empty."),
        (dex_without_power, "cannot be opened: KeyError."),
        (pipe, "The bundle's 'card.md' is not a regular file."),
        (contract_without_end, "The bundle's contract.json is not a regular file."),
        (odd_name, r"The bundle holds '\udcff\n', which its contract does not list."),
        (corrupt, "'model.onnx' is not the file that was packed"),
        (another_schema, "has schema version 2, and this server reads 1 only"),
        (off_parity, "does not answer its parity sample through onnx"),
    ],
)
def test_a_bundle_that_is_refused_ends_the_process_with_its_sentence(
    bundle: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    spoil(folder)
    with servers.start(tmp_path / "run", "--bundle", str(folder)) as process:
        servers.opened(process)
        end = time.monotonic() + servers.START_SECONDS
        while process.popen.poll() is None and time.monotonic() < end:
            assert not process.ready()
        assert process.wait(1) == REFUSED
        sentence = process.termination_log.read_text()
        assert words in sentence
        assert sentence.count("\n") == 1
        assert sentence in process.text()
        assert "Traceback" not in process.text()
        assert str(tmp_path) not in sentence


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ({"PDX_HTTP_PROT": "1"}, (), "There is no setting PDX_HTTP_PROT. Did you mean PDX_HTTP_PORT?"),
        ({}, (), "No bundle is named: set PDX_BUNDLE or --bundle to its folder."),
        ({}, ("--port", "70000"), "PDX_HTTP_PORT is not usable: input should be less than or equal to 65535."),
    ],
)
def test_a_setting_that_is_refused_ends_the_process_with_its_sentence(
    tmp_path: Path, settings: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    with servers.spawn(
        [sys.executable, "-m", "bentos", *arguments], tmp_path, servers.ROOT, servers.environment(**settings)
    ) as process:
        assert process.wait() == REFUSED
        assert words in process.text()
        assert "Traceback" not in process.text()


def test_a_taken_port_is_refused(bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with servers.start(tmp_path, "--bundle", str(bundle), "--port", str(port)) as process:
            assert process.wait() == REFUSED
            assert f"PDX_HTTP_PORT is not usable: 127.0.0.1:{port}: Address already in use." in process.text()


def test_until_the_model_is_there_requests_are_told_so(bundle: Path, tmp_path: Path) -> None:
    phases: list[tuple[int, str]] = []
    with servers.start(tmp_path, "--bundle", str(bundle)) as process:
        servers.opened(process)
        early = httpx.post(f"{process.rest}/predict/battle", json=GOOD)
        answer = httpx.get(f"{process.admin}/readyz")
        phases.append((answer.status_code, answer.json()["status"]))
        servers.ready(process)
        late = httpx.post(f"{process.rest}/predict/battle", json=GOOD)
    assert phases == [(503, "loading")]
    assert (early.status_code, early.json()["code"]) == (503, "not_ready")
    assert late.status_code == 200


@contextlib.contextmanager
def held(bundle: Path, folder: Path) -> Iterator[tuple[servers.Process, Path]]:
    """A server that loads until the file given out is there: its disk is slow to open one file of the bundle."""
    go = folder / "go"
    program = (
        "import os, sys, time\n"
        "def slow(event, details):\n"
        "    if event == 'open' and str(details[0]).endswith('card.md'):\n"
        f"        while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "sys.addaudithook(slow)\n"
        "from bentos.__main__ import main\n"
        "sys.exit(main())\n"
    )
    folder.mkdir(exist_ok=True)
    script = folder / "held.py"
    script.write_text(program)
    env = {
        "PDX_HTTP_PORT": "0",
        "PDX_ADMIN_PORT": "0",
        "PDX_GRPC_PORT": "0",
        "PDX_HTTP_HOST": "127.0.0.1",
        "PDX_BUNDLE": str(bundle),
    }
    with servers.spawn([sys.executable, str(script)], folder, servers.ROOT, servers.environment(**env)) as process:
        yield servers.opened(process), go


def test_bentomls_paths_wait_for_the_model_and_start_nothing(bundle: Path, tmp_path: Path) -> None:
    with held(bundle, tmp_path) as (process, go):
        for path in ("/docs.json", "/openapi.json"):
            early = httpx.get(process.rest + path, timeout=5)
            assert (early.status_code, early.json()["code"]) == (503, "not_ready")
            assert early.headers["retry-after"] == "1"
        early = httpx.post(f"{process.rest}/bento/predict_battle", json=GOOD, timeout=5)
        assert (early.status_code, early.json()["code"]) == (503, "not_ready")
        assert httpx.get(f"{process.admin}/contract").headers["retry-after"] == "1"
        go.touch()
        servers.ready(process)
        assert httpx.get(f"{process.rest}/docs.json", timeout=30).status_code == 200
        assert process.text().count("ready with battle") == 1
        process.popen.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_bentomls_service_loads_nothing_in_a_process_that_says_it_does(bundle: Path, tmp_path: Path) -> None:
    program = (
        "from bentos.state import STATE\n"
        "STATE.supervised = False\n"
        "from bentos.service import bento_service\n"
        "bento_service()()\n"
        "print(STATE.core)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=servers.environment(PDX_BUNDLE=str(bundle)), cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None\n"


@pytest.mark.parametrize("signals", [1, 2])
def test_sigterm_while_loading_ends_at_once(bundle: Path, tmp_path: Path, signals: int) -> None:
    with held(bundle, tmp_path) as (process, _):
        for _ in range(signals):
            process.terminate()
        assert process.wait(10) == 0
        assert "Traceback" not in process.text()


@contextlib.contextmanager
def load(rest: str, clients: int) -> Iterator[tuple[list[httpx.Response], threading.Event]]:
    """Clients that ask one request after another over kept connections, until told to stop."""
    answers: list[httpx.Response] = []
    failures: list[BaseException] = []
    enough = threading.Event()

    def ask() -> None:
        try:
            with httpx.Client(timeout=30) as client:
                while not enough.is_set():
                    answers.append(client.post(f"{rest}/predict/battle", json=GOOD))
        except httpx.HTTPError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers, enough
    finally:
        enough.set()
        for thread in threads:
            thread.join(30)
    assert not failures


def test_sigterm_under_load_loses_no_answer(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="4") as process:
        servers.ready(process)
        with load(process.rest, clients=4) as (answers, enough):
            servers.until(lambda: len(answers) > 20, process)
            before = len(answers)
            process.terminate()
            servers.until(lambda: httpx.get(f"{process.admin}/readyz").status_code == 503, process)
            assert httpx.get(f"{process.admin}/readyz").json() == {"status": "stopping"}
            assert httpx.get(f"{process.admin}/livez").status_code == 200
            # A gateway hears of it later: what it sends meanwhile is answered, and told to go elsewhere next.
            heard = len(answers)
            servers.until(lambda: len(answers) > heard + 20, process)
            enough.set()
        assert process.wait() == 0
    assert {answer.status_code for answer in answers} == {200}
    assert all("connection" not in answer.headers for answer in answers[: before - 4])
    assert all(answer.headers["connection"] == "close" for answer in answers[heard + 4 :])


@contextlib.contextmanager
def half_a_request(rest: str) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection on which the server has begun to read a request, and what is left to be sent of it."""
    body = json.dumps(GOOD).encode()
    head = f"POST /predict/battle HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    address = urlsplit(rest)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head + body[:5])
        # A later one has been answered, so the head of this one has been read.
        assert httpx.post(f"{rest}/predict/battle", json=GOOD).status_code == 200
        yield connection, body[5:]


def test_a_request_in_flight_is_finished_after_the_drain(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="0") as process:
        servers.ready(process)
        with half_a_request(process.rest) as (connection, rest):
            process.terminate()
            servers.until(lambda: refuses(process.rest), process)
            time.sleep(0.5)  # nothing is waited for: the client is slow, and slower than any pause of a shutdown
            connection.sendall(rest)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert b"recommended_move" in answer
        assert process.wait() == 0


def test_a_request_that_does_not_end_does_not_hold_the_process(bundle: Path, tmp_path: Path) -> None:
    with servers.start(
        tmp_path, "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="0", PDX_STOP_FINISH_SECONDS="1"
    ) as process:
        servers.ready(process)
        with half_a_request(process.rest) as (connection, _):
            process.terminate()
            assert process.wait(15) == 0
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in answer
        assert b'"code":"not_ready"' in answer
        assert "Traceback" not in process.text()


def test_what_is_cut_off_at_the_end_is_told_so(bundle: Path, tmp_path: Path) -> None:
    body = json.dumps({"pokemon_a": "mew", "pokemon_b": "mew"}).encode()
    ask = b"POST /predict/battle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    settings = {"PDX_STOP_DRAIN_SECONDS": "0", "PDX_STOP_FINISH_SECONDS": "1", "PDX_LIMIT_IN_FLIGHT": "1000"}
    with servers.start(tmp_path, "--bundle", str(bundle), **settings) as process, contextlib.ExitStack() as stack:
        servers.ready(process)
        address = urlsplit(process.rest)
        asked = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
            for _ in range(600)
        ]
        for connection in asked:
            connection.sendall(ask)
        metrics = f"{process.admin}/metrics"
        servers.until(lambda: 'in_flight{transport="rest"} 5' in httpx.get(metrics, timeout=30).text, process)
        process.terminate()
        heads = [connection.recv(12) for connection in asked]
        assert process.wait(30) == 0
    # Each of them is some ten milliseconds of work, one after another.
    assert heads.count(b"HTTP/1.1 200") >= 1
    assert heads.count(b"HTTP/1.1 503") >= 1
    assert set(heads) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}


def refuses(rest: str) -> bool:
    """Whether the door takes no new connection any more."""
    address = urlsplit(rest)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except OSError:
        return True
    return False


def test_an_interrupt_from_the_terminal_does_not_drain(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, "--bundle", str(bundle), PDX_STOP_DRAIN_SECONDS="600") as process:
        servers.ready(process)
        process.popen.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_bug_of_ours_is_answered_in_our_shape_and_logged(bundle: Path, tmp_path: Path) -> None:
    """The bug is real: the process loses its core's runtime while it runs."""
    program = (
        "import sys, threading, time\n"
        "from bentos.__main__ import main\n"
        "from bentos.state import STATE\n"
        "def spoil():\n"
        "    while STATE.core is None: time.sleep(0.01)\n"
        "    STATE.core.runtime = None\n"
        "threading.Thread(target=spoil, daemon=True).start()\n"
        "sys.exit(main())\n"
    )
    script = tmp_path / "spoilt.py"
    script.write_text(program)
    env = {
        "PDX_HTTP_PORT": "0",
        "PDX_ADMIN_PORT": "0",
        "PDX_GRPC_PORT": "0",
        "PDX_HTTP_HOST": "127.0.0.1",
        "PDX_BUNDLE": str(bundle),
    }
    with servers.spawn([sys.executable, str(script)], tmp_path, servers.ROOT, servers.environment(**env)) as process:
        servers.ready(process)
        servers.until(lambda: httpx.post(f"{process.rest}/predict/battle", json=GOOD).status_code == 500, process)
        answer = httpx.post(f"{process.rest}/predict/battle", json=GOOD)
        assert answer.json()["code"] == "internal"
        ident = answer.json()["error"].rstrip(".").split()[-1]
        assert "Traceback" not in answer.text
        assert f"/predict/battle failed (request {ident})" in process.text()
        assert "AttributeError" in process.text()


def test_options_are_explained_without_loading_a_server() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bentos", "--help"],
        env=servers.environment(), cwd=servers.ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--bundle DIR" in shown.stdout
    assert "uvicorn" not in shown.stderr
    assert "numpy" not in shown.stderr


@pytest.mark.skipif(not SERVING.exists(), reason="no .venv-serving; make .venv-serving/.ready makes it")
def test_with_the_serving_packages_alone_a_process_is_small(bundle: Path, tmp_path: Path) -> None:
    with servers.start(tmp_path, "--bundle", str(bundle), python=str(SERVING)) as process:
        servers.ready(process)
        assert httpx.post(f"{process.rest}/predict/battle", json=GOOD).status_code == 200
        assert process.memory_mib() <= 220
        assert httpx.get(f"{process.rest}/docs.json", timeout=60).status_code == 200
        assert process.memory_mib() <= 220
