import itertools
import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from bentos.core import Core
from bentos.errors import PredictionDexError
from bentos.grpc_door import GrpcDoor, inference, tensors
from bentos.grpc_door.wire import inference_pb2 as pb
from bentos.tensor import DTYPES
from tests import tabular
from tests.bentos.grpc_door import doors

TabularDoor = Callable[[tabular.Kind], tuple[GrpcDoor, Core]]


def refused(channel: Any, request: Any, **options: Any) -> tuple[grpc.StatusCode, str, dict[str, Any]]:
    with pytest.raises(grpc.RpcError) as caught:
        doors.infer(channel, request, **options)
    error: Any = caught.value
    return error.code(), error.details(), dict(error.trailing_metadata())


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("make", [doors.raw_battle, doors.typed_battle])
def test_an_answer_comes_in_the_form_of_its_request(channel: Any, core: Core, make: Any, rows: int) -> None:
    response = doors.infer(channel, make(core, rows))
    assert (response.model_name, response.model_version, response.id) == ("battle", "1", "")
    wanted = [("probabilities", "FP32", [rows, 2]), ("label", "BYTES", [rows, 1])]
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == wanted
    assert bool(response.raw_output_contents) == (make is doors.raw_battle)
    assert response.outputs[0].HasField("contents") == (make is doors.typed_battle)
    answered = doors.probabilities(response)
    assert answered[:, 1] == pytest.approx(doors.expected(core, rows), abs=1e-5)
    assert answered.sum(axis=1) == pytest.approx(1)


def test_the_id_is_echoed(channel: Any, core: Core) -> None:
    request = doors.raw_battle(core)
    request.id = "7 ü"
    assert doors.infer(channel, request).id == "7 ü"


@pytest.mark.parametrize(
    ("rows", "asked", "there"), [(64, None, True), (65, None, False), (65, True, True), (1, False, False)]
)
def test_prediction_ids(channel: Any, core: Core, rows: int, asked: bool | None, there: bool) -> None:
    request = doors.raw_battle(core, 64)
    if rows == 65:
        for i, raw in enumerate(request.raw_input_contents):
            request.inputs[i].shape[0] = 65
            request.raw_input_contents[i] = raw + raw[: 4 + int.from_bytes(raw[:4], "little")]
    elif rows == 1:
        request = doors.raw_battle(core)
    if asked is not None:
        request.parameters["prediction_ids"].bool_param = asked
    parameters = doors.infer(channel, request).parameters
    assert ("prediction_ids" in parameters) == there
    if there:
        assert len(set(parameters["prediction_ids"].string_param.split(","))) == rows


def test_outputs_are_answered_as_asked(tabular_door: TabularDoor) -> None:
    door, core = tabular_door("multiclass")
    row = np.array(core.contract.parity.rows[:2], np.float32)
    request = pb.ModelInferRequest(model_name="multiclass", model_version="1", raw_input_contents=[row.tobytes()])
    request.inputs.add(name="input", datatype="FP32", shape=row.shape)
    with doors.connect(door) as channel:
        assert [output.name for output in doors.infer(channel, request).outputs] == ["probabilities", "label"]
        request.outputs.add(name="label")
        response = doors.infer(channel, request)
        assert [output.name for output in response.outputs] == ["label"]
        winners = np.array(core.contract.parity.expected[:2]).argmax(axis=1)
        assert core.contract.classes is not None
        labels = [core.contract.classes[winner] for winner in winners]
        assert list(response.raw_output_contents) == [doors.framed(labels)]
        request.outputs.add(name="probabilities")
        assert [output.name for output in doors.infer(channel, request).outputs] == ["label", "probabilities"]
        request.outputs.add(name="label")
        assert refused(channel, request)[:2] == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "The output label is asked for twice.",
        )
        del request.outputs[:]
        request.outputs.add(name="logits")
        code, sentence, _ = refused(channel, request)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert sentence == "The model answers no tensor logits; it answers probabilities, label."


def test_every_datatype_of_a_column_by_type_and_raw(tabular_door: TabularDoor) -> None:
    door, core = tabular_door("pipeline")
    rows = core.contract.parity.rows[:5]
    by_type, raw = pb.ModelInferRequest(model_name="pipeline"), pb.ModelInferRequest(model_name="pipeline")
    fields = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents"}
    for spec, column in zip(core.adapter.inputs, zip(*rows, strict=True), strict=True):
        tensor = by_type.inputs.add(name=spec.name, datatype=spec.datatype, shape=[5, 1])
        raw.inputs.add(name=spec.name, datatype=spec.datatype, shape=[5, 1])
        texts = spec.datatype == "BYTES"
        values = [str(value).encode() for value in column] if texts else column
        getattr(tensor.contents, fields[spec.datatype]).extend(values)
        content = (
            doors.framed([str(value) for value in column])
            if texts
            else np.array(column, DTYPES[spec.datatype]).tobytes()
        )
        raw.raw_input_contents.append(content)
    with doors.connect(door) as channel:
        one, two = doors.infer(channel, by_type), doors.infer(channel, raw)
    assert {spec.datatype for spec in core.adapter.inputs} >= {"BYTES", "INT64", "FP32"}
    assert np.array_equal(doors.probabilities(one), doors.probabilities(two))
    assert doors.probabilities(one)[:, -1] == pytest.approx(doors.expected(core, 5), abs=1e-5)
    assert (
        doors.framed([value.decode() for value in one.outputs[1].contents.bytes_contents]) == two.raw_output_contents[1]
    )


def test_a_regressor_answers_values(tabular_door: TabularDoor) -> None:
    door, core = tabular_door("regressor")
    row = np.array(core.contract.parity.rows[:1], np.float32)
    request = pb.ModelInferRequest(model_name="regressor", raw_input_contents=[row.tobytes()])
    request.inputs.add(name="input", datatype="FP32", shape=[1, 4])
    with doors.connect(door) as channel:
        response = doors.infer(channel, request)
    assert (response.outputs[0].name, list(response.outputs[0].shape)) == ("value", [1, 1])
    assert doors.probabilities(response)[0, 0] == pytest.approx(core.contract.parity.expected[0][0], rel=1e-5)


INT = pb.InferTensorContents(int_contents=[300])
CASES: dict[str, tuple[Callable[[pb.ModelInferRequest], Any], str]] = {
    "mixed": (lambda r: r.inputs[1].contents.bytes_contents.append(b"x"), "has contents by type"),
    "empty contents beside raw": (lambda r: r.inputs[1].contents.SetInParent(), "has contents by type"),
    "raw contents missing": (lambda r: r.raw_input_contents.pop(), "has 4 inputs and 3 raw contents"),
    "input missing": (lambda r: (r.inputs.pop(), r.raw_input_contents.pop()), "move_b is missing"),
    "no inputs": (lambda r: r.CopyFrom(pb.ModelInferRequest(model_name="battle")), "pokemon_a is missing"),
    "too many inputs": (lambda r: r.inputs.add(name="x"), "has 5 inputs, and the model takes 4"),
    "twice": (lambda r: setattr(r.inputs[1], "name", "pokemon_a"), "is there twice"),
    "unknown input": (lambda r: setattr(r.inputs[1], "name", "move"), "move_a is missing"),
    "unknown datatype": (lambda r: setattr(r.inputs[0], "datatype", "STRING"), "needs a datatype"),
    "wrong datatype": (lambda r: setattr(r.inputs[0], "datatype", "UINT8"), "pokemon_a"),
    "negative": (lambda r: r.inputs[0].shape.__setitem__(0, -1), "whole numbers from 1 on"),
    "zero": (lambda r: r.inputs[0].shape.__setitem__(0, 0), "whole numbers from 1 on"),
    "zero times too much": (lambda r: r.inputs[0].shape.extend([0, 1 << 62, 1 << 62]), "whole numbers from 1 on"),
    "overflow to zero": (lambda r: r.inputs[0].shape.extend([1 << 32, 1 << 32]), "more values than"),
    "overflow to one": (lambda r: r.inputs[0].shape.extend([(1 << 63) - 1, (1 << 63) - 1]), "more values than"),
    "many dimensions": (lambda r: r.inputs[0].shape.extend([1] * 100_000), "at most 8 dimensions"),
    "too many rows": (lambda r: r.inputs[0].shape.__setitem__(0, 10_001), "more values than"),
    "more rows than bytes": (lambda r: r.inputs[0].shape.__setitem__(0, 2), "bytes"),
    "length beyond": (lambda r: r.raw_input_contents.__setitem__(0, b"\xff\xff\xff\xff"), "goes beyond"),
    "length cut": (lambda r: r.raw_input_contents.__setitem__(0, b"\x01\x00"), "2 bytes"),
    "left over": (lambda r: r.raw_input_contents.__setitem__(0, r.raw_input_contents[0] + b"x"), "bytes"),
    "not UTF-8": (lambda r: r.raw_input_contents.__setitem__(0, b"\x01\x00\x00\x00\xff"), "not UTF-8"),
    "shared memory": (
        lambda r: setattr(r.inputs[0].parameters["shared_memory_region"], "string_param", "x"),
        "shared_memory_region, which this server does not do",
    ),
    "classification": (
        lambda r: setattr(r.outputs.add(name="probabilities").parameters["classification"], "int64_param", 2),
        "classification, which this server does not do",
    ),
    "ids no flag": (lambda r: setattr(r.parameters["prediction_ids"], "int64_param", 1), "prediction_ids is true or"),
    "timeout no number": (lambda r: setattr(r.parameters["timeout"], "string_param", "1"), "number of microseconds"),
    "timeout negative": (lambda r: setattr(r.parameters["timeout"], "int64_param", -1), "number of microseconds"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_raw_request_that_is_wrong_is_told_so(channel: Any, core: Core, case: str) -> None:
    change, sentence = CASES[case]
    request = doors.raw_battle(core)
    change(request)
    code, details, metadata = refused(channel, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in details
    assert metadata["pdx-code"] in {"invalid_input", "too_many_rows", "bad_request"}


@pytest.mark.parametrize(
    "value",
    [{"bool_param": False}, {"int64_param": 0}, {"string_param": ""}, {}],
)
def test_an_extension_that_is_switched_off_is_none_asked_for(channel: Any, core: Core, value: dict[str, Any]) -> None:
    request = doors.raw_battle(core)
    off = pb.InferParameter(**value)
    request.inputs[0].parameters["shared_memory_region"].CopyFrom(off)
    request.outputs.add(name="probabilities").parameters["classification"].CopyFrom(off)
    assert doors.probabilities(doors.infer(channel, request)).shape == (1, 2)


TYPED: dict[str, tuple[str, dict[str, Any], str]] = {
    "other field": ("FP32", {"fp64_contents": [1.0] * 4}, "whose values belong into fp32_contents alone"),
    "two fields": ("FP32", {"fp32_contents": [1.0] * 4, "int_contents": [1]}, "belong into fp32_contents alone"),
    "too few": ("FP32", {"fp32_contents": [1.0] * 3}, "has 3 values in fp32_contents"),
    "none": ("FP32", {}, "has 0 values in fp32_contents"),
    "half": ("FP16", {"fp32_contents": [1.0] * 4}, "travels in raw_input_contents only"),
    "INT8": ("INT8", {"int_contents": [1, 2, 3, 128]}, "out of the range of INT8"),
    "INT16": ("INT16", {"int_contents": [1, 2, 3, -32769]}, "out of the range of INT16"),
    "UINT8": ("UINT8", {"uint_contents": [1, 2, 3, 256]}, "out of the range of UINT8"),
    "BYTES": ("BYTES", {"bytes_contents": [b"\xff"] * 4}, "not UTF-8"),
    **{
        datatype: (datatype, {field: [1, 0, 1, 1]}, f"is {datatype}, and the model takes FP32")
        for datatype, field in [
            ("BOOL", "bool_contents"),
            ("INT32", "int_contents"),
            ("INT64", "int64_contents"),
            ("UINT16", "uint_contents"),
            ("UINT32", "uint_contents"),
            ("UINT64", "uint64_contents"),
            ("FP64", "fp64_contents"),
        ]
    },
}


@pytest.mark.parametrize("case", TYPED)
def test_contents_by_type_fit_their_datatype(tabular_door: TabularDoor, case: str) -> None:
    datatype, contents, sentence = TYPED[case]
    request = pb.ModelInferRequest(model_name="regressor")
    tensor = request.inputs.add(name="input", datatype=datatype, shape=[1, 4])
    tensor.contents.CopyFrom(pb.InferTensorContents(**contents))
    with doors.connect(tabular_door("regressor")[0]) as channel:
        code, details, _ = refused(channel, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in details


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES", "FP32"}))
def test_raw_contents_of_every_datatype_are_read(tabular_door: TabularDoor, datatype: str) -> None:
    request = pb.ModelInferRequest(model_name="regressor", raw_input_contents=[np.ones(4, DTYPES[datatype]).tobytes()])
    request.inputs.add(name="input", datatype=datatype, shape=[1, 4])
    with doors.connect(tabular_door("regressor")[0]) as channel:
        assert f"is {datatype}, and the model takes FP32" in refused(channel, request)[1]
        request.raw_input_contents[0] += b"\0"
        assert "bytes" in refused(channel, request)[1]


def test_models_and_versions_that_are_not_here(channel: Any, core: Core) -> None:
    request = doors.raw_battle(core)
    request.model_version = "2"
    assert refused(channel, request)[:2] == (
        grpc.StatusCode.NOT_FOUND,
        "There is no version '2' of battle; this server has 1.",
    )
    request.model_name = "x" * 9000
    assert refused(channel, request)[0] is grpc.StatusCode.NOT_FOUND


def test_details_are_beside_the_sentence(channel: Any, core: Core) -> None:
    request = doors.raw_battle(core)
    request.raw_input_contents[0] = doors.framed(["pikachoo"])
    code, _, metadata = refused(channel, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert metadata["pdx-code"] == "unknown_name"
    assert "pikachu" in orjson.loads(metadata["pdx-details-bin"])[0]["did_you_mean"]


def test_a_timeout_that_has_passed_is_not_computed(core: Core) -> None:
    request = doors.raw_battle(core)
    with doors.open_door(core, grpc={"threads": 1}) as door, doors.connect(door) as channel:
        request.parameters["timeout"].int64_param = 20_000_000
        assert doors.infer(channel, request).outputs
        request.parameters["timeout"].int64_param = 20_000
        with door.desk.permits:
            call = channel.unary_unary(f"/{doors.SERVICE}/ModelInfer").future(request.SerializeToString())
            doors.until(lambda: len(door.desk.inference) == 1)
            # The time itself is what passes here.
            threading.Event().wait(0.05)
        with pytest.raises(grpc.RpcError) as caught:
            call.result(10)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert error.details() == "The deadline of the request has passed; nothing was computed."


def test_too_many_fields_are_refused_before_they_are_decoded(channel: Any) -> None:
    # Two bytes each on the wire, and some sixty decoded.
    code, sentence, _ = refused(channel, b"\x2a\x00" * 200_000)
    assert (code, sentence) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "The message has more fields than any request of this model.",
    )


def test_the_quick_way_and_the_long_way_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(request: pb.ModelInferRequest) -> tuple[Any, ...]:
        try:
            name, datatype, data = tensors.tensors(request, 40_000)[0]
        except PredictionDexError as error:
            return type(error), str(error)
        return name, datatype, data.dtype, data.shape, data.tobytes(), data.flags.aligned

    shapes = [[1, 4], [4], [-1, -4], [2, 2], [0, 4], [1, 4, 1], [1 << 62, 4], [10_001, 4]]
    sizes = [0, 4, 15, 16, 17, 160_016]
    for datatype, shape, size, parameter, contents in itertools.product(
        ["FP32", "FP64", "BOOL", "", "BYTES"], shapes, sizes, ["", "own", "shared_memory_region"], [False, True]
    ):
        request = pb.ModelInferRequest(raw_input_contents=[bytes(size)])
        given = request.inputs.add(name="input", datatype=datatype, shape=shape)
        if parameter:
            given.parameters[parameter].string_param = "a"
        if contents:
            given.contents.SetInParent()
        usual = outcome(request)
        with monkeypatch.context() as patched:
            patched.setattr(tensors, "_usual", lambda *_: None)
            assert outcome(request) == usual


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 1 << 21])
def test_fields_written_by_hand_are_read_back(size: int) -> None:
    content, ids = bytes(size), ["a" * size, "b"]
    written = inference._field(inference._RAW_CONTENTS, content) + inference._ids(ids)
    response = pb.ModelInferResponse.FromString(written)
    assert list(response.raw_output_contents) == [content]
    assert response.parameters["prediction_ids"].string_param == ",".join(ids)
