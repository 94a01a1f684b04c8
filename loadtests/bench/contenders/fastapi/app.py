"""The model behind FastAPI, written the way FastAPI's documentation writes a prediction route."""

import os

import numpy as np
import xgboost as xgb
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
booster = xgb.Booster(model_file=os.environ["BENCH_MODEL"])


class Request(BaseModel):
    """Rows of features [n, columns]."""

    rows: list[list[float]]


class Answer(BaseModel):
    """Probability of class 1 of every row."""

    probabilities: list[float]


@app.post("/predict")
def predict(request: Request) -> Answer:
    """Score every row."""
    rows = np.array(request.rows, dtype=np.float32)
    return Answer(probabilities=booster.predict(xgb.DMatrix(rows)).tolist())
