"""The model behind KServe's Python server, predicted as KServe's own XGBoost runtime does it."""

import argparse

import xgboost as xgb
from kserve import InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class XGBoostModel(Model):  # type: ignore[misc]  # its package is in this environment only
    """One booster."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.path = path

    def load(self) -> bool:
        """Read the booster."""
        self.booster = xgb.Booster(model_file=self.path)
        self.ready = True
        return True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:  # noqa: ARG002
        """Probability of class 1 of every row."""
        result = self.booster.predict(xgb.DMatrix(get_predict_input(payload)))
        return get_predict_response(payload, result, self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model", required=True)
    options, _ = parser.parse_known_args()
    model = XGBoostModel(options.model_name, options.model)
    model.load()
    ModelServer().start([model])
