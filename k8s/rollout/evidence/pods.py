"""What the server's own counters say of each track, read pod by pod through the API server."""

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from k8s.rollout.analysis import Counts, Outcomes, Pairs, Tracks
from k8s.rollout.api import Api
from k8s.rollout.errors import Unreachable
from k8s.rollout.evidence.counters import Numbers, Scrape, compared, parse, total, values
from k8s.rollout.live import Pod

ADMIN: Final = 3002
_SCRAPE_S: Final = 5.0
_THREADS: Final = 8

Scrapes = dict[str, dict[str, Scrape]]
"""By track, then by pod."""


@dataclass(frozen=True)
class Grown:
    """What both tracks' counters grew by in one interval.

    Attributes:
        stable, canary: by pod; empty where no pod could be read at both ends.
    """

    stable: list[Numbers]
    canary: list[Numbers]

    @property
    def complete(self) -> bool:
        """Whether both tracks were read."""
        return bool(self.stable and self.canary)


def ask(api: Api, pod: Pod, path: str, method: str = "GET") -> Any:
    """JSON of a path of a pod's admin port.

    Raises:
        Unreachable: it does not answer, or not with 200.
    """
    answer = api.send(method, api.pod(pod.name, ADMIN, path))
    if answer.status != 200:
        raise Unreachable(f"{path} of {pod.name} answered with status {answer.status}.")
    return answer.json()


def read(api: Api, pods: Iterable[Pod]) -> Scrapes:
    """Counters of every ready pod that answers; a pod that does not is left out."""
    asked = [pod for pod in pods if pod.ready]

    def one(pod: Pod) -> Scrape | None:
        try:
            answer = api.send("GET", api.pod(pod.name, ADMIN, "/metrics"), timeout_s=_SCRAPE_S)
            if answer.status != 200:
                return None
            return Scrape((pod.uid, pod.restarts), parse(answer.body.decode("utf-8", "replace")))
        except (Unreachable, ValueError):
            return None

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(one, asked))
    scrapes: Scrapes = {"stable": {}, "canary": {}}
    for pod, scrape in zip(asked, found, strict=True):
        if scrape is not None and pod.track in scrapes:
            scrapes[pod.track][pod.name] = scrape
    return scrapes


def grown(before: Scrapes, after: Scrapes) -> Grown:
    """Compare two readings."""
    return Grown(
        list(compared(before["stable"], after["stable"]).values()),
        list(compared(before["canary"], after["canary"]).values()),
    )


def counts(numbers: list[Numbers], threshold: float) -> Counts:
    """Answers, errors and slow answers of the routes that ask the model; NaN where nothing was read.

    Args:
        numbers: growth by pod.
        threshold: seconds from which on an answer is slow, an edge of the histogram.
    """
    if not numbers:
        return Counts(math.nan, math.nan, math.nan)
    routes = values(numbers, "api_request_duration_seconds_count", "route") - {"other"}
    asked = total(numbers, "api_requests_total", route=routes, **{"class": frozenset({"ok", "server"})})
    errors = total(numbers, "api_requests_total", route=routes, **{"class": "server"})
    edges = values(numbers, "api_request_duration_seconds_bucket", "le")
    edge = frozenset(each for each in edges if float(each) == threshold)
    timed = total(numbers, "api_request_duration_seconds_count", route=routes)
    fast = total(numbers, "api_request_duration_seconds_bucket", route=routes, le=edge)
    return Counts(asked, errors, timed - fast if edge else math.nan)


def copies(canary: list[Numbers]) -> Counts | None:
    """Copied requests that the canary answered, rightly or with an error of its own; None without any."""
    classes = ({"ok", "server"}, {"server"})
    found = Counts(
        *(total(canary, "cohort_requests_total", cohort="shadow", **{"class": frozenset(each)}) for each in classes)
    )
    return None if found.requests == 0 else found


def scores(both: Grown) -> Tracks[tuple[float, ...]] | None:
    """Observations by bin of the score; None where the tracks have other bins or none."""
    name = "model_score_bin_total"
    bins = values(both.stable, name, "bin")
    if not bins or bins != values(both.canary, name, "bin"):
        return None
    order = sorted(bins)
    return Tracks(*(tuple(total(each, name, bin=one) for one in order) for each in (both.stable, both.canary)))


def outcomes(both: Grown, versions: dict[str, str]) -> Tracks[Outcomes] | None:
    """What feedback told of both versions, whichever pod it came to; a draw is half right. None where none came."""
    found = []
    for track in ("stable", "canary"):
        told = {
            result: total([*both.stable, *both.canary], "model_feedback_total", version=versions[track], result=result)
            for result in ("correct", "wrong", "half")
        }
        found.append(Outcomes(sum(told.values()), told["correct"] + told["half"] / 2))
    return Tracks(*found) if any(each.total for each in found) else None


def pairs(stable: list[Numbers], against: str) -> Pairs:
    """Requests that stable copied to the canary and both answered; ``against`` is the canary's version."""
    return Pairs(
        *(
            total(stable, name, against=against)
            for name in (
                "shadow_pairs_total",
                "shadow_flips_total",
                "shadow_score_difference_sum",
                "shadow_score_difference_squares_sum",
            )
        )
    )
