"""Triton's own clients against the running server."""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from numpy.typing import NDArray

from bentos.core import Core
from tests import servers
from tests.tabular import Kind

PACKINGS = [None, "gzip", "deflate"]
Columns = dict[str, NDArray[Any]]


@pytest.fixture
def duels(server: servers.Process) -> Iterator[Any]:
    with triton.InferenceServerClient(server.rest.removeprefix("http://")) as client:
        yield client


def of_duels(core: Core, rows: int) -> Columns:
    """The first rows of the parity sample, as the four tensors."""
    sample = core.contract.parity.rows[:rows]
    return {
        spec.name: np.array([[str(row[place])] for row in sample], np.object_)
        for place, spec in enumerate(core.adapter.inputs)
    }


def inputs(columns: Columns, *, raw: bool) -> list[Any]:
    made = []
    for name, values in columns.items():
        datatype = "BYTES" if values.dtype == np.object_ else {"f4": "FP32", "i8": "INT64"}[values.dtype.str[1:]]
        made.append(triton.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values, binary_data=raw))
    return made


def expected(core: Core, rows: int) -> list[float]:
    return [row[-1] for row in core.contract.parity.expected[:rows]]


def test_health_and_metadata(duels: Any) -> None:
    assert duels.is_server_live()
    assert duels.is_server_ready()
    assert duels.is_model_ready("battle")
    assert duels.is_model_ready("battle", "1")
    assert not duels.is_model_ready("other")
    assert "binary_tensor_data" in duels.get_server_metadata()["extensions"]
    metadata = duels.get_model_metadata("battle", "1")
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["pokemon_a", "move_a", "pokemon_b", "move_b"]


@pytest.mark.parametrize("unpacked", PACKINGS)
@pytest.mark.parametrize("packed", PACKINGS)
@pytest.mark.parametrize("raw", [False, True])
def test_duels_with_every_packing(duels: Any, core: Core, raw: bool, packed: str | None, unpacked: str | None) -> None:
    answer = duels.infer(
        "battle",
        inputs(of_duels(core, 64), raw=raw),
        request_id="7",
        outputs=[triton.InferRequestedOutput("probabilities", binary_data=raw)],
        request_compression_algorithm=packed,
        response_compression_algorithm=unpacked,
    )
    assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(expected(core, 64), abs=1e-5)
    response = answer.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ("battle", "1", "7")
    assert len(response["parameters"]["prediction_ids"].split(",")) == 64


def test_without_outputs_everything_comes_in_bytes(duels: Any, core: Core) -> None:
    answer = duels.infer("battle", inputs(of_duels(core, 3), raw=True), model_version="1")
    assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(expected(core, 3), abs=1e-5)
    outputs = answer.get_response()["outputs"]
    assert [output["name"] for output in outputs] == [output.name for output in core.contract.outputs]
    assert all("binary_data_size" in output["parameters"] for output in outputs)


def test_prediction_ids_on_request(duels: Any, core: Core) -> None:
    answer = duels.infer("battle", inputs(of_duels(core, 1), raw=True), parameters={"prediction_ids": False})
    assert "parameters" not in answer.get_response()


@pytest.mark.parametrize("rows", [1, 640])
def test_a_deadline_that_has_passed_is_not_computed(duels: Any, core: Core, rows: int) -> None:
    columns = {name: np.resize(values, (rows, 1)) for name, values in of_duels(core, 64).items()}
    with pytest.raises(triton.InferenceServerException, match="time"):
        duels.infer("battle", inputs(columns, raw=True), timeout=1)
    assert duels.infer("battle", inputs(columns, raw=True), timeout=60_000_000)


@pytest.mark.parametrize(
    ("model", "version", "status"), [("other", "", "404"), ("battle", "2", "404"), ("other", "1", "404")]
)
def test_another_model_is_not_found(duels: Any, core: Core, model: str, version: str, status: str) -> None:
    with pytest.raises(triton.InferenceServerException, match="There is no") as refused:
        duels.infer(model, inputs(of_duels(core, 1), raw=True), model_version=version)
    assert refused.value.status() == status
    with pytest.raises(triton.InferenceServerException, match="There is no"):
        duels.get_model_metadata(model, version)


def test_what_is_wrong_reaches_the_client_as_a_sentence(duels: Any, core: Core) -> None:
    columns = of_duels(core, 2)
    columns["move_a"] = columns["move_a"][:1]
    with pytest.raises(triton.InferenceServerException, match="number of rows"):
        duels.infer("battle", inputs(columns, raw=True))
    outputs = [triton.InferRequestedOutput("probabilities", class_count=2)]
    with pytest.raises(triton.InferenceServerException, match="classification"):
        duels.infer("battle", inputs(of_duels(core, 1), raw=True), outputs=outputs)
    with pytest.raises(triton.InferenceServerException):
        duels.get_model_repository_index()
    assert duels.infer("battle", inputs(of_duels(core, 1), raw=True))


def test_many_requests_at_once(server: servers.Process, core: Core) -> None:
    with triton.InferenceServerClient(server.rest.removeprefix("http://"), concurrency=8) as client:
        waiting = [client.async_infer("battle", inputs(of_duels(core, n), raw=n % 2 == 0)) for n in range(1, 33)]
        for n, answer in enumerate(waiting, 1):
            assert answer.get_result().as_numpy("probabilities")[:, 1] == pytest.approx(expected(core, n), abs=1e-5)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("raw", [False, True])
def test_the_aio_client(server: servers.Process, core: Core, raw: bool, packing: str | None) -> None:
    async def session() -> Any:
        async with triton_aio.InferenceServerClient(server.rest.removeprefix("http://")) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("battle"))["versions"] == ["1"]
            return await client.infer(
                "battle",
                inputs(of_duels(core, 64), raw=raw),
                outputs=[triton.InferRequestedOutput("probabilities", binary_data=raw)],
                request_compression_algorithm=packing,
                response_compression_algorithm=packing,
            )

    answer = asyncio.run(session())
    assert answer.as_numpy("probabilities")[:, 1] == pytest.approx(expected(core, 64), abs=1e-5)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("rows", [1, 1000])
def test_a_matrix(classifier: servers.Process, tabular_core: Callable[[Kind], Core], rows: int, raw: bool) -> None:
    core = tabular_core("classifier")
    # In JSON there is no NaN, so a missing value can be sent in bytes only.
    sample = [row for row in core.contract.parity.rows if raw or None not in row]
    known = [core.contract.parity.expected[core.contract.parity.rows.index(row)][-1] for row in sample]
    times = -(-rows // len(sample))
    matrix = np.array([[np.nan if value is None else value for value in row] for row in sample] * times, np.float32)
    with triton.InferenceServerClient(classifier.rest.removeprefix("http://")) as client:
        outputs = [triton.InferRequestedOutput(name, binary_data=raw) for name in ("label", "probabilities")]
        answer = client.infer("classifier", inputs({"input": matrix[:rows]}, raw=raw), outputs=outputs)
    p = answer.as_numpy("probabilities")
    assert p.shape == (rows, 2)
    assert p[:, 1] == pytest.approx((known * times)[:rows], abs=1e-5)
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("label").ravel()]
    assert labels == ["leaves" if value >= 0.5 else "stays" for value in p[:, 1]]


@pytest.mark.parametrize("raw", [False, True])
def test_columns_of_text_and_numbers(
    pipeline: servers.Process, tabular_core: Callable[[Kind], Core], raw: bool
) -> None:
    core = tabular_core("pipeline")
    kinds: dict[str, Any] = {"BYTES": np.object_, "FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
    made = []
    for place, spec in enumerate(core.adapter.inputs):
        values: NDArray[Any] = np.array([[row[place]] for row in core.contract.parity.rows], kinds[spec.datatype])
        made.append(triton.InferInput(spec.name, list(values.shape), spec.datatype))
        made[-1].set_data_from_numpy(values, binary_data=raw)
    with triton.InferenceServerClient(pipeline.rest.removeprefix("http://")) as client:
        p = client.infer("pipeline", made).as_numpy("probabilities")
    assert p[:, -1] == pytest.approx(expected(core, len(p)), abs=1e-5)


def test_raw_deflate_and_a_bomb(client: httpx.Client, core: Core) -> None:
    path, headers = "/v2/models/battle/infer", {"content-encoding": "deflate"}
    tensors = [
        {"name": name, "datatype": "BYTES", "shape": [1, 1], "data": values[0].tolist()}
        for name, values in of_duels(core, 1).items()
    ]
    body = zlib.compress(orjson.dumps({"inputs": tensors}))
    assert client.post(path, content=body, headers=headers).status_code == 200
    assert client.post(path, content=body[2:-4], headers=headers).status_code == 200
    refused = client.post(path, content=zlib.compress(bytes(64 << 20)), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    refused = client.post(path, content=body, headers={"content-encoding": "br"})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
    assert client.post(path, content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v2/repository/index", "/v2/models", "/v2/models/battle/config", "/v2/models/battle/x"]
)
def test_what_is_not_part_of_it_is_not_found(client: httpx.Client, path: str) -> None:
    for answer in (client.get(path), client.post(path, content=b"{}")):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_error_has_the_error_shape(client: httpx.Client) -> None:
    for path, body, status in [
        ("/v2/models/battle/infer", b"", 400),
        ("/v2/models/battle/infer", b"{}", 422),
        ("/v2/models/battle/infer", b"[" * 100_000, 422),
        ("/v2/models/other/infer", b"{}", 404),
        ("/v2/health/live", b"", 405),
        ("/v2", b"", 405),
    ]:
        answer = client.post(path, content=body)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "code", "details"}
