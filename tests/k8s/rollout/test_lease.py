"""One driver a release, and a record that the next one can read."""

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from k8s.rollout import lease, plan
from k8s.rollout.api import Api
from k8s.rollout.errors import Refused, Taken, Unreachable
from k8s.rollout.lease import Lease
from k8s.rollout.plan import Image, Shape
from k8s.rollout.record import ANALYSIS, ASKED, KEY, Record, Records, Step
from tests.k8s.rollout.conftest import ApiServer

PATH = "/apis/coordination.k8s.io/v1/namespaces/models/leases/battle-rollout"


def spec(server: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = server.objects[PATH]["spec"]
    return found


def test_a_second_driver_is_refused(api: Api, server: ApiServer) -> None:
    with Lease(api, "battle") as first:
        assert lease.driver(api, "battle") == first.holder
        with pytest.raises(Taken, match="Another driver"), Lease(api, "battle"):
            pass
        assert spec(server)["holderIdentity"] == first.holder
    assert lease.driver(api, "battle") is None
    with Lease(api, "battle"):
        pass


def test_a_lease_of_a_killed_driver_lapses(api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.1)
    with Lease(api, "battle"):
        pass
    old = datetime.now(UTC) - timedelta(seconds=lease.SECONDS + 1)
    spec(server).update(holderIdentity="killed", renewTime=old.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    with Lease(api, "battle") as mine:
        assert spec(server)["holderIdentity"] == mine.holder
        mine.check()


def test_a_lease_of_a_driver_whose_clock_is_behind_is_held(
    api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.5)
    with Lease(api, "battle"):
        pass

    def renew(seconds: float) -> None:
        behind = datetime.now(UTC) - timedelta(seconds=lease.SECONDS + seconds)
        spec(server).update(holderIdentity="behind", renewTime=behind.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))

    renew(60)
    timer = threading.Timer(0.3, renew, (50,))
    timer.start()
    with pytest.raises(Taken, match="behind"), Lease(api, "battle"):
        pass
    timer.join()


def test_a_lease_that_was_taken_away_is_noticed(api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.05)
    with Lease(api, "battle") as mine:
        spec(server)["holderIdentity"] = "other"
        mine._thread.join(timeout=10)
        with pytest.raises(Taken, match="other"):
            mine.check()
    assert spec(server)["holderIdentity"] == "other"  # not given back for someone else


def test_a_lease_that_cannot_be_renewed_is_lost_to_nobody(api: Api) -> None:
    mine = Lease(api, "battle")
    mine._renewed = time.monotonic() - lease._GONE_S - 1
    with pytest.raises(Unreachable, match="could not be renewed") as error:
        mine.check()
    assert error.value.status == 1


def test_nothing_is_written_until_a_late_lease_is_renewed(
    api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.05)
    monkeypatch.setattr(lease, "_LOST_S", 0.3)
    with Lease(api, "battle") as mine:
        server.answers[PATH] = (503, b'{"message": "away"}')
        time.sleep(0.5)
        back: list[float] = []

        def come_back() -> None:
            back.append(time.monotonic())
            del server.answers[PATH]

        threading.Timer(0.5, come_back).start()
        mine.check()
        assert back
        assert time.monotonic() >= back[0]
    assert lease.driver(api, "battle") is None


def test_a_lease_that_is_gone_is_noticed(api: Api, server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_S", 0.05)
    with Lease(api, "battle") as mine:
        del server.objects[PATH]
        mine._thread.join(timeout=10)
        with pytest.raises(Taken, match="deleted"):
            mine.check()


def test_an_answer_that_hangs_is_not_waited_for(api: Api, server: ApiServer) -> None:
    def hang(_: bytes) -> tuple[int, bytes]:
        time.sleep(1)
        return 200, b"{}"

    server.answers[PATH] = hang
    began = time.monotonic()
    with pytest.raises(Unreachable):
        api.within(0.2).get(PATH)
    assert time.monotonic() - began < 1


def test_of_two_that_come_at_once_one_gets_it(api: Api, server: ApiServer) -> None:
    """The second wrote between the first one's reading and writing."""
    with Lease(api, "battle"):
        pass
    read = api.get(PATH)
    server.put(PATH, {**server.objects[PATH]})
    with pytest.raises(Unreachable, match="changed"):
        api.replace(PATH, read)


def record() -> Record:
    revisions = plan.make(Shape(Image("a", "v2"), steps=(5, 50), size=3, shadow=0.1))
    made = Record("battle", 2, "a:v2", "a:v1", {"interval": 15}, revisions, before=7, current=8, place=0)
    made.helm["0"] = 8
    made.steps.append(Step("canary up", 0, 8))
    return made


def test_a_record_is_read_as_it_was_written(api: Api, server: ApiServer) -> None:
    records = Records(api, "battle")
    with pytest.raises(Refused, match="no rollout"):
        records.newest()
    made = record()
    records.create(made)
    assert records.newest() == made
    made.place = 1
    assert records.save(made) == ""
    assert records.newest() == made
    json.loads(server.objects["/api/v1/namespaces/models/configmaps/battle-rollout-2"]["data"][KEY])


def test_a_day_of_evidence_fits_into_a_record(api: Api, server: ApiServer) -> None:
    """A ConfigMap holds 1 MiB, and one interval of 15 s is some 300 bytes of JSON."""
    records, made, random = Records(api, "battle"), record(), Random(1)  # noqa: S311  numbers of a test
    counts = [[[random.randrange(10_000), random.randrange(9), 0] for _ in range(4)] for _ in range(5760)]
    scores = [[random.randrange(1000) for _ in range(10)] for _ in range(5760)]
    made.analysis = {"intervals": [[15.2, *each, [score, score]] for each, score in zip(counts, scores, strict=True)]}
    records.create(made)
    assert records.newest() == made
    written = server.objects["/api/v1/namespaces/models/configmaps/battle-rollout-2"]
    size = len(json.dumps(written["data"])) + len(base64.b64decode(written["binaryData"][ANALYSIS]))
    assert len(json.dumps(made.analysis)) > 2**20 / 2 > size


def test_a_record_of_an_earlier_driver_is_read(api: Api, server: ApiServer) -> None:
    records, made = Records(api, "battle"), record()
    made.analysis = {"weight": 5}
    records.create(made)
    path = "/api/v1/namespaces/models/configmaps/battle-rollout-2"
    server.objects[path] |= {"data": {KEY: json.dumps(made.to_json())}, "binaryData": {}}
    assert records.newest() == made


def test_another_command_asks_through_the_record(api: Api, server: ApiServer) -> None:
    records, made = Records(api, "battle"), record()
    records.create(made)
    records.ask(made, "abort")
    assert records.asked(made) == "abort"
    assert records.save(made) == "abort"
    records.ask(made, None)
    assert records.asked(made) == ""
    assert ASKED not in json.dumps(server.objects["/api/v1/namespaces/models/configmaps/battle-rollout-2"])


def test_an_event_that_fails_stops_nothing(api: Api, server: ApiServer) -> None:
    records, made = Records(api, "battle"), record()
    records.event(made, "CanaryHeld", "Why.", warning=True)
    assert made.events[0][1:] == ["CanaryHeld", "Why."]
    server.put(
        "/apis/apps/v1/namespaces/models/deployments/battle-stable",
        {"metadata": {"name": "battle-stable", "namespace": "models", "uid": "u"}},
    )
    records.event(made, "CanaryHeld", "Why.", warning=True)
    (event,) = [each for path, each in server.objects.items() if "/events/" in path]
    assert event["message"] == "Why. The evidence is in ConfigMap battle-rollout-2."
    assert event["involvedObject"]["uid"] == "u"
