"""What must not be installed is refused, and the refusal says why."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.helm.charts import APIS, CHART, GATEWAY, OPERATOR, Chart, Values, with_image

DIGEST = f"sha256:{'a' * 64}"
PARENT = {"name": "gateway", "sectionName": "http"}
DEFAULTS: Values = yaml.safe_load((CHART / "values.yaml").read_text())
MAPS = ("nodeSelector", "podAnnotations", "annotations", "namespaceLabels", "podLabels", "additionalLabels")
"""Keys of maps that a user fills with names of his own."""


def groups(values: Values, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all closed objects, the root included."""
    yield path
    for name, value in values.items():
        if isinstance(value, dict) and name not in MAPS:
            yield from groups(value, (*path, name))


def leaves(values: Values, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and name not in MAPS:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def put(values: Values, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def place(path: tuple[str, ...]) -> str:
    """As Helm names a place in the values."""
    return "'" + "".join(f"/{name}" for name in path) + "'"


def test_a_typo_is_refused_at_every_depth(chart: Chart) -> None:
    wrong: Values = with_image()
    places = list(groups(DEFAULTS))
    assert len(places) > 25
    for path in places:
        put(wrong, (*path, "tpyo"), 1)
    said = chart.refusal(wrong)
    missed = [path for path in places if f"at {place(path)}: additional properties 'tpyo' not allowed" not in said]
    assert missed == []


def test_a_wrong_type_is_refused_at_every_leaf(chart: Chart) -> None:
    wrong: Values = {}
    every = dict(leaves(DEFAULTS))
    assert len(every) > 80
    for path, default in every.items():
        put(wrong, path, {"wrong": "type"} if not isinstance(default, dict) else ["wrong type"])
    said = chart.refusal(wrong)
    assert [path for path in every if f"at {place(path)}" not in said] == []


@pytest.mark.parametrize("path", [("image", "tag"), ("slo", "canary", "errors"), ("probes",), ("settings",)])
def test_a_value_that_is_taken_away_is_refused(chart: Chart, path: tuple[str, ...]) -> None:
    wrong: Values = with_image()
    put(wrong, path, None)
    assert f"missing property '{path[-1]}'" in chart.refusal(wrong)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"image": {"repository": "localhost/battle:v1"}}, "/image/repository"),
        ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
        ({"image": {"tag": 3}}, "got number, want string"),
        ({"slo": {"latency": {"threshold": 0.3}}}, "/slo/latency/threshold"),
        ({"slo": {"availability": {"objective": 100}}}, "/slo/availability/objective"),
        ({"settings": {"PDX_LOG_LEVEL": "loud"}}, "/settings/PDX_LOG_LEVEL"),
        ({"settings": {"PDX_LIMIT_NESTING": 3}}, "/settings/PDX_LIMIT_NESTING"),
        ({"settings": {"PDX_HTTP_PORT": 8080}}, "'PDX_HTTP_PORT' not allowed"),
        ({"settings": {"PDX_AUTH_KEYS_FILE": "keys"}}, "'PDX_AUTH_KEYS_FILE' not allowed"),
        ({"settings": {"PDX_HTTP_KEEPALIVE_SECONDS": 5}}, "'PDX_HTTP_KEEPALIVE_SECONDS' not allowed"),
        ({"canary": {"weight": 101}}, "/canary/weight"),
        ({"canary": {"weight": -1}}, "/canary/weight"),
        ({"canary": {"weight": 0.5}}, "got number, want integer"),
        ({"canary": {"image": {"repository": "localhost/battle:v2"}}}, "/canary/image/repository"),
        ({"canary": {"header": {"value": "two words"}}}, "/canary/header/value"),
        ({"shadow": {"share": 1.1}}, "/shadow/share"),
        ({"shadow": {"concurrency": 0}}, "/shadow/concurrency"),
        ({"shadow": {"timeoutSeconds": 0}}, "/shadow/timeoutSeconds"),
        ({"autoscaling": {"cpu": {"utilization": 0}}}, "/autoscaling/cpu/utilization"),
        ({"rollout": {"maxSurge": "some"}}, "/rollout/maxSurge"),
        ({"resources": {"limits": {"memory": ""}}}, "/resources/limits/memory"),
        ({"resources": {"requests": {"cpu": ""}}}, "/resources/requests/cpu"),
        ({"route": {"parentRefs": [{"nmae": "gateway"}]}}, "'nmae' not allowed"),
        ({"tolerations": [{"opreator": "Exists"}]}, "'opreator' not allowed"),
        ({"topologySpread": [{"topologyKey": "zone", "maxSkew": 1}]}, "missing property 'whenUnsatisfiable'"),
        ({"networkPolicy": {"gateway": {"cidrs": ["10.0.0.1"]}}}, "/networkPolicy/gateway/cidrs/0"),
        ({"networkPolicy": {"monitoring": {"namespaces": ["monitoring."]}}}, "/networkPolicy/monitoring/namespaces/0"),
        ({"networkPolicy": {"monitoring": {"namespaces": None}}}, "missing property 'namespaces'"),
        ({"networkPolicy": {"dns": {"ports": []}}}, "/networkPolicy/dns/ports"),
        ({"networkPolicy": {"otlp": {"ports": [0]}}}, "/networkPolicy/otlp/ports/0"),
        ({"serviceMonitor": {"interval": "soon"}}, "/serviceMonitor/interval"),
        ({"otlp": {"endpoint": "collector:4318"}}, "/otlp/endpoint"),
        ({"otlp": {"endpoint": "http://user:password@collector:4318"}}, "/otlp/endpoint"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(chart: Chart, values: Values, word: str) -> None:
    (key,) = values
    given = {**with_image().get(key, {}), **values[key]} if isinstance(values[key], dict) else values[key]
    assert word in chart.refusal(with_image(**{key: given}))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"image": {"tag": "v1"}}, "image.repository is empty: name the image that make image printed."),
        (
            {"image": {"repository": "localhost/battle"}},
            "The image localhost/battle has neither a tag nor a digest: set image.tag or image.digest.",
        ),
        (
            {"terminationGracePeriodSeconds": 29},
            "terminationGracePeriodSeconds is 29, and the server needs 30 s to stop: "
            "PDX_STOP_DRAIN_SECONDS (5), PDX_STOP_FINISH_SECONDS (20) and 5 s to close.",
        ),
        ({"autoscaling": {"min": 3, "max": 2}}, "autoscaling.min (3) is more than autoscaling.max (2)."),
        ({"autoscaling": {"cpu": {"enabled": False}}}, "The autoscaler has nothing to go by"),
        (
            {"rollout": {"progressDeadlineSeconds": 65}},
            "rollout.progressDeadlineSeconds is 65, and a pod may take 65 s to start",
        ),
        ({"route": {"enabled": True}}, "route.enabled is on, and route.parentRefs names no Gateway."),
        (
            {"route": {"enabled": True, "parentRefs": [PARENT], "grpc": {"enabled": True}}},
            "route.grpc.enabled is on, and route.grpc.parentRefs names no Gateway.",
        ),
        (
            {"route": {"grpc": {"enabled": True, "parentRefs": [PARENT]}}},
            "route.grpc.enabled is on without route.enabled: the HTTPRoute carries REST.",
        ),
        ({"ingress": {"enabled": True, "tlsSecret": "tls"}}, "ingress.tlsSecret is set and ingress.hosts is empty"),
        ({"scratchSize": "1Gi"}, "scratchSize is 1Gi, and resources.limits.ephemeral-storage allows 256Mi."),
        (
            {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}},
            "resources.requests.cpu is 2, and resources.limits.cpu allows 1500m.",
        ),
        (
            {"resources": {"requests": {"memory": "1025Mi"}}},
            "resources.requests.memory is 1025Mi, and resources.limits.memory allows 1Gi.",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(chart: Chart, values: Values, sentence: str) -> None:
    assert sentence in chart.refusal(with_image(**values))


ROUTE = {"enabled": True, "parentRefs": [PARENT]}
CANARY = {"enabled": True, "image": {"tag": "v2"}}
KEYS = {"existingSecret": "signing"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"canary": CANARY}, "canary.enabled is on without route.enabled: only a route of Gateway API leads"),
        (
            {"canary": CANARY, "ingress": {"enabled": True}},
            "canary.enabled is on, and an Ingress alone cannot lead a share of the requests to a canary",
        ),
        ({"canary": {"weight": 5}}, "canary.weight is 5, and no canary runs: set canary.enabled, or the weight to 0."),
        (
            {"canary": {"enabled": True}, "route": ROUTE},
            "The image localhost/battle has neither a tag nor a digest: set canary.image.tag or canary.image.digest.",
        ),
        (
            {"canary": {**CANARY, "stableMin": 11}, "route": ROUTE},
            "canary.stableMin (11) is more than autoscaling.max (10).",
        ),
        (
            {"canary": {**CANARY, "autoscaling": {"min": 3, "max": 2}}, "route": ROUTE},
            "canary.autoscaling.min (3) is more than canary.autoscaling.max (2).",
        ),
        ({"shadow": {"share": 0.1}, "ids": KEYS}, "shadow.share is more than 0, and no canary runs"),
        (
            {"shadow": {"share": 0.1}, "canary": CANARY, "route": ROUTE},
            "shadow.share is more than 0 without ids.existingSecret: copies are marked as such by a signature",
        ),
    ],
)
def test_a_canary_that_could_not_work_is_refused(chart: Chart, values: Values, sentence: str) -> None:
    assert sentence in chart.refusal(with_image(**values))


def test_a_canary_without_gateway_api_is_refused(chart: Chart) -> None:
    said = chart.refusal(with_image(canary=CANARY, route=ROUTE), apis=OPERATOR)
    assert f"is on, and this cluster has no {GATEWAY[0]}" in said
    assert "install Gateway API or switch it off" in said


@pytest.mark.parametrize(
    ("ours", "theirs", "shared"),
    [
        (PARENT, PARENT, True),
        ({"name": "gateway"}, PARENT, True),
        (PARENT, {"name": "gateway"}, True),
        ({"name": "gateway"}, {"name": "gateway"}, True),
        ({**PARENT, "namespace": "models"}, PARENT, True),
        (PARENT, {**PARENT, "namespace": "models"}, True),
        ({"name": "gateway", "port": 8001}, PARENT, True),
        ({**PARENT, "port": 8001}, PARENT, True),
        ({"name": "gateway", "port": 8001}, {**PARENT, "port": 8001}, True),
        ({**PARENT, "sectionName": "grpc"}, PARENT, False),
        ({**PARENT, "sectionName": "grpc", "port": 8001}, {**PARENT, "port": 8001}, False),
        ({"name": "gateway", "port": 8001}, {"name": "gateway", "port": 8000}, False),
        ({**PARENT, "port": 8001}, {**PARENT, "port": 8000}, False),
        ({**PARENT, "namespace": "edge"}, PARENT, False),
        ({"name": "other"}, PARENT, False),
    ],
)
def test_a_grpc_route_needs_a_listener_of_its_own(chart: Chart, ours: Values, theirs: Values, shared: bool) -> None:
    route = {"enabled": True, "parentRefs": [theirs], "grpc": {"enabled": True, "parentRefs": [ours]}}
    done = chart.template(with_image(route=route))
    sentence = "route.grpc.parentRefs and route.parentRefs may share a listener of the Gateway gateway: "
    assert (sentence in done.stderr) == shared
    assert (done.returncode != 0) == shared


@pytest.mark.parametrize(
    ("values", "switch", "api"),
    [
        ({"route": {"enabled": True, "parentRefs": [PARENT]}}, "route.enabled", GATEWAY[0]),
        (
            {"route": {"enabled": True, "parentRefs": [PARENT], "grpc": {"enabled": True, "parentRefs": [PARENT]}}},
            "route.grpc.enabled",
            GATEWAY[1],
        ),
        ({"serviceMonitor": {"enabled": True}}, "serviceMonitor.enabled", OPERATOR[0]),
        ({"prometheusRule": {"enabled": True}}, "prometheusRule.enabled", OPERATOR[1]),
    ],
)
def test_a_part_whose_api_is_missing_is_refused(chart: Chart, values: Values, switch: str, api: str) -> None:
    others = tuple(each for each in APIS if each != api)
    said = chart.refusal(with_image(**values), apis=others)
    assert f"{switch} is on, and this cluster has no {api}: install " in said


@pytest.mark.parametrize("part", ["serviceMonitor", "prometheusRule"])
def test_a_label_of_the_chart_is_not_given_twice(chart: Chart, part: str) -> None:
    kind = part[0].upper() + part[1:]
    ours = chart.one(kind, with_image(**{part: {"enabled": True}}))["metadata"]["labels"]
    assert len(ours) > 5
    for name in ours:
        said = chart.refusal(with_image(**{part: {"enabled": True, "additionalLabels": {name: "other", "more": "1"}}}))
        assert f"{part}.additionalLabels sets {name}, which the chart sets: choose another label." in said
    more = chart.one(kind, with_image(**{part: {"enabled": True, "additionalLabels": {"more": "1"}}}))
    assert more["metadata"]["labels"] == {**ours, "more": "1"}


@pytest.mark.parametrize("name", ["1battle", "battle.prod"])
def test_a_release_name_that_no_service_can_have_is_refused(chart: Chart, name: str) -> None:
    sentence = f"The release name {name} cannot name a Service: it must begin with a letter and hold no dot."
    assert sentence in chart.refusal(with_image(), release=name)
