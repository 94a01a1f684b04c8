from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bentos.core import Core
from bentos.errors import NotFound, NotReady, TooManyRows
from bentos.http import Request, Response
from bentos.oip.routes import Oip
from bentos.routes import READ, WRITE, Route
from bentos.state import State
from tests.tabular import Kind

EARLY = ["/v2", "/v2/health/live", "/v2/health/ready"]


def make(core: Core | None = None, *, stopping: bool = False) -> Oip:
    state = State()
    state.core, state.stopping = core, stopping
    return Oip(state, nesting=16)


def get(route: Route | None) -> Any:
    assert route is not None
    assert route.call is not None
    answer = route.call(Request("GET", "", "", {}))
    assert isinstance(answer, Response)
    assert answer.status == 200
    return orjson.loads(answer.body)


def test_what_answers_before_the_model_is_there() -> None:
    early = make().early()
    assert list(early) == EARLY
    assert {route.methods for route in early.values()} == {READ}
    assert get(early["/v2/health/live"]) == {"live": True}
    assert get(early["/v2"])["name"] == "predictiondex"
    with pytest.raises(NotReady, match="loading"):
        get(early["/v2/health/ready"])


def test_a_model_that_is_there_is_ready(core: Core) -> None:
    oip = make(core)
    assert get(oip.early()["/v2/health/ready"]) == {"ready": True}
    for version in ("", "/versions/1"):
        assert get(oip.routes(core)[f"/v2/models/battle{version}/ready"]) == {"name": "battle", "ready": True}
        assert get(oip.routes(core)[f"/v2/models/battle{version}"])["versions"] == ["1"]


def test_a_server_that_stops_is_alive_and_not_ready(core: Core) -> None:
    oip = make(core, stopping=True)
    assert get(oip.early()["/v2/health/live"]) == {"live": True}
    for route in (oip.early()["/v2/health/ready"], oip.routes(core)["/v2/models/battle/ready"]):
        with pytest.raises(NotReady, match="stopping"):
            get(route)


def test_health_alone_is_open(core: Core) -> None:
    oip = make(core)
    for path, route in {**oip.early(), **oip.routes(core)}.items():
        assert route.open == path.endswith(("/ready", "/live"))


@pytest.mark.parametrize("what", ["", "/ready", "/infer"])
@pytest.mark.parametrize("model", ["other", "battle/versions/2", "battle/versions/1.0", "Battle", "other/versions/1"])
def test_another_model_or_version_is_not_found(core: Core, model: str, what: str) -> None:
    oip = make(core)
    path = f"/v2/models/{model}{what}"
    route = oip.unknown(path)
    assert path not in oip.routes(core)
    assert route is not None
    assert route.methods == (WRITE if what == "/infer" else READ)
    assert route.open == (what == "/ready")
    assert route.template == "/v2/models/{name}" + ("/versions/{version}" if "versions" in model else "") + what
    with pytest.raises(NotFound, match="There is no"):
        get(route)


@pytest.mark.parametrize("what", ["", "/ready", "/infer"])
def test_no_model_is_known_while_it_loads(what: str) -> None:
    with pytest.raises(NotReady, match="loading"):
        get(make().unknown(f"/v2/models/battle{what}"))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2/",
        "/v2/models",
        "/v2/models/",
        "/v2/models/a/b",
        "/v2/models/a/infer/",
        "/v2/models/a/versions",
        "/v2/models/a/versions//infer",
        "/v2/models//infer",
        "/v2/repository/index",
        "/v2/models/a/config",
        "/v2/models/stats",
        "/x/v2/models/a",
        "/v2/models/a\n",
    ],
)
def test_other_paths_are_not_the_protocols(core: Core, path: str) -> None:
    route = make(core).unknown(path)
    assert route is None or path in ("/v2/models/stats", "/v2/models/a\n")


def duel(core: Core, rows: int = 1, **more: Any) -> bytes:
    values = core.contract.parity.rows[0]
    names = [column.name for column in core.contract.columns]
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [rows, 1], "data": [value] * rows}
        for name, value in zip(names, values, strict=True)
    ]
    return orjson.dumps({"inputs": inputs, **more})


def test_a_duel_is_answered_as_the_core_does(core: Core, ask: Callable[..., Response]) -> None:
    answer = orjson.loads(ask(core, duel(core, id="7"), {}).body)
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("battle", "1", "7")
    found = {output["name"]: output["data"] for output in answer["outputs"]}
    assert found["probabilities"][1] == pytest.approx(core.contract.parity.expected[0][0], abs=1e-5)
    if "label" in found:
        assert core.contract.classes is not None
        assert found["label"] == [core.contract.classes[found["probabilities"][1] >= 0.5]]


@pytest.mark.parametrize(("rows", "asked", "given"), [(2, None, 2), (2, False, 0), (65, None, 0), (65, True, 65)])
def test_each_row_has_an_id_where_it_should(
    core: Core, ask: Callable[..., Response], rows: int, asked: bool | None, given: int
) -> None:
    parameters = {} if asked is None else {"prediction_ids": asked}
    answer = orjson.loads(ask(core, duel(core, rows, parameters=parameters), {}).body)
    ids = answer.get("parameters", {}).get("prediction_ids", "")
    assert len(set(filter(None, ids.split(",")))) == given


def test_a_deadline_counts_from_the_requests_start(core: Core) -> None:
    path = "/v2/models/battle/infer"
    prepare = make(core).routes(core)[path].prepare
    assert prepare is not None
    request = Request("POST", path, "", {}, duel(core, parameters={"timeout": 250_000}))
    assert prepare(request).deadline == pytest.approx(request.started + 0.25)
    assert prepare(Request("POST", path, "", {}, duel(core))).deadline is None


def test_preparing_scores_nothing(core: Core) -> None:
    path = "/v2/models/battle/versions/1/infer"
    prepare = make(core).routes(core)[path].prepare
    assert prepare is not None
    job = prepare(Request("POST", path, "", {}, duel(core, 3)))
    assert job.rows == 3
    assert job.run().rows == 3


@pytest.mark.parametrize("kind", ["classifier", "multiclass", "regressor", "pipeline"])
def test_every_kind_of_model_answers_its_parity_sample(
    tabular_core: Callable[[Kind], Core], ask: Callable[..., Response], kind: Kind
) -> None:
    core = tabular_core(kind)
    row = [None if value is None else value for value in core.contract.parity.rows[0]]
    specs = core.adapter.inputs
    if len(specs) == 1:
        filled = next(row for row in core.contract.parity.rows if None not in row)
        row = [float(value) for value in filled if value is not None]
        expected = core.contract.parity.expected[core.contract.parity.rows.index(filled)]
        inputs = [{"name": "input", "datatype": "FP32", "shape": [1, len(row)], "data": row}]
    else:
        expected = core.contract.parity.expected[0]
        inputs = [
            {"name": spec.name, "datatype": spec.datatype, "shape": [1, 1], "data": [[value]]}
            for spec, value in zip(specs, row, strict=True)
        ]
    answer = orjson.loads(ask(core, orjson.dumps({"inputs": inputs}), {}).body)
    found = answer["outputs"][0]["data"]
    assert found[-len(expected) :] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_more_rows_than_allowed_are_refused(core: Core, ask: Callable[..., Response]) -> None:
    with pytest.raises(TooManyRows):
        ask(core, duel(core, core.most_rows + 1), {})
