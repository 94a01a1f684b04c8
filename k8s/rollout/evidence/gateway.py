"""What the gateway counted per backend: crashes, hangs and 502s, of which no server's counter knows.

Prometheus is asked for raw samples, which are differenced here as those of pods are: a rate would smooth over the very
interval that is judged. A series without a new sample, a NaN and a Prometheus that does not answer are no data.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import urllib3

from k8s.rollout.analysis import Counts, Tracks
from k8s.rollout.api import Api
from k8s.rollout.errors import Refused, Unreachable

_S: Final = 10.0
_WINDOW_S: Final = 120
_ERROR: Final = re.compile(r"5\d\d")
"""A status of HTTP; Traefik's label has gRPC's own one, of one or two digits, for requests of gRPC."""


@dataclass(frozen=True)
class Preset:
    """How a gateway counts.

    Attributes:
        requests: series of requests per backend; ``{namespace}`` and ``{service}`` are those of the track.
        code: label with the status of HTTP.
        target: label that names the gateway's process.
    """

    requests: str
    code: str
    target: str


PRESETS: Final = {
    "traefik": Preset(
        'traefik_service_requests_total{{service=~"(.*-svc-)?{namespace}-{service}-[0-9a-z-]+@.*"}}', "code", "instance"
    )
}


class Sample(NamedTuple):
    """The last one of a series: when it was taken, seconds since 1970, and its value."""

    at: float
    value: float


Reading = dict[frozenset[tuple[str, str]], Sample]


class Prometheus:
    """Prometheus by a URL, or by ``NAMESPACE/SERVICE:PORT`` through the API server.

    Args:
        api: the cluster.
        where: the one or the other.

    Raises:
        Refused: it is neither.
    """

    def __init__(self, api: Api, where: str) -> None:
        self._api = api
        self._url, self._path = "", ""
        if where.startswith(("http://", "https://")):
            self._url = where.rstrip("/")
            self._pool = urllib3.PoolManager(retries=False)
            return
        namespace, slash, service = where.partition("/")
        if not slash or not namespace or ":" not in service:
            raise Refused(f"--prometheus takes a URL or NAMESPACE/SERVICE:PORT, and {where!r} is neither.")
        self._path = f"/api/v1/namespaces/{namespace}/services/{service}/proxy"

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression.

        Raises:
            Unreachable: there is no answer, or one that is no result.
        """
        words = f"/api/v1/query?{urlencode({'query': expr})}"
        if self._path:
            body = self._api.send("GET", self._path + words, timeout_s=_S).json()
        else:
            try:
                body = self._pool.request("GET", self._url + words, timeout=_S).json()
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                raise Unreachable(f"Prometheus gave no answer: {type(error).__name__}.") from None
        try:
            if body["status"] != "success":
                raise Unreachable(f"Prometheus answered {body.get('error', body['status'])!r}.")
            found: list[dict[str, Any]] = body["data"]["result"]
        except (KeyError, TypeError):
            raise Unreachable("Prometheus gave an answer that is none of its own.") from None
        return found


@dataclass
class Gateway:
    """Counts of both tracks' backends.

    Args:
        prometheus: what is asked.
        preset: how the gateway counts.
        namespace, release: whose backends.
    """

    prometheus: Prometheus
    preset: Preset
    namespace: str
    release: str

    def read(self) -> Tracks[Reading]:
        """The last samples of both.

        Raises:
            Unreachable: Prometheus gives none.
        """
        return Tracks(self._read("stable"), self._read("canary"))

    def _read(self, track: str) -> Reading:
        expr = self.preset.requests.format(namespace=self.namespace, service=f"{self.release}-{track}")
        reading: Reading = {}
        for series in self.prometheus.query(f"{expr}[{_WINDOW_S}s]"):
            at, value = series["values"][-1]
            reading[frozenset(series["metric"].items())] = Sample(float(at), float(value))
        return reading

    def counts(
        self, before: Tracks[Reading], after: Tracks[Reading], clock: Callable[[], float] = time.time
    ) -> Tracks[Counts] | None:
        """What the backends' counters grew by, NaN as it is; None where no scrape lies between the two readings.

        Raises:
            Unreachable: the last scrape was too long ago.
        """
        newest = max((sample.at for each in (after.stable, after.canary) for sample in each.values()), default=0.0)
        if clock() - newest > _WINDOW_S / 2:
            raise Unreachable(f"Prometheus has no sample of the gateway from the last {_WINDOW_S // 2} s.")
        known = [reading for reading in (before.stable, before.canary) if reading]
        if newest <= max((sample.at for reading in known for sample in reading.values()), default=math.inf):
            return None
        targets = {dict(labels).get(self.preset.target) for reading in known for labels in reading}
        return Tracks(
            self._grown(before.stable, after.stable, targets), self._grown(before.canary, after.canary, targets)
        )

    def _grown(self, before: Reading, after: Reading, targets: set[str | None]) -> Counts:
        asked = failed = 0.0
        for labels, sample in after.items():
            named = dict(labels)
            if named.get(self.preset.target) not in targets:
                return Counts(math.nan, math.nan)  # a gateway's pod that is new: nobody knows what it counted before
            grown = sample.value - (before[labels].value if labels in before else 0.0)
            if math.isnan(grown) or grown < 0:
                return Counts(math.nan, math.nan)
            asked += grown
            failed += grown if _ERROR.fullmatch(named.get(self.preset.code, "")) else 0.0
        return Counts(asked, failed)
