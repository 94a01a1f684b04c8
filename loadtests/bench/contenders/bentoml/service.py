"""The model as a BentoML service, written the way BentoML's documentation writes one."""

import os

import bentoml
import numpy as np
import xgboost as xgb


@bentoml.service(workers=1)
class Classifier:
    """Takes and gives numpy arrays."""

    def __init__(self) -> None:
        self.booster = xgb.Booster(model_file=os.environ["BENCH_MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]  # BentoML ships none for it
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probability of class 1 of every row [n, columns]."""
        probabilities: np.ndarray = self.booster.predict(xgb.DMatrix(rows))
        return probabilities
