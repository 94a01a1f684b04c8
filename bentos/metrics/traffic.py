"""What requests came through the doors, how they ended and how long they took."""

from collections.abc import Iterator, Sequence

import numpy as np

from bentos.adapter import Features
from bentos.metrics.family import Family, Histogram, Labels, Number
from bentos.metrics.labels import CODES, COHORTS, INTERNAL, OTHER, ROUTES, TRANSPORTS, Class, Transport, class_of

Entry = tuple[Transport, str, str, str | None, float, int, float, float, Features | None]
"""transport, route, code, cohort, seconds; of the prediction: rows, seconds, score, observed row."""

_CLASSES: tuple[Class, ...] = ("ok", "client", "server")


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
        routes: list[Labels] = [{"transport": t, "route": route} for t in TRANSPORTS for route in ROUTES[t]]
        self._routes = _Places({(each["transport"], each["route"]): i for i, each in enumerate(routes)})
        self._codes = _Codes({code: i for i, code in enumerate(CODES)})
        self._requests = Family(
            "api_requests_total",
            "Requests of users, answered or refused.",
            [{**route, "code": code} for route in routes for code in CODES],
        )
        self._errors = Family(
            "api_errors_total",
            "Requests of users that were refused, and whose fault it was.",
            [{**route, "code": code, "class": class_of(code)} for route in routes for code in CODES[1:]],
        )
        self._seconds = Histogram(
            "api_request_duration_seconds", "Time from the head of a request to its answer.", edges, routes
        )
        cohorts = [(cohort, t, each) for cohort in COHORTS for t in TRANSPORTS for each in _CLASSES]
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
            counted = np.bincount(places * len(CODES) + words, minlength=len(self._requests.values))
            self._requests.values += counted
            self._seconds.observe(places, np.array(seconds))
        return users

    def numbers(self) -> Iterator[tuple[Family, Sequence[Number]]]:
        """Each family and its numbers."""
        self._errors.values = self._requests.values.reshape(-1, len(CODES))[:, 1:].ravel()
        for family in self._families:
            yield family, family.numbers()

    def _fold_cohorts(self, entries: Iterator[Entry]) -> None:
        for transport, _, code, cohort, *_ in entries:
            named = cohort if cohort in COHORTS else OTHER
            self._cohorts.values[self._cohort_places[named, transport, class_of(code)]] += 1
