import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.adapter import Features, Feed
from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.bundle import Bundle
from bentos.errors import ContractError, DigestError
from bentos.runtime import Name, Runtime
from tests import bundles, servers, tabular

IMPORTED = """
import sys
from pathlib import Path
from bentos.core import Core
Core.open(Path(sys.argv[1]))
print("xgboost" in sys.modules)
"""


@pytest.fixture(scope="module")
def x() -> features.Matrix:
    dex = Dex.load(bundles.DEX)
    return features.rows(dex, *bundles.legal_rows(dex, 500, seed=5))


class Recording(Runtime):
    """Remembers which runtime a batch went to."""

    def __init__(self, bundle: Bundle) -> None:
        self.asked: list[Name] = []
        super().__init__(bundle)

    def predict_with(self, name: Name, x: Features | Feed) -> NDArray[np.float64]:
        self.asked.append(name)
        return super().predict_with(name, x)


def test_both_runtimes_answer_alike_in_float64(bundle: Path, x: features.Matrix) -> None:
    runtime = Runtime(Bundle.load(bundle))
    assert runtime.names == ("onnx", "xgboost")
    onnx, booster = (runtime.predict_with(name, x.x) for name in runtime.names)
    assert onnx.shape == booster.shape == (500,)
    assert onnx.dtype == booster.dtype == np.float64
    assert np.max(np.abs(onnx - booster)) < 1e-5
    assert np.ptp(onnx) > 0.3


def test_the_crossover_decides(bundle: Path, x: features.Matrix) -> None:
    runtime = Recording(Bundle.load(bundle))
    runtime.predict(x.x[: bundles.CROSSOVER - 1])
    runtime.predict(x.x[: bundles.CROSSOVER])
    assert runtime.asked == ["onnx", "xgboost"]


def test_any_layout_and_float_type_of_rows_is_taken(bundle: Path, x: features.Matrix) -> None:
    runtime = Runtime(Bundle.load(bundle))
    for name in runtime.names:
        plain = runtime.predict_with(name, x.x)
        assert np.array_equal(plain, runtime.predict_with(name, np.asfortranarray(x.x)))
        assert np.array_equal(plain, runtime.predict_with(name, x.x.astype(np.float64)))


@pytest.mark.parametrize(("booster", "printed"), [(True, "True"), (False, "False")])
def test_xgboost_is_loaded_only_for_a_bundle_that_has_a_booster(tmp_path: Path, booster: bool, printed: str) -> None:
    folder = bundles.write(tmp_path / "bundle", booster=booster)
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, folder], env=servers.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == printed


def test_a_crossover_without_a_booster_is_refused(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", booster=False, runtime={"crossover_rows": 10})
    with pytest.raises(ContractError, match=r"crossover to XGBoost but lists no model.ubj"):
        Runtime(Bundle.load(folder))


def test_tensors_of_other_names_are_refused(tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", runtime={"onnx_output": "scores"})
    with pytest.raises(
        ContractError, match=r"maps input to label, probabilities, and the contract says input to scores"
    ):
        Runtime(Bundle.load(folder))


@pytest.mark.parametrize("name", ["model.onnx", "model.ubj"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    folder = bundles.write(tmp_path / "bundle")
    (folder / name).write_bytes(b"{nonsense")
    bundles.seal(folder)
    with pytest.raises(DigestError, match=rf"cannot load {name}") as refused:
        Runtime(Bundle.load(folder))
    assert str(tmp_path) not in str(refused.value)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline of text and numbers that ends in XGBoost: preprocess.onnx feeds model.ubj."""
    return tabular.write_split(tmp_path_factory.mktemp("split") / "bundle")


def feed(rows: int) -> dict[str, NDArray[Any]]:
    frame = tabular.split_sample().frame.head(rows)
    return {name: frame[[name]].to_numpy(object if name == "city" else np.float64) for name in frame.columns}


def test_columns_are_fed_through_the_preprocessing_to_the_booster(split: Path) -> None:
    runtime = Runtime(Bundle.load(split))
    assert runtime.names == ("onnx", "xgboost")
    sample = tabular.split_sample()
    expected = sample.model.predict_proba(sample.frame)[:, 1]
    for name in runtime.names:
        assert np.abs(runtime.predict_with(name, feed(len(sample.frame))) - expected).max() < 1e-5


def test_the_crossover_counts_the_rows_of_columns(split: Path) -> None:
    runtime = Recording(Bundle.load(split))
    runtime.predict(feed(tabular.CROSSOVER - 1))
    runtime.predict(feed(tabular.CROSSOVER))
    assert runtime.asked == ["onnx", "xgboost"]


@pytest.mark.parametrize(("kind", "shape"), [("classifier", (9,)), ("multiclass", (9, 3)), ("regressor", (9,))])
def test_the_shape_is_that_of_the_task(tmp_path: Path, kind: tabular.Kind, shape: tuple[int, ...]) -> None:
    runtime = Runtime(Bundle.load(tabular.write(kind, tmp_path / "bundle")))
    x = tabular.sample(kind).frame.head(9).to_numpy(np.float32)
    assert [runtime.predict_with(name, x).shape for name in runtime.names] == [shape, shape]


@pytest.mark.parametrize(
    ("kind", "plan", "sentence"),
    [
        ("pipeline", {"onnx_inputs": "matrix"}, r"maps age, visits, spend, city to .*, and the contract says input to"),
        ("classifier", {"onnx_inputs": "columns"}, r"maps input to .* says age, visits, member, spend to prob"),
        ("classifier", {"input_dtype": "float64"}, r"takes tensor\(float\), and the contract says float64"),
        ("classifier", {"ubj_input": "onnx_preprocessing"}, r"lists no preprocess.onnx"),
    ],
)
def test_a_graph_that_the_plan_does_not_fit_is_refused(
    tmp_path: Path, kind: tabular.Kind, plan: dict[str, Any], sentence: str
) -> None:
    bundle = Bundle.load(tabular.write(kind, tmp_path / "bundle"))
    changed = bundle.contract.runtime.model_copy(update=plan)
    with pytest.raises(ContractError, match=sentence):
        Runtime(Bundle(bundle.folder, bundle.contract.model_copy(update={"runtime": changed})))
