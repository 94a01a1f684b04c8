import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf, nan
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bentos import metrics as package
from bentos.contract import Contract, MonitoredColumn
from bentos.core import Prediction
from bentos.errors import ContractError, DeadlineExceeded, NotReady, RequestError
from bentos.metrics import (
    CLASSES,
    CODES,
    COHORTS,
    DROPPED,
    EDGES,
    OK,
    OTHER,
    PREDICTING,
    REFUSED,
    RESULTS,
    ROUTES,
    Metrics,
    bins,
    class_of,
)
from bentos.metrics.collector import RING
from bentos.metrics.drift import BURST, Drift

INFER = "/v2/models/{name}/infer"
MODEL = {"model": "toy", "version": "7"}
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def contract(**changes: Any) -> Contract:
    """A contract whose model nobody loads: metrics only read it."""
    values: dict[str, Any] = {
        "name": "toy",
        "version": "7",
        "adapter": "tabular",
        "task": "binary",
        "columns": [{"name": "x", "dtype": "float32"}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "columns": 2}],
        "classes": ["no", "yes"],
        "features": ["x"],
        "runtime": {},
        "parity": {"rows": [[1.0]], "expected": [[0.5]]},
        "observation": "a row",
        "sample_inputs": [],
        "metrics": {},
        "provenance": {
            "run_id": "0" * 32,
            "git_commit": "0" * 40,
            "dataset_digest": "0" * 64,
            "dataset_rows": 1,
            "algorithm": "xgboost",
            "libraries": {},
            "created": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        },
        "files": {},
    }
    return Contract.model_validate({**values, **changes})


def bound(observed_per_second: float = 1e9, **changes: Any) -> Metrics:
    metrics = Metrics(observed_per_second=observed_per_second)
    metrics.bind(contract(**changes))
    return metrics


def prediction(score: float = 0.7, *, rows: int = 1, seconds: float = 2e-5, observed: Any = None) -> Prediction:
    row = None if observed is None else np.array(observed, np.float64)
    return Prediction((), [], rows, seconds, score, None if row is None else lambda: row)


def scrape(metrics: Metrics) -> Series:
    """Every series by name and labels; fails where one is there twice."""
    body, content_type = metrics.expose()
    assert content_type == b"text/plain; version=0.0.4; charset=utf-8"
    found: Series = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset({**labels, **MODEL}.items())]


def family(found: Series, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: number for (series, labels), number in found.items() if series == name}


def test_before_the_model_is_bound_the_process_is_already_described() -> None:
    metrics = Metrics()
    metrics.request("rest", "/predict", "not_ready", 0.001, None)
    metrics.watch_in_flight("rest", lambda: 3)
    metrics.feedback("7", "correct", 0.1)
    found = scrape(metrics)
    assert found["api_requests_in_flight", frozenset({("transport", "rest")})] == 3
    assert found["api_requests_in_flight", frozenset({("transport", "grpc")})] == 0
    assert found["process_resident_memory_bytes", frozenset()] > 1e6
    assert not family(found, "api_requests_total")

    metrics.bind(contract())
    found = scrape(metrics)
    assert value(found, "api_requests_total", transport="rest", route="/predict", **{"class": "server"}) == 1
    assert value(found, "api_errors_total", transport="rest", code="not_ready", **{"class": "server"}) == 1


def test_every_known_series_starts_at_zero_and_their_number_is_as_documented() -> None:
    species = [f"species{i}" for i in range(188)]
    watched = [{"name": name, "categories": species, "shares": [1 / 188] * 188} for name in ("a", "b")]
    edges = [i / 10 for i in range(1, 10)]
    metrics = bound(monitored=watched, score_bins={"edges": edges, "shares": [0.1] * 10})
    found = scrape(metrics)
    ours = {key: number for key, number in found.items() if not key[0].startswith(("process_", "python_"))}
    api = [name for name, _ in ours if name.startswith("api_")]
    documented = str(package.__doc__)
    assert f"{len(ours):,}, {len(api):,} of them of the API" in documented.replace("\n", " ")

    moving = {
        (name, labels): number
        for (name, labels), number in ours.items()
        if name.endswith(("_total", "_sum", "_count", "_bucket"))
    }
    assert set(moving.values()) == {0.0}
    routes = sum(len(each) for each in ROUTES.values())
    timed = sum(len(each) + 1 for each in PREDICTING.values())
    assert len(family(found, "api_requests_total")) == routes * len(CLASSES)
    assert len(family(found, "api_errors_total")) == 2 * (len(CODES) - 1)
    assert len(family(found, "api_request_duration_seconds_bucket")) == timed * (len(EDGES) + 1)
    assert len(family(found, "cohort_requests_total")) == len(COHORTS) * 2 * 3
    assert {dict(labels)["reason"] for labels in family(found, "shadow_dropped_total")} == set(DROPPED)
    assert value(found, "model_feedback_total", result="correct") == 0

    for _ in range(3):
        metrics.request("rest", "/nowhere/" + os.urandom(4).hex(), os.urandom(4).hex(), 1.0, None, os.urandom(4).hex())
        metrics.request("grpc", os.urandom(4).hex(), os.urandom(4).hex(), 1.0, None)
    assert scrape(metrics).keys() == found.keys()


def test_nothing_is_lost_between_threads_folds_and_scrapes() -> None:
    metrics = bound(monitored=[{"name": "x", "edges": [0.5], "shares": [0.5, 0.5]}])
    each, threads = 2 * RING + 77, 4
    rng = np.random.default_rng(3)
    seconds = rng.exponential(0.01, (threads, each))
    seconds[0, :3] = [EDGES[0], 0.5, 11.0]
    ready = threading.Barrier(threads + 1)

    def call(number: int) -> None:
        ready.wait()
        for i, took in enumerate(seconds[number].tolist()):
            metrics.request(
                "rest" if number % 2 else "grpc",
                INFER if number % 2 else "ModelInfer",
                OK if i % 10 else "invalid_input",
                took,
                prediction(rows=2, observed=[i % 2]) if i % 10 else None,
            )

    callers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for caller in callers:
        caller.start()
    ready.wait()
    seen = 0.0
    while any(caller.is_alive() for caller in callers):
        now = sum(family(scrape(metrics), "api_requests_total").values())
        assert now >= seen
        seen = now
    found = scrape(metrics)

    refused = len(range(0, each, 10))
    for transport, route, rows in (("rest", INFER, [1, 3]), ("grpc", "ModelInfer", [0, 2])):
        labels = {"transport": transport, "route": route}
        assert value(found, "api_requests_total", **labels, **{"class": "ok"}) == 2 * (each - refused)
        assert value(found, "api_requests_total", **labels, **{"class": "client"}) == 2 * refused
        named = {"transport": transport, "code": "invalid_input", "class": "client"}
        assert value(found, "api_errors_total", **named) == 2 * refused
        took = seconds[rows][:, np.arange(each) % 10 > 0]
        assert value(found, "api_request_duration_seconds_sum", **labels) == pytest.approx(took.sum())
        assert value(found, "api_request_duration_seconds_count", **labels) == took.size
        for edge in EDGES:
            bucket = value(found, "api_request_duration_seconds_bucket", **labels, le=str(edge))
            assert bucket == (took <= edge).sum(), edge
        assert value(found, "api_request_duration_seconds_bucket", **labels, le="+Inf") == took.size
    asked = threads * (each - refused)
    assert value(found, "model_predictions_total") == 2 * asked
    assert value(found, "model_prediction_duration_seconds_count") == asked
    assert value(found, "model_prediction_duration_seconds_sum") == pytest.approx(asked * 2e-5)
    assert sum(family(found, "model_input_bin_total").values()) == asked


def test_a_request_that_fills_the_ring_empties_it() -> None:
    metrics = bound()
    for _ in range(RING - 1):
        metrics.request("rest", INFER, OK, 0.001, None)
    assert len(metrics._ring) == RING - 1
    metrics.request("rest", INFER, OK, 0.001, None)
    assert not metrics._ring


def test_pairs_are_summed_by_the_version_that_answered() -> None:
    metrics = bound()
    for against, flipped, difference in (("8", True, 0.25), ("8", False, -0.5), ("9", False, 0.0)):
        metrics.shadow_pair(against, flipped=flipped, difference=difference)
    metrics.shadow_drop("queue", 3)
    found = scrape(metrics)
    names = ("pairs_total", "flips_total", "score_difference_sum", "score_difference_squares_sum")
    assert [value(found, f"shadow_{name}", against="8") for name in names] == [2, 1, -0.25, 0.3125]
    assert [value(found, f"shadow_{name}", against="9") for name in names] == [1, 0, 0, 0]
    assert value(found, "shadow_dropped_total", reason="queue") == 3


def test_of_many_versions_the_latest_have_series() -> None:
    metrics = bound()
    for version in range(10, 20):
        # One that is asked again and again is never the one that has to go.
        for against in ("8", str(version)):
            metrics.shadow_pair(against, flipped=False, difference=0.5)
    found = scrape(metrics)
    assert {dict(labels)["against"] for labels in family(found, "shadow_pairs_total")} == {"8", "17", "18", "19"}
    assert value(found, "shadow_pairs_total", against="8") == 10
    assert value(found, "shadow_score_difference_sum", against="19") == 0.5


def test_what_is_not_known_counts_as_other() -> None:
    metrics = bound()
    metrics.request("rest", "/../../etc/passwd", "made_up", 0.001, None)
    metrics.request("grpc", INFER, OK, 0.001, None)
    metrics.request("grpc", "ModelInfer", OK, 0.001, None, cohort="made_up")
    found = scrape(metrics)
    assert value(found, "api_requests_total", transport="rest", route=OTHER, **{"class": "server"}) == 1
    assert value(found, "api_errors_total", transport="rest", code="internal", **{"class": "server"}) == 1
    assert value(found, "api_requests_total", transport="grpc", route=OTHER, **{"class": "ok"}) == 1
    assert value(found, "cohort_requests_total", cohort=OTHER, transport="grpc", **{"class": "ok"}) == 1


def test_only_right_answers_of_routes_that_predict_are_timed_by_route() -> None:
    metrics = bound()
    metrics.request("rest", INFER, OK, 0.003, prediction())
    metrics.request("rest", INFER, "overloaded", 9.0, None)
    metrics.request("rest", "/docs", OK, 0.2, None)
    found = scrape(metrics)
    counts = {
        dict(labels)["route"]: number
        for labels, number in family(found, "api_request_duration_seconds_count").items()
        if number
    }
    assert counts == {INFER: 1, OTHER: 1}
    assert value(found, "api_request_duration_seconds_sum", transport="rest", route=INFER) == 0.003
    assert value(found, "api_requests_total", transport="rest", route="/docs", **{"class": "ok"}) == 1


def test_the_offline_figure_is_there_where_the_contract_has_one() -> None:
    assert not family(scrape(bound()), "model_offline_accuracy_ratio")
    known = {"accuracy": 0.9441, "brier": 0.04, "from_outcomes": 18_000, "described_as": "recommended attacks"}
    assert value(scrape(bound(live_reference=known)), "model_offline_accuracy_ratio") == 0.9441


def test_a_cohort_counts_in_its_own_counter_only() -> None:
    metrics = bound(
        monitored=[{"name": "x", "edges": [0.5], "shares": [0.5, 0.5]}],
        score_bins={"edges": [0.5], "shares": [0.5, 0.5]},
    )
    metrics.request("rest", INFER, OK, 0.001, prediction(observed=[1.0]), cohort="shadow")
    metrics.request("rest", INFER, "overloaded", 0.001, None, cohort="shadow")
    found = scrape(metrics)
    assert value(found, "cohort_requests_total", cohort="shadow", transport="rest", **{"class": "ok"}) == 1
    assert value(found, "cohort_requests_total", cohort="shadow", transport="rest", **{"class": "server"}) == 1
    moved = {
        name for (name, _), number in found.items() if number and name.startswith(("api_req", "api_err", "model_"))
    }
    kept = {"model_info", "model_created_timestamp_seconds", "model_input_sampled_ratio"}
    assert moved == kept | {"model_input_reference_ratio", "model_score_reference_ratio"}


def errors(root: type[RequestError]) -> Iterator[type[RequestError]]:
    yield root
    for child in root.__subclasses__():
        yield from errors(child)


@pytest.mark.parametrize("error", list(errors(RequestError)))
def test_every_error_has_its_word_and_its_class(error: type[RequestError]) -> None:
    assert error.code in CODES
    assert class_of(error.code) == ("server" if issubclass(error, NotReady | DeadlineExceeded) else "client")


def test_a_binary_model_is_as_sure_of_no_as_of_yes() -> None:
    metrics = bound()
    for score in (0.02, 0.98, 0.5, nan):
        metrics.request("rest", INFER, OK, 0.001, prediction(score))
    found = scrape(metrics)
    assert value(found, "model_confidence_score_count") == 3
    assert value(found, "model_confidence_score_sum") == pytest.approx(2.46)
    assert value(found, "model_confidence_score_bucket", le="0.5") == 1
    assert value(found, "model_confidence_score_bucket", le="0.95") == 1


def test_other_tasks_have_the_figures_that_fit_them() -> None:
    metrics = bound(task="multiclass")
    metrics.request("rest", INFER, OK, 0.001, prediction(0.3))
    assert value(scrape(metrics), "model_confidence_score_sum") == pytest.approx(0.3)

    metrics = bound(task="regression", classes=None)
    metrics.request("rest", INFER, OK, 0.001, prediction(41.5))
    metrics.feedback("7", "scored", None, 2.25)
    metrics.feedback("7", "scored", None, 4.0)
    found = scrape(metrics)
    assert not family(found, "model_confidence_score_count")
    assert not family(found, "model_feedback_brier_sum")
    assert value(found, "model_feedback_squared_error_sum") == pytest.approx(6.25)
    assert value(found, "model_feedback_total", result="scored") == 2


def test_values_go_to_the_bins_that_their_names_say() -> None:
    metrics = bound(
        monitored=[
            {"name": "size", "edges": [0.0, 2.5], "shares": [0.2, 0.3, 0.4]},
            {"name": "kind", "categories": ["red", "blue"], "shares": [0.25, 0.75]},
        ],
        score_bins={"edges": [0.5], "shares": [0.5, 0.5]},
    )
    rows = [[-inf, 0], [-0.1, 1], [0.0, 1], [2.4, -1], [2.5, 2], [inf, nan], [nan, 0]]
    for score, row in zip([0.49, 0.5, 0.9, 0.1, 0.2, 0.3, nan], rows, strict=True):
        metrics.request("rest", INFER, OK, 0.001, prediction(score, observed=row))
    found = scrape(metrics)

    def counted(column: str) -> dict[str, float]:
        series = family(found, "model_input_bin_total")
        return {dict(labels)["bin"]: number for labels, number in series.items() if ("column", column) in labels}

    assert counted("size") == {"[-Inf,0.0)": 2, "[0.0,2.5)": 2, "[2.5,+Inf]": 2, "missing": 1}
    assert counted("kind") == {"red": 2, "blue": 2, "missing": 1, "unknown": 2}
    # What the shares lack of 1 is what was missing when the reference was made.
    assert value(found, "model_input_reference_ratio", column="size", bin="missing") == pytest.approx(0.1)
    assert value(found, "model_input_reference_ratio", column="kind", bin="missing") == 0
    assert value(found, "model_input_reference_ratio", column="kind", bin="blue") == 0.75
    assert value(found, "model_score_bin_total", bin="[-Inf,0.5)") == 4
    assert value(found, "model_score_bin_total", bin="[0.5,+Inf]") == 2
    assert value(found, "model_score_bin_total", bin="missing") == 1
    assert value(found, "model_score_reference_ratio", bin="[0.5,+Inf]") == 0.5


def test_a_population_stability_index_can_be_computed_from_a_scrape() -> None:
    rng = np.random.default_rng(5)
    edges = [-1.0, -0.3, 0.3, 1.0]
    column = {"name": "x", "edges": edges}
    before = np.bincount(np.digitize(rng.normal(size=20_000), edges), minlength=5) / 20_000
    metrics = bound(monitored=[{**column, "shares": before.tolist()}])
    drawn = rng.normal(0.8, 1.0, RING + 500)
    for x in drawn:
        metrics.request("rest", INFER, OK, 0.001, prediction(observed=[x]))
    found = scrape(metrics)
    counts, shares = (family(found, f"model_input_{name}") for name in ("bin_total", "reference_ratio"))
    total = sum(counts.values())
    index = sum(
        (counts[key] / total - share) * np.log(counts[key] / total / share) for key, share in shares.items() if share
    )
    after = np.bincount(np.digitize(drawn, edges), minlength=5) / len(drawn)
    assert total == len(drawn)
    assert index == pytest.approx(((after - before) * np.log(after / before)).sum())
    assert index > 0.25


def test_above_its_rate_a_sample_is_binned_and_its_share_is_told() -> None:
    now = [100.0]
    column = MonitoredColumn(name="x", edges=[0.5], shares=[0.5, 0.5])
    drift = Drift([column], {}, per_second=10.0, clock=lambda: now[0])
    rows = [np.array([float(i % 2)]) for i in range(2 * BURST)]

    def numbers() -> tuple[list[Any], float]:
        counts, _, (ratio,) = drift.numbers()
        return list(counts), ratio

    drift.add(rows, len(rows))
    counts, ratio = numbers()
    assert sum(counts) == BURST
    # Drawn from all of them, and not from either end: odd and even ones in equal parts, give or take seven sigmas.
    assert abs(counts[0] - counts[1]) < 7 * BURST**0.5
    assert ratio == 0.5
    drift.add(rows[:50], 50)
    assert sum(numbers()[0]) == BURST
    now[0] += 3.0
    drift.add(rows[:50], 50)
    assert sum(numbers()[0]) == BURST + 30
    now[0] += 3600.0
    drift.add(rows[:50], 50)
    counts, ratio = numbers()
    assert sum(counts) == BURST + 80
    assert ratio == pytest.approx(1.0)


def test_above_its_rate_fewer_requests_are_looked_at() -> None:
    now = [100.0]
    drift = Drift(
        [MonitoredColumn(name="x", edges=[0.5], shares=[0.5, 0.5])], {}, per_second=10.0, clock=lambda: now[0]
    )
    rows = [np.array([float(i % 2)]) for i in range(BURST)]
    assert drift.share == 1.0
    for _ in range(2):
        now[0] += 10.0
        drift.add(rows, BURST)
    assert drift.share == pytest.approx(100 / BURST)
    now[0] += 10.0
    drift.add(rows[:100], BURST)
    counts, _, (ratio,) = drift.numbers()
    assert sum(counts) == BURST + 200
    # Newer ones weigh more in the share that is told.
    assert 200 / (2 * BURST) * 0.8 < ratio < (BURST + 200) / (3 * BURST)
    now[0] += 60.0
    drift.add(rows[:5], 200)
    assert drift.share == 1.0


def test_more_rows_than_the_rate_allows_reach_the_doors_figures_all_the_same() -> None:
    metrics = bound(observed_per_second=0.0, monitored=[{"name": "x", "edges": [0.5], "shares": [0.5, 0.5]}])
    for _ in range(10_000):
        metrics.request("rest", INFER, OK, 0.001, prediction(observed=[1.0]))
    found = scrape(metrics)
    assert value(found, "model_predictions_total") == 10_000
    assert sum(family(found, "model_input_bin_total").values()) == BURST
    assert value(found, "model_input_sampled_ratio") == pytest.approx(BURST / 10_000, rel=0.05)


def test_categories_may_have_any_name() -> None:
    names = ["missing", "unknown", 'say "hi"\n\\', "é"]
    metrics = bound(monitored=[{"name": "x", "categories": names, "shares": [0.1, 0.2, 0.3, 0.3]}])
    for code in (0, 1, 2, 3, 9, nan):
        metrics.request("rest", INFER, OK, 0.001, prediction(observed=[code]))
    found = scrape(metrics)
    counted = {name: value(found, "model_input_bin_total", column="x", bin=name) for name in names}
    assert counted == {"missing": 2, "unknown": 2, names[2]: 1, "é": 1}
    assert value(found, "model_input_reference_ratio", column="x", bin="missing") == pytest.approx(0.2)
    assert value(found, "model_input_reference_ratio", column="x", bin="unknown") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ({"edges": [0.5], "shares": [1.0]}, "There are 2 bins and 1 reference shares of the monitored column x."),
        (
            {"categories": ["a"], "shares": [0.5, 0.5]},
            "There are 1 bins and 2 reference shares of the monitored column x.",
        ),
        ({"edges": [1.0, 1.0], "shares": [0.5, 0.2, 0.3]}, "The bin edges of the monitored column x do not ascend."),
        ({"edges": [nan], "shares": [0.5, 0.5]}, "The bin edges of the monitored column x do not ascend."),
        ({"shares": [1.0]}, "The bins of the monitored column x are either edges or categories."),
    ],
)
def test_bins_that_do_not_fit_their_reference_are_refused(column: dict[str, Any], sentence: str) -> None:
    metrics = Metrics()
    with pytest.raises(ContractError) as refused:
        metrics.bind(contract(monitored=[{"name": "x", **column}]))
    assert str(refused.value) == sentence


def test_no_edges_make_one_bin() -> None:
    assert bins.of(MonitoredColumn(name="x", edges=[], shares=[1.0])).names == ["[-Inf,+Inf]", "missing"]


def test_feedback_is_counted_for_the_version_that_predicted_and_versions_are_bounded() -> None:
    metrics = bound()
    metrics.feedback("7", "correct", 0.04)
    metrics.feedback("7", "wrong", 0.49)
    metrics.feedback("7", "duplicate")
    metrics.feedback("7", "made_up")
    for version in range(100, 130):
        metrics.feedback(str(version), "correct", 0.25)
    found = scrape(metrics)
    assert value(found, "model_feedback_total", result="correct") == 1
    assert value(found, "model_feedback_total", result="duplicate") == 1
    assert value(found, "model_feedback_total", result=OTHER) == 1
    assert value(found, "model_feedback_brier_sum") == pytest.approx(0.53)
    versions = {dict(labels)["version"]: number for labels, number in family(found, "model_feedback_brier_sum").items()}
    assert set(versions) == {"7", *map(str, range(100, 108)), OTHER}
    assert versions[OTHER] == pytest.approx(22 * 0.25)
    assert len(family(found, "model_feedback_total")) == len(versions) * len(RESULTS)


def test_what_a_server_refuses_is_known() -> None:
    assert {"not_ready", "overloaded", "deadline_exceeded"} == REFUSED


def test_gauges_are_read_when_scraped() -> None:
    state = {"rest": 2, "keys": True, "ids": True}
    metrics = bound()
    metrics.watch_in_flight("rest", lambda: state["rest"])
    metrics.watch_keys(lambda: bool(state["keys"]))
    assert scrape(metrics)["prediction_keys_reload_success", frozenset()] == 1, "there is no file"
    metrics.watch_ids(lambda: bool(state["ids"]))
    assert scrape(metrics)["api_keys_reload_success", frozenset()] == 1
    assert scrape(metrics)["prediction_keys_reload_success", frozenset()] == 1
    state.update(ids=False)
    assert scrape(metrics)["api_keys_reload_success", frozenset()] == 1
    assert scrape(metrics)["prediction_keys_reload_success", frozenset()] == 0
    state.update(rest=9, keys=False)
    found = scrape(metrics)
    assert found["api_requests_in_flight", frozenset({("transport", "rest")})] == 9
    assert found["api_keys_reload_success", frozenset()] == 0
    labels = {"adapter": "tabular", "task": "binary", "algorithm": "xgboost"}
    assert value(found, "model_info", **labels, run_id="0" * 32, git_commit="0" * 40) == 1
    assert value(found, "model_created_timestamp_seconds") == datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def test_the_scratch_folder_is_told_where_it_is_watched() -> None:
    metrics = bound()
    assert not family(scrape(metrics), "process_scratch_bytes")
    metrics.watch_scratch(lambda: 4096)
    assert scrape(metrics)["process_scratch_bytes", frozenset()] == 4096


def test_edges_and_types_are_what_prometheus_stores() -> None:
    body = bound().expose()[0].decode()
    assert 'le="1.0"' in body
    assert 'le="1"' not in body
    assert "_created" not in body.replace("model_created_timestamp_seconds", "")
    assert "# TYPE api_requests_total counter\n" in body
    assert "# TYPE api_request_duration_seconds histogram\n" in body


def test_the_process_counts_in_its_memory_whatever_bentoml_sets(tmp_path: Any) -> None:
    script = (
        "import os, bentos.metrics, prometheus_client.values as v;"
        "assert 'PROMETHEUS_MULTIPROC_DIR' not in os.environ;"
        "assert v.ValueClass.__name__ == 'MutexValue', v.ValueClass;"
        "print(bentos.metrics.Metrics().expose()[0].decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "process_resident_memory_bytes" in ran.stdout
    assert not list(tmp_path.iterdir())


def test_what_a_request_and_a_scrape_cost(capsys: pytest.CaptureFixture[str]) -> None:
    column = {"edges": [i / 10 for i in range(1, 10)], "shares": [0.1] * 10}
    metrics = bound(1000.0, monitored=[{"name": f"x{i}", **column} for i in range(20)])
    given = [prediction(observed=row) for row in np.random.default_rng(1).random((RING - 1, 20))]
    start = perf_counter()
    for each in given:
        metrics.request("rest", INFER, OK, 0.001, each)
    appended = perf_counter() - start
    start = perf_counter()
    metrics.request("rest", INFER, OK, 0.001, given[0])
    folded = perf_counter() - start
    start = perf_counter()
    metrics.expose()
    scraped = perf_counter() - start
    with capsys.disabled():
        sys.stdout.write(
            f"\nmetrics: a request {appended / len(given) * 1e6:.2f} µs, a fold of {RING} {folded * 1e3:.1f} ms, "
            f"the scrape after it {scraped * 1e3:.1f} ms\n"
        )
