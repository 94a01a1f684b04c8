"""Drivers that are killed, that meet each other, that hear nothing, and what people do by hand in the middle."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.canary.conftest import Made, Shown
from tests.e2e.canary.driver import HELD, LAPSED_S, OUT, PROMETHEUS, PROMOTED, RATE, TAKEN, Driver
from tests.e2e.cluster import Cluster, until
from tests.e2e.images import Images

pytestmark = [pytest.mark.full, pytest.mark.timeout(1500)]


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a driver, and for the helm that it runs."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], check=False, capture_output=True, text=True)
    process.kill()
    process.wait(30)
    for pid in map(int, found.stdout.split()):
        os.kill(pid, signal.SIGKILL)


def test_a_driver_that_is_killed_at_every_revision(made: Made, images: Images, shown: Shown) -> None:
    """In the middle of one upgrade, helm with it, and in the wait after the next; the new version is promoted."""
    driver = made("killed")
    new = images.version("2")
    killed: list[str] = []
    with driver.release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(new)
        until("the plan", lambda: bool(driver.kept()), 120, poll_s=0.05)
        plan = [each["name"] for each in driver.kept()["plan"]]
        for place, name in enumerate(plan[:-1]):
            moving = place % 2 == 0

            def there(place: int = place, *, moving: bool = moving) -> bool:
                record = driver.kept()
                return record["place"] >= place or (moving and record["moving"] == place)

            until(f"revision {place} of {plan}", there, 400, poll_s=0.02)
            kill(process)
            killed.append(f"{'in' if moving else 'after'} {name}")
            time.sleep(LAPSED_S)
            process = driver.begin("resume")
        record = driver.ended(process, PROMOTED)
        load.answered(100, version="2")
    tally = load.stop()
    assert record["state"] == "promoted"
    assert tally.failed == 0, tally
    assert driver.live() == (new.reference, None, 0)
    shown(f"resumed each of {len(killed)} times, and promoted", tally)


def test_two_drivers_an_abort_and_a_hand(made: Made, images: Images, shown: Shown) -> None:
    """A second driver is refused, an abort goes through the first, and a change by hand stops the next rollout."""
    driver = made("hands")
    release, old, new = driver.release, images.version("1"), images.version("2")
    with release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(new)
        driver.until("the canary is up", lambda record: record["place"] >= 0)
        second = driver.run("start", "--image", new.reference)
        assert second.returncode == TAKEN, second.stderr
        driver.at_weight()
        aborted = driver.run("abort")
        assert aborted.returncode == 0, aborted.stderr
        driver.ended(process, OUT, 120)
        assert driver.live() == (old.reference, None, 0)

        process = driver.start(new)
        driver.at_weight()
        release.space.kubectl("patch", "hpa", release.stable, "--patch", '{"spec": {"minReplicas": 2}}')
        record = driver.ended(process, HELD, 120)
        assert record["state"] == "held"
        assert "minReplicas" in record["sentence"]
        out(driver)
        load.answered(100, version="1")
    tally = load.stop()
    assert tally.failed == 0, tally
    assert driver.live() == (old.reference, None, 0)
    listed = driver.run("history")
    assert "battle-rollout-1" in listed.stdout
    assert "battle-rollout-2" in listed.stdout
    shown("refused; back to before; held, and after an abort back to before", tally)


def out(driver: Driver) -> None:
    """``kubectl canary abort`` where no driver is at work."""
    done = driver.run("abort")
    assert done.returncode == 0, done.stderr


def test_a_helm_rollback_and_a_rollout_undo_by_hand(made: Made, images: Images, shown: Shown) -> None:
    """Either way the driver stops and says what it saw; after an abort all is as before the rollout."""
    driver = made("undo", image=images.version("2"))
    release, old, new = driver.release, images.version("1"), images.version("2")
    release.upgrade(old.values)
    with release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(new)
        driver.at_weight()
        release.rollback(str(driver.kept()["helm"]["0"]))
        record = driver.ended(process, HELD, 120)
        assert "Someone made revision" in record["sentence"]
        assert driver.live()[2] == 0
        out(driver)
        assert driver.live() == (old.reference, None, 0)

        process = driver.start(new)
        driver.at_weight()
        release.space.kubectl("rollout", "undo", f"deployment/{release.stable}")
        record = driver.ended(process, HELD, 120)
        assert f"Deployment {release.stable} has image" in record["sentence"]
        out(driver)
        release.rolled_out()
        load.answered(100, version="1")
    tally = load.stop()
    assert tally.failed == 0, tally
    assert driver.live() == (old.reference, None, 0)
    shown("held each time, and after an abort back to before", tally)


def test_a_deploy_in_the_middle_stays(made: Made, images: Images, shown: Shown) -> None:
    """The driver stops, and an abort takes the canary out of what was deployed, and nothing else."""
    driver = made("deploy")
    release, old = driver.release, images.version("1")
    with release.load(rate=RATE) as load:
        load.answered(50)
        process = driver.start(images.version("2"))
        driver.at_weight()
        release.upgrade({"autoscaling": {"max": 3}})
        record = driver.ended(process, HELD, 120)
        assert "Someone made revision" in record["sentence"]
        assert driver.live()[2] == 20
        out(driver)
        load.answered(100, version="1")
    tally = load.stop()
    assert tally.failed == 0, tally
    assert driver.live() == (old.reference, None, 0)
    assert release.space.get("hpa", release.stable)["spec"]["maxReplicas"] == 3
    shown("held, and an abort leaves what was deployed", tally)


def test_no_traffic_is_held_then_aborted_as_set(made: Made, images: Images, shown: Shown) -> None:
    driver = made("quiet")
    new = images.version("2")
    assert driver.ended(driver.start(new, "--wait-minutes", "0.5"), HELD)["state"] == "held"
    out(driver)
    driver.ended(driver.start(new, "--wait-minutes", "0.5", "--on-timeout", "abort"), OUT)
    assert driver.live() == (images.version("1").reference, None, 0)
    shown("held, or out where `--on-timeout abort` says so")


def test_a_prometheus_that_is_not_there(made: Made, images: Images, shown: Shown) -> None:
    driver = made("blind")
    with driver.release.load(rate=RATE) as load:
        load.answered(50)
        words = ("--prometheus", "monitoring/nobody:9090", "--wait-minutes", "0.5")
        record = driver.ended(driver.start(images.version("2"), *words), HELD)
    assert "no data" in record["sentence"]
    out(driver)
    assert driver.live() == (images.version("1").reference, None, 0)
    shown("held", load.stop())


@contextmanager
def not_a_number(cluster: Cluster) -> Iterator[str]:
    """URL of something that answers what the cluster's Prometheus does, but for the numbers, which are none."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            namespace, _, service = PROMETHEUS.partition("/")
            path = f"/api/v1/namespaces/{namespace}/services/{service}/proxy{self.path}"
            answer = json.loads(cluster.kubectl("get", "--raw", path))
            for series in answer["data"]["result"]:
                series["values"] = [[at, "NaN"] for at, _ in series["values"]]
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_prometheus_that_answers_no_number(made: Made, images: Images, shown: Shown) -> None:
    driver = made("nan")
    release = driver.release
    with release.load(rate=RATE) as load, not_a_number(release.space.cluster) as url:
        load.answered(50)
        words = ("--prometheus", url, "--wait-minutes", "1")
        record = driver.ended(driver.start(images.version("2"), *words), HELD)
        out(driver)
        again = driver.ended(driver.start(images.version("2"), *words, "--on-timeout", "abort"), OUT)
    assert "is no number" in record["sentence"], record["sentence"]
    assert again["state"] == "rolled back"
    assert driver.live() == (images.version("1").reference, None, 0)
    shown("held, or out where `--on-timeout abort` says so", load.stop())
