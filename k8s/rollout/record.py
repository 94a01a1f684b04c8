"""What a rollout did and saw: a ConfigMap for each, which outlives Events, pods and drivers.

It is written before each revision and after it, so that another driver knows where this one was killed.
"""

import base64
import gzip
import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from k8s.rollout.api import Api, Object
from k8s.rollout.errors import Refused, RolloutError, Unreachable
from k8s.rollout.plan import Revision

KEY: Final = "rollout.json"
ANALYSIS: Final = "analysis.json.gz"
"""The statistics' own state, which grows with each interval; a ConfigMap holds 1 MiB."""
NUMBER: Final = "predictiondex.rollout/number"
RELEASE: Final = "app.kubernetes.io/instance"
ASKED: Final = "predictiondex.rollout/asked"
"""Annotation by which another command asks the driver at work for something; ``abort`` alone."""
RUNNING: Final = "running"
HELD: Final = "held"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled back"
_OPEN: Final = frozenset({RUNNING, HELD})


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Step:
    """What happened under one revision.

    Attributes:
        name, weight: of the revision.
        helm: number of the release's revision.
        began, ended: UTC; ``ended`` is empty while it lasts.
        requests: of both tracks, counted in its intervals.
        intervals: those that counted as evidence.
        readings: what the checks said last.
        sentence: what it waits for, or how it ended.
    """

    name: str
    weight: int
    helm: int
    began: str = field(default_factory=now)
    ended: str = ""
    requests: dict[str, float] = field(default_factory=lambda: {"stable": 0.0, "canary": 0.0})
    intervals: int = 0
    readings: list[dict[str, Any]] = field(default_factory=list)
    sentence: str = ""


@dataclass
class Record:
    """A rollout.

    Attributes:
        release, number: which one.
        image, versions: the new image; versions of the model on both tracks, as pods said.
        stable_image: what stable ran before.
        settings: options of ``start``.
        expected: minutes to a verdict and excesses that can be found, as computed from the traffic at the start.
        plan: the revisions.
        before: number of the release's revision that the rollout began from.
        current: number of the last one that a driver made or began from; any newer one is someone else's.
        place: of the last revision that was made, -1 for none.
        moving: place of the one that was being made, None for none.
        helm: number of the release's revision of each place.
        state: running, held, promoted or rolled back.
        sentence: why.
        analysis: the statistics' own state.
        steps: what was done and seen, in order.
        began, ended: UTC.
        events: what people should know, with its time.
        by_hand: whether a person asked for promotion without a pass.
        aborting: why it is being taken out, from before the first step back until the last; empty otherwise.
        theirs: number of a revision that someone deployed meanwhile, which the way back leaves; 0 for none.
        least_until: seconds since 1970 until which stable's least number of pods stays; 0 for none.
        kept_until: seconds since 1970 until which a canary that was taken out is kept for a look; 0 for none.
    """

    release: str
    number: int
    image: str
    stable_image: str
    settings: dict[str, Any]
    plan: list[Revision]
    before: int
    current: int
    place: int = -1
    moving: int | None = None
    helm: dict[str, int] = field(default_factory=dict)
    state: str = RUNNING
    sentence: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    analysis: dict[str, Any] | None = None
    steps: list[Step] = field(default_factory=list)
    began: str = field(default_factory=now)
    ended: str = ""
    events: list[list[str]] = field(default_factory=list)
    by_hand: bool = False
    aborting: str = ""
    theirs: int = 0
    least_until: float = 0.0
    kept_until: float = 0.0
    expected: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the ConfigMap."""
        return f"{self.release}-rollout-{self.number}"

    @property
    def open(self) -> bool:
        """Whether it has not come to its end."""
        return self.state in _OPEN

    @property
    def weight(self) -> int:
        """Percent of the requests that the canary has by the last revision; none once the rollout has ended."""
        return self.plan[self.place].weight if self.open and self.place >= 0 else 0

    def to_json(self) -> dict[str, Any]:
        """Of JSON's own types."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What ``to_json`` made."""
        plan = [Revision.from_json(each) for each in state["plan"]]
        return cls(**{**state, "plan": plan, "steps": [Step(**each) for each in state["steps"]]})


class Records:
    """The records of one release.

    Args:
        api: the cluster.
        release: its name.
    """

    def __init__(self, api: Api, release: str) -> None:
        self._api = api
        self._release = release

    def all(self) -> list[Record]:
        """Every rollout, oldest first."""
        selector = f"{RELEASE}={self._release},{NUMBER}"
        found = [_read(each) for each in self._api.items(self._api.core("configmaps"), selector)]
        return sorted(found, key=lambda each: each.number)

    def newest(self) -> Record:
        """The last one.

        Raises:
            Refused: there was none.
        """
        found = self.all()
        if not found:
            raise Refused(f"There has been no rollout of {self._release} in the namespace {self._api.namespace}.")
        return found[-1]

    def create(self, record: Record) -> None:
        """Write a new one."""
        labels = {
            RELEASE: self._release,
            NUMBER: str(record.number),
            "app.kubernetes.io/part-of": "predictiondex",
            "app.kubernetes.io/component": "rollout",
        }
        self._api.create(
            self._api.core("configmaps"),
            {"metadata": {"name": record.name, "labels": labels}, **_packed(record)},
        )

    def save(self, record: Record) -> str:
        """Write it; returns what another command asks for, or an empty word."""
        found = self._api.merge(self._api.core("configmaps", record.name), _packed(record))
        return str((found["metadata"].get("annotations") or {}).get(ASKED, ""))

    def asked(self, record: Record) -> str:
        """What another command asks for, or an empty word."""
        found = self._api.get(self._api.core("configmaps", record.name))
        return str((found["metadata"].get("annotations") or {}).get(ASKED, ""))

    def ask(self, record: Record, word: str | None) -> None:
        """Ask the driver at work for something; None takes the question back."""
        body = {"metadata": {"annotations": {ASKED: word}}}
        self._api.merge(self._api.core("configmaps", record.name), body)

    def event(self, record: Record, reason: str, sentence: str, *, warning: bool = False) -> None:
        """Put an Event on stable's Deployment that points to the record; one that fails stops nothing."""
        record.events.append([now(), reason, sentence])
        name = f"{self._release}-stable"
        try:
            deployment = self._api.get(self._api.group("apps/v1", "deployments", name))
            self._api.create(self._api.core("events"), _event(record, reason, sentence, deployment, warning=warning))
        except RolloutError:
            return


def _packed(record: Record) -> Object:
    state = record.to_json()
    analysis = gzip.compress(json.dumps(state.pop("analysis")).encode())
    return {
        "data": {KEY: json.dumps(state)},
        "binaryData": {ANALYSIS: base64.b64encode(analysis).decode()},
    }


def _read(found: Object) -> Record:
    try:
        state = json.loads(found["data"][KEY])
        packed = (found.get("binaryData") or {}).get(ANALYSIS)
        if packed:
            state["analysis"] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return Record.from_json(state)
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        raise Unreachable(f"The ConfigMap {found['metadata']['name']} is no record of a rollout: {error!r}.") from None


def _event(record: Record, reason: str, sentence: str, about: Object, *, warning: bool) -> Object:
    moment = now()
    meta = about["metadata"]
    return {
        "metadata": {"generateName": f"{record.release}-rollout-", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"],
            "namespace": meta["namespace"], "uid": meta["uid"],
        },
        "reason": reason,
        "message": f"{sentence} The evidence is in ConfigMap {record.name}."[:1024],
        "type": "Warning" if warning else "Normal",
        "source": {"component": "kubectl-canary"},
        "reportingComponent": "kubectl-canary",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }  # fmt: skip
