"""Every alert fires where it should, and no other does: for the default values, for others, and sixty times as fast."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.rules import promtool
from tests.monitoring.rules.pods import NAMESPACE, OFFLINE, REFERENCE, RELEASE, Pod

Rules = Callable[[str], dict[str, Any]]

USUAL = Pod()
OTHER = Pod(name="battle-stable-2")
CANARY = Pod(name="battle-canary-1", track="canary", version="2")
SLIGHT = {"a": 0.35, "b": 0.25, "c": 0.4}
FAR = {"a": 1.0}
BURN = {"ModelAvailabilityBurnFast", "ModelAvailabilityBurnSlow"}
SLOW = {"ModelLatencyBurnFast", "ModelLatencyBurnSlow"}


def pods(scrapes: int = 120, **changes: Any) -> list[Pod]:
    """Two pods with the same fault."""
    return [replace(pod, scrapes=scrapes, **changes) for pod in (USUAL, OTHER)]


def beside(pod: Pod) -> list[Pod]:
    """A pod beside two that are as they should be."""
    return [replace(each, scrapes=pod.scrapes) for each in (USUAL, OTHER)] + [pod]


def outcomes(right: float, of: float) -> dict[str, Any]:
    """Outcomes of each of two pods a scrape."""
    return {"right": right * of / 2, "wrong": (1 - right) * of / 2}


def burst(server: float, scrapes: int, *, days: int = 1, calm: int = 0, **changes: Any) -> list[Pod]:
    """Two pods that fail for some minutes after quiet days, and are calm since; ten divides all the minutes."""
    minutes = days * 1440 + scrapes + calm
    quiet = minutes + -minutes % 10 - scrapes - calm
    changes = {"once": 100, **changes}
    return pods(quiet + scrapes + calm, quiet=quiet, calm=calm, asked=100 - server, server=server, **changes)


DEFAULT: dict[str, tuple[list[Pod], set[str]]] = {
    "reference traffic": (pods(), set()),
    "half of the requests fail": (pods(asked=30, server=30), BURN | {"ModelErrorRatioHigh"}),
    "half of the calls fail": (pods(asked=30, server=30, transport="grpc"), BURN | {"ModelErrorRatioHigh"}),
    "4 % fail": (pods(asked=96, server=4), BURN),
    "0.2 % fail": (pods(asked=998, server=2), {"ModelAvailabilityBurnSlow"}),
    "0.05 % fail": (pods(asked=1999, server=1), set()),
    "four fail of 240 in two hours": (
        [replace(USUAL, asked=1, server=0.5, quiet=110, scrapes=120, calm=2), replace(OTHER, asked=1)],
        set(),
    ),
    "ten fail of 240 in two hours": (
        [replace(USUAL, asked=1, server=0.5, quiet=100, scrapes=120), replace(OTHER, asked=1)],
        BURN | {"ModelErrorRatioHigh"},
    ),
    "half fail of fewer than the guard asks for": (pods(asked=0.2, server=0.2), set()),
    "load balancers ask whether it is ready, and it is not": (pods(polls=60), set()),
    "a third is slow": (pods(seconds={"0.25": 0.7, "2.5": 0.3}), SLOW | {"ModelLatencyP95High"}),
    "2 % are slow": (pods(seconds={"0.25": 0.98, "2.5": 0.02}), {"ModelLatencyBurnSlow"}),
    "all take long, but not too long": (pods(seconds={"0.5": 1.0}), set()),
    "callers ask for nonsense all at once": (pods(200, quiet=185, client=60), {"ModelClientErrorsSudden"}),
    "callers always ask for nonsense": (pods(240, client=60), set()),
    "inputs shift a little": (pods(inputs=SLIGHT), {"ModelInputDrift"}),
    "inputs shift far": (pods(inputs=FAR), {"ModelInputDrift", "ModelInputDriftSevere"}),
    "values begin to be missing": (
        pods(inputs={name: 0.8 * share for name, share in REFERENCE.items()} | {"missing": 0.2}),
        {"ModelInputDrift", "ModelInputDriftSevere"},
    ),
    "inputs shift in the day, too little in an hour to be seen": (pods(330, asked=1.5, inputs=SLIGHT), set()),
    "inputs shift far in the day, with few requests an hour": (
        pods(480, asked=1.5, inputs=FAR),
        {"ModelInputDrift", "ModelInputDriftSevere"},
    ),
    "inputs shift far in fewer requests than the guard asks for": (pods(asked=0.8, inputs=FAR), set()),
    "scores shift a little": (pods(scores=SLIGHT), {"ModelScoreDrift"}),
    "scores shift far": (pods(scores=FAR), {"ModelScoreDrift", "ModelScoreDriftSevere"}),
    "a version drifts and the other does not": (
        beside(replace(CANARY, inputs=SLIGHT)),
        {"ModelInputDrift"},
    ),
    "as right as before its release": (pods(**outcomes(OFFLINE, 40)), set()),
    "right in 85 % of few outcomes": (pods(**outcomes(0.85, 10)), {"ModelAccuracyLow"}),
    "right in 92 % of many outcomes": (pods(**outcomes(0.92, 40)), {"ModelAccuracyBelowOffline"}),
    "right in 85 % of many outcomes": (
        pods(**outcomes(0.85, 40)),
        {"ModelAccuracyLow", "ModelAccuracyBelowOffline"},
    ),
    "right in 88 % of so few outcomes that it may be more": (pods(**outcomes(0.88, 2)), set()),
    "0.3 points less right than before, within the margin": (pods(**outcomes(OFFLINE - 0.003, 420)), set()),
    "always wrong in fewer outcomes than the guard asks for": (pods(**outcomes(0.0, 1)), set()),
    "nothing but draws": (pods(drawn=10), {"ModelAccuracyLow"}),
    "a pod cannot be scraped": (beside(Pod(name="battle-stable-3", up=False)), {"ModelTargetDown"}),
    "nothing is scraped": ([], {"ModelMetricsAbsent"}),
    "a pod has no model": ([USUAL, replace(OTHER, bound=False)], {"ModelPodsNotReady"}),
    "no pod has a model": (pods(bound=False), {"ModelPodsNotReady"}),
    "a process starts every ten minutes": (beside(Pod(name="battle-stable-3", starts=6)), {"ModelCrashLooping"}),
    "a process starts once an hour": (beside(Pod(name="battle-stable-3", starts=1)), set()),
    "the kubelet starts container after container": (
        beside(Pod(name="battle-stable-3", containers=5)),
        {"ModelCrashLooping"},
    ),
    "the kubelet starts a third container, and is scraped twice": (
        beside(Pod(name="battle-stable-3", containers=3, twice=True)),
        set(),
    ),
    "as many pods as there may be": (
        [Pod(name=f"battle-stable-{number}") for number in range(10)],
        {"ModelAutoscalerAtMaximum"},
    ),
    "nine of ten pods": ([Pod(name=f"battle-stable-{number}") for number in range(9)], set()),
    "a canary since two hours": (beside(CANARY), set()),
    "a canary since 25 hours": (beside(replace(CANARY, scrapes=1500)), {"ModelCanaryStalled"}),
    "two versions since two hours": ([USUAL, replace(OTHER, version="2")], {"ModelVersionsMixed"}),
    "two versions since half an hour": ([replace(USUAL, scrapes=30), replace(OTHER, version="2", scrapes=30)], set()),
    "a model of 181 days": (pods(age_days=181), {"ModelTooOld"}),
    "a model of 179 days": (pods(age_days=179), set()),
    "API keys cannot be read": (beside(Pod(name="battle-stable-3", keys=0)), {"ModelKeysNotReloaded"}),
    "keys of ids cannot be read": (beside(Pod(name="battle-stable-3", ids=0)), {"ModelKeysNotReloaded"}),
    "memory is short by the kubelet's word": (pods(memory=0.9 * 2**30), {"ModelMemoryHigh"}),
    "memory is short by the pod's own word": (pods(memory=None, resident=0.9 * 2**30), {"ModelMemoryHigh"}),
    "memory is short in a pod whose name is cut": (
        beside(Pod(name="battle-stab5x7kq", memory=0.9 * 2**30)),
        {"ModelMemoryHigh"},
    ),
    "memory is short in a pod of a release whose name begins alike": (
        beside(Pod(name="battle-stable-stable-1", release="battle-stable", memory=0.9 * 2**30)),
        set(),
    ),
    "disk is short": (pods(disk=60 * 2**20), {"ModelDiskHigh"}),
    "all of the CPU there is, without a limit": (pods(cores=8), set()),
}
OTHERS: dict[str, tuple[list[Pod], set[str]]] = {
    "reference traffic": (pods(age_days=1), set()),
    # 14.4 times a budget of a tenth is more than all requests.
    "half of the requests fail": (pods(asked=30, server=30, age_days=1), {"ModelAvailabilityBurnSlow"}),
    "70 % of the requests fail": (
        pods(asked=30, server=70, age_days=1),
        {*BURN, "ModelErrorRatioHigh"},
    ),
    "many fail of fewer than the guard asks for": (pods(asked=1, server=3, age_days=1), set()),
    "all take longer than a quarter of a second": (pods(seconds={"0.5": 1.0}, age_days=1), SLOW),
    "all take longer than two": (pods(seconds={"2.5": 1.0}, age_days=1), SLOW | {"ModelLatencyP95High"}),
    "inputs shift a little": (pods(inputs=SLIGHT, age_days=1), set()),
    "inputs shift far": (pods(inputs=FAR, age_days=1), {"ModelInputDrift"}),
    "right in 85 %": (pods(**outcomes(0.85, 40), age_days=1), {"ModelAccuracyBelowOffline"}),
    "right in 92 %": (pods(**outcomes(0.92, 40), age_days=1), set()),
    "right in 40 % of few": (pods(**outcomes(0.4, 2), age_days=1), {"ModelAccuracyLow"}),
    "three pods": ([replace(each, age_days=1) for each in beside(CANARY)], {"ModelCanaryStalled"}),
    "as many pods as there may be": (
        [Pod(name=f"battle-stable-{number}", age_days=1) for number in range(3)],
        {"ModelAutoscalerAtMaximum"},
    ),
    "one pod": ([replace(USUAL, age_days=1)], set()),
    "a model of six days": (pods(age_days=6), {"ModelTooOld"}),
    "two versions since half an hour": (
        [replace(USUAL, scrapes=30, age_days=1), replace(OTHER, version="2", scrapes=30, age_days=1)],
        {"ModelVersionsMixed"},
    ),
    "60 % of each limit": (
        pods(cores=0.6, memory=0.6e9, disk=0.6e8, age_days=1),
        {"ModelCpuHigh", "ModelMemoryHigh", "ModelDiskHigh"},
    ),
    "40 % of each limit, and the kubelet is scraped twice": (
        pods(cores=0.4, memory=0.4e9, disk=0.4e8, age_days=1, twice=True),
        set(),
    ),
    "40 % of each limit": (pods(cores=0.4, memory=0.4e9, disk=0.4e8, age_days=1), set()),
}


FAST_BURN, SLOW_BURN = {"ModelAvailabilityBurnFast"}, {"ModelAvailabilityBurnSlow"}
BURSTS: dict[str, tuple[list[Pod], set[str]]] = {
    # 14.4 and 6 times: the short window has to agree.
    "half failed for two minutes until ten minutes ago": (burst(50, 2, calm=10), set()),
    "half failed for hours until 40 minutes ago": (burst(50, 200, days=0, calm=40), SLOW_BURN),
    # The long window has to agree.
    "a tenth fails since six minutes": (burst(10, 6), set()),
    "a fifth fails since six minutes": (burst(20, 6), FAST_BURN),
    "1 % fails since an hour": (burst(1, 60), set()),
    "1 % fails since four hours": (burst(1, 240, days=0), FAST_BURN | SLOW_BURN),
    # 3 times and once: three days can say less than a day does where they had more requests.
    "0.4 % fail since a day, after two of more requests": (
        burst(0.4, 1440, days=2, once=1000),
        SLOW_BURN,
    ),
    "0.4 % failed in the day until three hours ago, after two of more requests": (
        burst(0.4, 1260, days=2, calm=180, once=1000),
        set(),
    ),
    "0.2 % failed in the day until seven hours ago": (burst(0.2, 1020, days=0, calm=420), set()),
    "0.2 % fail": (burst(0.2, 240, days=0), SLOW_BURN),
    "0.05 % fail": (burst(0.05, 240, days=0), set()),
    # A handful of failures is no burn, however few the requests are.
    "one fails of 105 in six hours": (
        [
            replace(USUAL, scrapes=360, quiet=350, calm=9, asked=0.15, server=1),
            replace(OTHER, scrapes=360, asked=0.15),
        ],
        set(),
    ),
    "two are late of 105 in six hours": (
        [
            replace(USUAL, scrapes=360, quiet=346, asked=0.15, seconds={"2.5": 1.0}),
            replace(OTHER, scrapes=360, asked=0.15),
        ],
        set(),
    ),
    "ten are late of 105 in six hours": (
        [
            replace(USUAL, scrapes=360, quiet=290, asked=0.15, seconds={"2.5": 1.0}),
            replace(OTHER, scrapes=360, asked=0.15),
        ],
        SLOW,
    ),
}


@pytest.mark.parametrize("case", BURSTS)
def test_both_windows_of_a_burn_have_to_agree(case: str, program: str, rules: Rules, tmp_path: Path) -> None:
    given, firing = BURSTS[case]
    burns = [group for group in rules("")["groups"] if group["name"].endswith((".availability", ".latency"))]
    assert burns
    # Burns have no wait, so that evaluations may be far apart.
    assert promtool.complaint(program, {"groups": burns}, given, firing, tmp_path, evaluated_s=600) == ""


@pytest.mark.parametrize("case", DEFAULT)
def test_of_the_default_values(case: str, program: str, rules: Rules, tmp_path: Path) -> None:
    given, firing = DEFAULT[case]
    assert promtool.complaint(program, rules(""), given, firing, tmp_path) == ""


@pytest.mark.parametrize("case", OTHERS)
def test_of_other_values(case: str, program: str, rules: Rules, tmp_path: Path) -> None:
    given, firing = OTHERS[case]
    assert promtool.complaint(program, rules("custom"), given, firing, tmp_path) == ""


FAST = (
    "reference traffic",
    "half of the requests fail",
    "0.05 % fail",
    "inputs shift far",
    "right in 85 % of many outcomes",
    "a canary since 25 hours",
)


@pytest.mark.parametrize("case", FAST)
def test_sixty_times_as_fast(case: str, program: str, rules: Rules, tmp_path: Path) -> None:
    given, firing = DEFAULT[case]
    assert promtool.complaint(program, rules("fast"), given, firing, tmp_path, interval_s=1) == ""


@pytest.mark.parametrize("name", ["", "custom", "fast"])
def test_rules_are_what_prometheus_takes(name: str, program: str, rules: Rules, tmp_path: Path) -> None:
    done = promtool.check(program, rules(name), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_and_silent(rules: Rules) -> None:
    def there(name: str) -> set[str]:
        return {rule["alert"] for group in rules(name)["groups"] for rule in group["rules"] if "alert" in rule}

    def fired(cases: dict[str, tuple[list[Pod], set[str]]]) -> set[str]:
        return set().union(*(firing for _, firing in cases.values()))

    assert fired(DEFAULT) == there("")
    assert fired(OTHERS) <= there("custom") == there("") | {"ModelCpuHigh"}
    assert "ModelCpuHigh" in fired(OTHERS)


def test_every_rule_names_its_release_and_asks_for_it_alone(rules: Rules) -> None:
    own = f'namespace="{NAMESPACE}",release="{RELEASE}"'
    for group in rules("")["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["namespace"] == NAMESPACE
            assert rule["labels"]["release"] == RELEASE
            for name, selector in re.findall(r"(\w+)(\{[^}]*\})", rule["expr"]):
                kubelets = name.startswith("container_") and f"and on (namespace, pod) up{{{own}}}" in rule["expr"]
                assert own in selector or (kubelets and f'namespace="{NAMESPACE}"' in selector), (rule, selector)


def test_burns_that_cannot_be_are_left_out(rules: Rules) -> None:
    def burns(name: str) -> list[str]:
        found = [rule for group in rules(name)["groups"] for rule in group["rules"] if "Availability" in str(rule)]
        return re.findall(r"\((\S+) \* 0\.\d+\)", " ".join(rule["expr"] for rule in found if "alert" in rule))[::2]

    assert burns("") == ["14.4", "6", "3", "1"]
    assert burns("custom") == ["6", "3", "1"]
