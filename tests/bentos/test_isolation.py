"""Serving runs where the training packages are not."""

import subprocess
import sys
from pathlib import Path

from tests import servers

PROGRAM = """
import sys

BLOCKED = {"mlflow", "sklearn", "pandas", "pyarrow", "training"}


class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            # As where it is not installed: XGBoost asks for two of them, and does without.
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Block())

from pathlib import Path

import bentos.service
from bentos.core import Core

answer = Core.open(Path(sys.argv[1])).battle("pikachu", "blastoise")
print(answer.recommended_move, bentos.service.bento_service().name)
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""


def test_the_service_answers_with_the_training_packages_blocked(bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, bundle],
        env=servers.environment(), cwd=servers.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    move, name = done.stdout.split()
    assert (move.isalnum(), name) == (True, "predictiondex")
