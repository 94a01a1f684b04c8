"""The example for Alertmanager, in the real one: pages and tickets go where they should, and one trouble tells once."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

CONFIG = Path(__file__).parents[3] / "monitoring/alertmanager.yaml"
WHERE = {"namespace": "models", "release": "battle"}

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus-alertmanager") and shutil.which("amtool")),
    reason="Alertmanager is not there (Debian's package prometheus-alertmanager)",
)


def amtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *words], check=False, capture_output=True, text=True)


def test_the_example_is_taken() -> None:
    done = amtool("check-config", str(CONFIG))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets")])
def test_severities_have_their_receivers(severity: str, receiver: str) -> None:
    labels = [f"{name}={value}" for name, value in {**WHERE, "severity": severity, "alertname": "Model"}.items()]
    done = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert done.stdout.strip() == receiver


class Receivers:
    """Webhooks of the test: names of alerts by receiver."""

    def __init__(self) -> None:
        self.got: dict[str, list[str]] = {"pages": [], "tickets": []}
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got[self.path.strip("/")] += [alert["labels"]["alertname"] for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def running(folder: Path, receivers: Receivers) -> Iterator[str]:
    """An Alertmanager with the example, whose receivers are ours and whose patience is short."""
    config = yaml.safe_load(CONFIG.read_text())
    config["route"].update(group_wait="1s", group_interval="1s")
    for receiver in config["receivers"]:
        receiver["webhook_configs"][0]["url"] = f"{receivers.url}/{receiver['name']}"
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yaml'}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    threading.Thread(target=receivers.server.serve_forever, daemon=True).start()
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: httpx.get(f"http://{address}/-/ready").status_code == 200)
            yield f"http://{address}"
        finally:
            process.terminate()
            receivers.server.shutdown()
            receivers.server.server_close()


def until(true: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)


def test_one_trouble_tells_once(tmp_path: Path) -> None:
    receivers = Receivers()
    firing = [
        ("ModelAvailabilityBurnFast", "page", {}),
        ("ModelAvailabilityBurnSlow", "ticket", {}),
        ("ModelErrorRatioHigh", "page", {}),
        ("ModelInputDriftSevere", "page", {"version": "1", "column": "type_a", "window": "1h"}),
        ("ModelInputDrift", "ticket", {"version": "1", "column": "type_a", "window": "1h"}),
        ("ModelInputDrift", "ticket", {"version": "1", "column": "type_b", "window": "1h"}),
        ("ModelTooOld", "ticket", {"version": "1"}),
    ]
    alerts = [{"labels": {**WHERE, "alertname": name, "severity": s, **more}} for name, s, more in firing]
    alerts.append({"labels": {**WHERE, "release": "other", "alertname": "ModelErrorRatioHigh", "severity": "page"}})
    with running(tmp_path, receivers) as url:
        assert httpx.post(f"{url}/api/v2/alerts", json=alerts).status_code == 200
        until(lambda: len(receivers.got["pages"]) >= 3 and len(receivers.got["tickets"]) >= 2)
        time.sleep(3)
    pages = {"ModelAvailabilityBurnFast", "ModelInputDriftSevere", "ModelErrorRatioHigh"}
    assert set(receivers.got["pages"]) == pages
    assert receivers.got["pages"].count("ModelErrorRatioHigh") == 1
    assert set(receivers.got["tickets"]) == {"ModelInputDrift", "ModelTooOld"}
    assert receivers.got["tickets"].count("ModelInputDrift") == 1
