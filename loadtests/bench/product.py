"""The bundle of the benchmark's model, as this project's own training exports it."""

from pathlib import Path
from typing import Final

from loadtests.bench.environments import run
from loadtests.bench.model import Model
from loadtests.bench.places import PYTHON, environment

# What a user's script would say. It runs in a process of its own: this folder imports nothing of the project.
_SCRIPT: Final = """
import sys
from pathlib import Path
import numpy as np
import xgboost as xgb
from training.export import ExportError
from training.tabular import export

ubj, rows, out = sys.argv[1:]
try:
    export(xgb.Booster(model_file=ubj), np.load(rows), name="model", version="1", out=Path(out))
except ExportError as error:
    sys.exit(str(error))
"""


def product_bundle(out: Path, model: Model) -> Path:
    """Export the model as a bundle with one FP32 tensor ``input`` [n, 133] into `out`; returns the folder.

    It is exported anew for every run, since the contract's form may have changed with the sources.

    Raises:
        InstallError: the export failed; the message says why.
    """
    run([str(PYTHON), "-c", _SCRIPT, str(model.ubj), str(model.rows_file), str(out)], env=environment())
    return out
