"""What Prometheus would have scraped: series of pods, in promtool's notation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

NAMESPACE, RELEASE = "models", "battle"
REFERENCE = {"a": 0.25, "b": 0.25, "c": 0.5, "missing": 0.0}
"""Reference shares of the one watched column, and of the score."""
OFFLINE = 0.944
_EDGES = ("0.25", "0.5", "1.0", "2.5", "+Inf")
_DAY = 86_400

Series = dict[str, str]
Phases = Sequence[tuple[int, float]]
"""Numbers of scrapes, each with what is added at one."""


def counter(phases: Phases) -> str:
    """Samples of a counter that starts at 0."""
    parts, value = [f"0+0x{1}"], 0.0
    for scrapes, each in phases:
        parts.append(f"{value + each:.10g}+{each:.10g}x{scrapes - 1}")
        value += scrapes * each
    return " ".join(parts)


def gauge(value: float, scrapes: int) -> str:
    """Samples of a number that stays."""
    return f"{value:.10g}+0x{scrapes}"


def series(name: str, labels: Mapping[str, str]) -> str:
    """A series by name and labels."""
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


@dataclass(frozen=True)
class Pod:
    """A pod that answers as it should; what is changed is its fault. Rates are of a scrape.

    Attributes:
        scrapes: how many there were.
        quiet: scrapes before the faults, in which it was as it should be.
        calm: scrapes after the faults, in which it is so again.
        asked: requests of one route, right ones.
        once: of the scrapes before the faults, where there were more or fewer requests then.
        client, server: requests that were refused.
        polls: readiness asked by a load balancer and answered with 503.
        seconds: share of the right answers by the bucket they fall in.
        inputs, scores: share of observed requests by bin.
        right, wrong, drawn: outcomes.
        up: whether it can be scraped.
        bound: whether it has a model.
        age_days: of the model.
        starts: how often its process started in each hour.
        containers: how many containers the kubelet saw.
        twice: whether the kubelet is also scraped at /metrics/resource, which names no ids of containers.
    """

    name: str = "battle-stable-1"
    release: str = RELEASE
    track: str = "stable"
    version: str = "1"
    scrapes: int = 120
    quiet: int = 0
    calm: int = 0
    asked: float = 60
    once: float | None = None
    client: float = 0
    server: float = 0
    polls: float = 0
    transport: str = "rest"
    seconds: Mapping[str, float] = field(default_factory=lambda: {"0.25": 1.0})
    inputs: Mapping[str, float] = field(default_factory=lambda: REFERENCE)
    scores: Mapping[str, float] = field(default_factory=lambda: REFERENCE)
    right: float = 0
    wrong: float = 0
    drawn: float = 0
    up: bool = True
    bound: bool = True
    age_days: float = 10
    starts: int = 0
    containers: int = 1
    twice: bool = False
    keys: int = 1
    ids: int = 1
    memory: float | None = 300e6
    resident: float = 300e6
    disk: float = 1e6
    cores: float | None = 0.1

    def series(self) -> Iterator[tuple[str, str]]:
        """Series and their samples."""
        own = {"namespace": NAMESPACE, "release": self.release, "pod": self.name, "track": self.track}
        model = {**own, "model": "battle", "version": self.version}
        yield series("up", own), gauge(int(self.up), self.scrapes)
        if self.up:
            yield from self._process(own)
        if self.up and self.bound:
            yield from self._api(model)
            yield from self._model(model)
        yield from self._kubelet()

    def _process(self, own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        yield series("api_keys_reload_success", own), gauge(self.keys, self.scrapes)
        yield series("prediction_keys_reload_success", own), gauge(self.ids, self.scrapes)
        yield series("process_resident_memory_bytes", own), gauge(self.resident, self.scrapes)
        yield series("process_scratch_bytes", own), gauge(self.disk, self.scrapes)
        step = 60 // self.starts if self.starts else self.scrapes
        times = " ".join(f"{start * 60}+0x{step - 1}" for start in range(0, self.scrapes, step))
        yield series("process_start_time_seconds", own), times

    def _api(self, model: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        route = "/predict/battle" if self.transport == "rest" else "ModelInfer"
        labels = {**model, "transport": self.transport, "route": route}
        for kind, rate in (("ok", self.asked), ("client", self.client), ("server", self.server)):
            before, after = (self._once, self.asked) if kind == "ok" else (0, 0)
            yield series("api_requests_total", {**labels, "class": kind}), self._counter(rate, before, after)
        health = {**model, "transport": "rest", "route": "/v2/health/ready", "class": "server"}
        yield series("api_requests_total", health), self._counter(self.polls, 0)
        upto = 0.0
        for edge in _EDGES:
            upto += self.seconds.get(edge, 0)
            bucket = series("api_request_duration_seconds_bucket", {**labels, "le": edge})
            yield bucket, self._counter(self.asked * upto, self._once, self.asked)
        yield series("api_request_duration_seconds_count", labels), self._counter(self.asked, self._once, self.asked)

    def _model(self, model: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        yield series("model_info", model), gauge(1, self.scrapes)
        yield series("model_created_timestamp_seconds", model), gauge(-self.age_days * _DAY, self.scrapes)
        yield series("model_offline_accuracy_ratio", model), gauge(OFFLINE, self.scrapes)
        for what, shares, more in (("input", self.inputs, {"column": "x"}), ("score", self.scores, {})):
            for name, reference in REFERENCE.items():
                labels = {**model, **more, "bin": name}
                counts = self._counter(self.asked * shares.get(name, 0), self.asked * reference)
                yield series(f"model_{what}_bin_total", labels), counts
                yield series(f"model_{what}_reference_ratio", labels), gauge(reference, self.scrapes)
        for result, rate in (("correct", self.right), ("wrong", self.wrong), ("half", self.drawn), ("refused", 1)):
            yield series("model_feedback_total", {**model, "result": result}), self._counter(rate, rate)
        yield series("model_feedback_brier_sum", model), self._counter(0.1 * (self.right + self.wrong), 0)

    def _kubelet(self) -> Iterator[tuple[str, str]]:
        ids = [{"id": str(number)} for number in range(self.containers)]
        for number, known in enumerate([*ids, {}] if self.twice else ids):
            labels = {"namespace": NAMESPACE, "pod": self.name, "container": "server", **known}
            if self.memory is not None:
                yield series("container_memory_working_set_bytes", labels), gauge(self.memory, self.scrapes)
            if self.cores is not None:
                counts = counter([(self.scrapes, self.cores * 60)])
                yield series("container_cpu_usage_seconds_total", labels), counts
            yield series("container_start_time_seconds", labels), gauge(number, self.scrapes)

    @property
    def _once(self) -> float:
        return self.asked if self.once is None else self.once

    def _counter(self, rate: float, before: float, after: float | None = None) -> str:
        after = before if after is None else after
        phases = [(self.quiet, before), (self.scrapes - self.quiet - self.calm, rate), (self.calm, after)]
        return counter([(scrapes, each) for scrapes, each in phases if scrapes])
