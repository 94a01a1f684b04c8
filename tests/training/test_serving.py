from pathlib import Path

import pytest

from bentos.contract import CONTRACT_FILE
from tests import bundles, killed
from tests.tracking import free_port
from training.serving import PYTHON, Ports, Serving, ServingError

needs_serving = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-serving; make .venv-serving/.ready makes it")


@needs_serving
def test_the_answer_comes_from_the_bundle_that_was_named(tmp_path: Path) -> None:
    ports = Ports(free_port(), free_port(), free_port())
    mine = bundles.write(tmp_path / "mine", version="7")
    # It is found again where somebody was killed who replaced it.
    killed.while_replacing(mine, CONTRACT_FILE)
    with Serving.start(mine, ports=ports) as serving:
        answer = serving.predict({"pokemon_a": "pikachu", "pokemon_b": "gyarados"})
        assert answer["model"]["version"] == "7"
        with pytest.raises(ServingError, match=r"no Pokémon called|422"):
            serving.predict({"pokemon_a": "missingno", "pokemon_b": "gyarados"})
        # Another one on the same ports must not take the answers of the first for its own.
        other = bundles.write(tmp_path / "other", version="8")
        with (
            pytest.raises(ServingError, match=r"Another server answers on this port|ended with status 78"),
            Serving.start(other, ports=ports),
        ):
            pytest.fail("the second server was taken for ready")


@needs_serving
def test_a_refused_bundle_is_one_sentence(tmp_path: Path) -> None:
    broken = bundles.write(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"not a model")
    with (
        pytest.raises(ServingError, match="ended with status 78 before it was ready"),
        Serving.start(broken, ports=Ports(free_port(), free_port(), free_port())),
    ):
        pytest.fail("a broken bundle was served")
