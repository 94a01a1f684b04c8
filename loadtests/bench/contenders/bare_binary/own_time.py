"""Prints how long XGBoost itself takes for a batch: JSON with the median, the fastest and the 99th percentile in ms."""

import argparse
import json
import sys
import time

import numpy as np
import xgboost as xgb


def main() -> None:
    """Predict the rows of a .npy file again and again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ubj", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    booster = xgb.Booster(model_file=options.ubj)
    rows = np.load(options.rows)
    for _ in range(20):
        booster.inplace_predict(rows)
    times = []
    end = time.perf_counter() + options.seconds
    while (begin := time.perf_counter()) < end:
        booster.inplace_predict(rows)
        times.append((time.perf_counter() - begin) * 1000)
    p50, p99 = np.percentile(times, [50, 99])
    json.dump({"p50_ms": p50, "p99_ms": p99, "fastest_ms": min(times), "batches": len(times)}, sys.stdout)


if __name__ == "__main__":
    main()
