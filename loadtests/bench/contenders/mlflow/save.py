"""Saves the booster as an MLflow model with a signature."""

import argparse
import shutil
from pathlib import Path

import mlflow.xgboost
import numpy as np
import xgboost as xgb
from mlflow.models import infer_signature


def main() -> None:
    """Write the folder that ``mlflow models serve`` takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ubj", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    booster = xgb.Booster(model_file=options.ubj)
    rows = np.load(options.rows)[:1]
    shutil.rmtree(options.out, ignore_errors=True)
    signature = infer_signature(rows, booster.inplace_predict(rows))
    mlflow.xgboost.save_model(booster, options.out, signature=signature, pip_requirements=["mlflow", "xgboost"])


if __name__ == "__main__":
    main()
