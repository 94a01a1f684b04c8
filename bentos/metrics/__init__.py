"""The metrics of the serving process: one append a request, all else where nobody waits for it.

``Metrics.request`` appends one tuple to a ring. Whoever fills the ring folds it into arrays, vectorised; the scrape
folds the rest and renders. Labels and their value sets:

- ``model`` and ``version`` stand on every ``api_*`` and ``model_*`` series that a request moves, since the version is
  the key of a canary's verdict. ``api_requests_in_flight``, ``api_keys_reload_success`` and
  ``prediction_keys_reload_success`` are the process's own and have neither, so that they are there while the model
  still loads.
- ``transport`` is ``rest`` or ``grpc``; ``route`` a template of ``labels.ROUTES`` or ``other``; ``class`` is ``ok``, or
  says whose fault an error was, ``client`` or ``server``; ``code`` is the stable word of ``bentos.errors``, the same
  through either door. Requests have the route and errors the code: both on one family would be 500 series a pod.
- ``api_request_duration_seconds`` covers what was answered rightly, of the routes in ``labels.PREDICTING``; all others
  share the route ``other``.
- Requests of a cohort (shadow, golden, test, header) count in ``cohort_requests_total`` alone: no histogram, no bin,
  no prediction.
- The bins of a numeric column are intervals closed on the left, those of the others its categories. ``missing`` is NaN,
  ``unknown`` a category that the contract does not list; ``bins.of`` is the one function that places a value, for
  references as well.

- ``shadow_*`` say how another version's answers to copies of requests differ from ours: ``against`` is the version that
  answered, ``reason`` why a request that was drawn made no pair.

Every label set is known when the model is bound and starts at 0, as PromQL sees no increase in a series that is born
with its first event; only feedback for other versions than the one served adds series, eight versions at the most, and
so do the versions that copies are answered by, four series each of four at the most.
Series of one pod, S:

    api_requests_total               routes * 3 classes
    api_errors_total                 2 transports * (codes - 1)
    api_request_duration_seconds     (predicting routes + 2) * (edges + 3)
    cohort_requests_total            5 cohorts * 2 transports * 3 classes
    model_*_seconds, _score          their edges + 3
    model_input_bin_total, _ratio    two a bin: the inner edges + 2 of a number, the categories + 2 of others
    model_score_bin_total, _ratio    two a bin: the inner edges + 2

A pod of the flagship, with its six watched columns and ten score bins, has no more than 600 with the process's own;
tests/training/test_battle_watch.py counts them. Two columns of 188 categories each and ten score bins are 1,124, 256 of
them of the API, beside the process's own.
"""

import os

# ``bentoml serve`` sets it, and prometheus_client reads it once, when it is imported: its numbers would go to files.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
os.environ.pop("prometheus_multiproc_dir", None)

from bentos.metrics.collector import Metrics
from bentos.metrics.labels import (
    CANCELLED,
    CLASSES,
    CODES,
    COHORTS,
    DROPPED,
    EDGES,
    OK,
    OTHER,
    PREDICTING,
    REFUSED,
    RESULTS,
    ROUTES,
    class_of,
)

__all__ = [
    "CANCELLED",
    "CLASSES",
    "CODES",
    "COHORTS",
    "DROPPED",
    "EDGES",
    "OK",
    "OTHER",
    "PREDICTING",
    "REFUSED",
    "RESULTS",
    "ROUTES",
    "Metrics",
    "class_of",
]
