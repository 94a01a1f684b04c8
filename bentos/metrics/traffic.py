"""What requests came through the doors, how they ended and how long they took."""

from collections.abc import Iterator, Sequence

import numpy as np

from bentos.adapter import Features
from bentos.metrics.family import Family, Histogram, Labels, Number
from bentos.metrics.labels import (
    CLASSES,
    CODES,
    COHORTS,
    INTERNAL,
    OK,
    OTHER,
    PREDICTING,
    ROUTES,
    TRANSPORTS,
    Transport,
    class_of,
)

Entry = tuple[Transport, str, str, str | None, float, int, float, float, Features | None]
"""transport, route, code, cohort, seconds; of the prediction: rows, seconds, score, observed row."""

_CLASS_OF_CODE = np.array([CLASSES.index(class_of(code)) for code in CODES])
_ANSWERED = CODES.index(OK)


class _Places(dict[tuple[str, str], int]):
    """The place of each route in the arrays; one that is not known is its transport's other one."""

    def __missing__(self, key: tuple[str, str]) -> int:
        return self[key[0], OTHER]


class _Codes(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return self[INTERNAL]


class Traffic:
    """Counters of the API, users' and cohorts' apart."""

    def __init__(self, edges: Sequence[float]) -> None:
        routes = [(transport, route) for transport in TRANSPORTS for route in ROUTES[transport]]
        timed = [(transport, route) for transport in TRANSPORTS for route in (*PREDICTING[transport], OTHER)]
        self._routes = _Places({key: i for i, key in enumerate(routes)})
        self._codes = _Codes({code: i for i, code in enumerate(CODES)})
        # What is counted; the families show sums of it, since a series for each pair would be one of 500 a pod.
        self._counts = np.zeros((len(routes), len(CODES)), np.int64)
        self._transport_of_route = np.array([TRANSPORTS.index(transport) for transport, _ in routes])
        times = _Places({key: i for i, key in enumerate(timed)})
        self._timed = np.array([times[key] for key in routes])
        self._requests = Family(
            "api_requests_total",
            "Requests of users, answered or refused, and whose fault a refusal was.",
            [{"transport": t, "route": route, "class": each} for t, route in routes for each in CLASSES],
        )
        self._errors = Family(
            "api_errors_total",
            "Requests of users that were refused, and why.",
            [{"transport": t, "code": code, "class": class_of(code)} for t in TRANSPORTS for code in CODES[1:]],
        )
        self._seconds = Histogram(
            "api_request_duration_seconds",
            "Time from the head of a request to its answer, of those that were answered rightly.",
            edges,
            [{"transport": t, "route": route} for t, route in timed],
        )
        cohorts = [(cohort, t, each) for cohort in COHORTS for t in TRANSPORTS for each in CLASSES]
        self._cohort_places = {key: i for i, key in enumerate(cohorts)}
        self._cohorts = Family(
            "cohort_requests_total",
            "Requests that are not of users: shadow, golden, test and header-routed ones.",
            [{"cohort": cohort, "transport": t, "class": each} for cohort, t, each in cohorts],
        )
        self._families = (self._requests, self._errors, self._seconds, self._cohorts)

    def bind(self, common: Labels) -> None:
        """Name the labels of the model; from then on there is something to render."""
        for family in self._families:
            family.bind(common)

    def fold(self, entries: list[Entry]) -> list[Entry]:
        """Count requests; returns those of users."""
        users = [entry for entry in entries if entry[3] is None]
        if len(users) < len(entries):
            self._fold_cohorts(entry for entry in entries if entry[3] is not None)
        if users:
            transports, routes, codes, _, seconds, *_ = zip(*users, strict=True)
            places = np.fromiter(
                map(self._routes.__getitem__, zip(transports, routes, strict=True)), np.intp, len(users)
            )
            words = np.fromiter(map(self._codes.__getitem__, codes), np.intp, len(users))
            flat = np.bincount(places * len(CODES) + words, minlength=self._counts.size)
            self._counts += flat.reshape(self._counts.shape)
            # A refusal takes no time: were it timed, a flood of them would hide slow answers.
            answered = words == _ANSWERED
            self._seconds.observe(self._timed[places[answered]], np.array(seconds)[answered])
        return users

    def numbers(self) -> Iterator[tuple[Family, Sequence[Number]]]:
        """Each family and its numbers."""
        by_class = [self._counts[:, place == _CLASS_OF_CODE].sum(axis=1) for place in range(len(CLASSES))]
        self._requests.values = np.stack(by_class, axis=1).ravel()
        by_code = [self._counts[self._transport_of_route == place, 1:].sum(axis=0) for place in range(len(TRANSPORTS))]
        self._errors.values = np.concatenate(by_code)
        for family in self._families:
            yield family, family.numbers()

    def _fold_cohorts(self, entries: Iterator[Entry]) -> None:
        for transport, _, code, cohort, *_ in entries:
            named = cohort if cohort in COHORTS else OTHER
            self._cohorts.values[self._cohort_places[named, transport, class_of(code)]] += 1
