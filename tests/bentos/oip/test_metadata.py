import tomllib
from collections.abc import Callable

from bentos.core import Core
from bentos.oip import metadata
from tests.servers import ROOT
from tests.tabular import Kind


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"]) == (metadata.NAME, metadata.VERSION)


def test_the_server_names_what_it_adds_to_the_protocol() -> None:
    assert metadata.server()["extensions"] == ["binary_tensor_data", "parameters"]


def test_a_duel_takes_four_names_a_row(core: Core) -> None:
    names = ["pokemon_a", "move_a", "pokemon_b", "move_b"]
    assert metadata.model(core) == {
        "name": "battle",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1, 1]} for name in names],
        "outputs": [
            {"name": output.name, "datatype": output.datatype, "shape": [-1, output.columns]}
            for output in core.contract.outputs
        ],
    }


def test_a_matrix_and_columns(tabular_core: Callable[[Kind], Core]) -> None:
    assert metadata.model(tabular_core("classifier"))["inputs"] == [
        {"name": "input", "datatype": "FP32", "shape": [-1, 4]}
    ]
    inputs = metadata.model(tabular_core("pipeline"))["inputs"]
    assert {"name": "city", "datatype": "BYTES", "shape": [-1, 1]} in inputs
    assert len(inputs) == 4
