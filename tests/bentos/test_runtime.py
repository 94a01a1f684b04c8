import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.bundle import Bundle
from bentos.errors import ContractError, DigestError
from bentos.runtime import Features, Name, Runtime
from tests import bundles, servers

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

    def predict_with(self, name: Name, x: Features) -> NDArray[np.float64]:
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
