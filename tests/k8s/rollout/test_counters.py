"""Counters of pods, differenced: what is not known is left out, and nothing is made up."""

import math
from typing import Any

import pytest

from k8s.rollout.analysis import Counts, Pairs, Tracks
from k8s.rollout.api import Api
from k8s.rollout.evidence import counters, pods
from k8s.rollout.evidence.counters import Scrape
from k8s.rollout.evidence.pods import Grown
from k8s.rollout.live import Pod
from tests.k8s.rollout.conftest import ApiServer

TEXT = """# TYPE api_requests counter
api_requests_total{{transport="rest",route="/predict",class="ok",model="m",version="1"}} {ok}
api_requests_total{{transport="rest",route="/predict",class="client",model="m",version="1"}} 7
api_requests_total{{transport="rest",route="/predict",class="server",model="m",version="1"}} {server}
api_requests_total{{transport="rest",route="/docs",class="ok",model="m",version="1"}} 1000
api_request_duration_seconds_bucket{{transport="rest",route="/predict",le="0.25"}} {fast}
api_request_duration_seconds_bucket{{transport="rest",route="/predict",le="0.5"}} {fast}
api_request_duration_seconds_bucket{{transport="rest",route="/predict",le="+Inf"}} {ok}
api_request_duration_seconds_count{{transport="rest",route="/predict"}} {ok}
api_request_duration_seconds_bucket{{transport="rest",route="other",le="0.5"}} 0
api_request_duration_seconds_count{{transport="rest",route="other"}} 50
python_gc_objects_collected_total{{generation="0"}} 12
"""


def scrape(uid: str = "a", restarts: int = 0, **numbers: int) -> Scrape:
    return Scrape((uid, restarts), counters.parse(TEXT.format(**{"ok": 0, "server": 0, "fast": 0, **numbers})))


def test_only_what_is_asked_for_is_read() -> None:
    names = {name for name, _ in scrape().numbers}
    assert names == {
        "api_requests_total", "api_request_duration_seconds_bucket", "api_request_duration_seconds_count"
    }  # fmt: skip


def test_answers_errors_and_slow_ones() -> None:
    before, after = scrape(ok=10, server=1, fast=10), scrape(ok=110, server=3, fast=106)
    grown = counters.compared({"p": before}, {"p": after})
    assert pods.counts(list(grown.values()), 0.5) == Counts(requests=102, errors=2, slow=4)


def test_copies_that_the_canary_answered() -> None:
    def of(ok: int, server: int, golden: int = 0) -> Scrape:
        counted = {
            ("shadow", "ok"): ok,
            ("shadow", "server"): server,
            ("shadow", "client"): 9,
            ("golden", "ok"): golden,
        }
        lines = [
            f'cohort_requests_total{{cohort="{cohort}",transport="rest",class="{kind}"}} {value}'
            for (cohort, kind), value in counted.items()
        ]
        return Scrape(("a", 0), counters.parse("\n".join(lines)))

    grown = counters.compared({"p": of(1, 0)}, {"p": of(41, 10, golden=60)})
    assert pods.copies(list(grown.values())) == Counts(requests=50, errors=10)
    grown = counters.compared({"p": of(1, 0)}, {"p": of(1, 0, golden=60)})
    assert pods.copies(list(grown.values())) is None


def test_a_threshold_that_is_no_edge_is_no_number() -> None:
    grown = counters.compared({"p": scrape()}, {"p": scrape(ok=5, fast=5)})
    assert math.isnan(pods.counts(list(grown.values()), 0.3).slow)


def test_nothing_read_is_no_number() -> None:
    counted = pods.counts([], 0.5)
    assert all(math.isnan(each) for each in (counted.requests, counted.errors, counted.slow))


@pytest.mark.parametrize(
    "after",
    [
        scrape(restarts=1, ok=20, fast=20),  # its container began anew
        scrape(uid="b", ok=20, fast=20),  # another pod of the same name
        scrape(ok=5, fast=5),  # counters fell, which says the same where nobody saw the restart
    ],
)
def test_an_interval_in_which_a_process_began_is_left_out(after: Scrape) -> None:
    assert counters.compared({"p": scrape(ok=10, fast=10)}, {"p": after}) == {}


def test_a_new_pod_is_left_out_and_the_others_count() -> None:
    old = scrape(ok=10, fast=10)
    found = counters.compared({"old": old}, {"old": scrape(ok=30, fast=30), "new": scrape(ok=99, fast=99)})
    assert list(found) == ["old"]


def test_a_series_that_is_gone_spoils_its_pod() -> None:
    less = {key: value for key, value in scrape(ok=10).numbers.items() if key[0] != "api_requests_total"}
    assert counters.compared({"p": scrape()}, {"p": Scrape(("a", 0), less)}) == {}


def test_a_new_series_begins_at_zero() -> None:
    before = Scrape(("a", 0), {})
    found = counters.compared({"p": before}, {"p": scrape(ok=4, fast=4)})
    assert pods.counts(list(found.values()), 0.5).requests == 4


def shadow(against: str, pairs: float, flips: float, total: float, squares: float) -> counters.Numbers:
    labels = frozenset({("version", "1"), ("against", against)})
    names = ("pairs_total", "flips_total", "score_difference_sum", "score_difference_squares_sum")
    return {
        (f"shadow_{name}", labels): value for name, value in zip(names, (pairs, flips, total, squares), strict=True)
    }


def test_pairs_are_those_with_the_canarys_version() -> None:
    numbers = {**shadow("2", 10, 1, -0.5, 0.2), **shadow("0", 99, 99, 9, 9)}
    assert pods.pairs([numbers], "2") == Pairs(10, 1, -0.5, 0.2)


def test_a_sum_of_signed_differences_may_fall() -> None:
    assert counters.growth(shadow("2", 1, 0, 0.5, 0.1), shadow("2", 3, 0, 0.1, 0.3)) is not None
    assert counters.growth(shadow("2", 3, 0, 0.5, 0.1), shadow("2", 1, 0, 0.5, 0.1)) is None


def bins(*counts: float) -> counters.Numbers:
    return {("model_score_bin_total", frozenset({("bin", str(place))})): count for place, count in enumerate(counts)}


def test_scores_of_other_bins_are_not_compared() -> None:
    assert pods.scores(Grown([bins(1, 2)], [bins(3, 4)])) == Tracks((1, 2), (3, 4))
    assert pods.scores(Grown([bins(1, 2)], [bins(3, 4, 5)])) is None


def test_outcomes_go_by_the_version_that_predicted() -> None:
    def told(version: str, result: str) -> counters.Series:
        return "model_feedback_total", frozenset({("version", version), ("result", result)})

    # Feedback for the canary may reach a pod of stable.
    stable = {told("1", "correct"): 8.0, told("1", "wrong"): 2.0, told("2", "half"): 2.0, told("2", "other"): 9.0}
    found = pods.outcomes(Grown([stable], [{told("2", "correct"): 3.0}]), {"stable": "1", "canary": "2"})
    assert found is not None
    assert (found.stable.total, found.stable.correct) == (10, 8)
    assert (found.canary.total, found.canary.correct) == (5, 4)


def pod(name: str, track: str, **other: Any) -> Pod:
    return Pod(**{"name": name, "track": track, "uid": "a", "restarts": 0, "ready": True, "trouble": None, **other})


def test_pods_are_read_through_the_api_server(api: Api, server: ApiServer) -> None:
    there = [pod("s", "stable"), pod("c", "canary"), pod("u", "canary", ready=False), pod("broken", "canary")]
    path = "/api/v1/namespaces/models/pods/{}:3002/proxy/metrics"
    text = TEXT.format(ok=1, server=0, fast=1).encode()
    server.answers |= {path.format(name): (200, text) for name in ("s", "c", "u")}
    server.answers[path.format("broken")] = (503, b"no")
    found = pods.read(api, there)
    assert {track: list(each) for track, each in found.items()} == {"stable": ["s"], "canary": ["c"]}
    assert {headers["authorization"] for _, _, headers, _ in server.asked} == {"Bearer secret-token"}
