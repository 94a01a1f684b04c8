"""What the model said, how long it took, what it was asked about, and how it turned out."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from bentos.contract import Contract, ScoreBins, Task
from bentos.metrics import bins
from bentos.metrics.drift import Drift
from bentos.metrics.family import Family, Histogram, Labels, Number
from bentos.metrics.labels import CONFIDENCE_EDGES, MODEL_EDGES, OTHER, RESULTS
from bentos.metrics.shadow import Shadow
from bentos.metrics.traffic import Entry

_MOST_VERSIONS: Final = 8
"""Versions, beside the one that is served, whose feedback has series of its own."""


class Model:
    """The families of one bound model.

    Attributes:
        common: the labels that name it.
        feedback: outcomes of its predictions, and of its predecessors'.
        shadow: what another version answered to copies of its requests.
    """

    def __init__(self, contract: Contract, observed_per_second: float) -> None:
        self.common: Labels = {"model": contract.name, "version": contract.version}
        self._task = contract.task
        self._rows = Family("model_predictions_total", "Rows that were scored for users.")
        self._seconds = Histogram(
            "model_prediction_duration_seconds", "Time in the model and its calibration, a request.", MODEL_EDGES
        )
        self._confidence = Histogram(
            "model_confidence_score", "Probability of the answered class, one a request.", CONFIDENCE_EDGES
        )
        self._info = Family("model_info", "What is served.", [_info(contract)], "gauge")
        self._info.values[0] = 1
        self._created = Family(
            "model_created_timestamp_seconds", "When the model was made.", kind="gauge", dtype=np.float64
        )
        self._created.values[0] = contract.provenance.created.timestamp()
        self._offline = Family(
            "model_offline_accuracy_ratio", "What live accuracy is held against.", kind="gauge", dtype=np.float64
        )
        if contract.live_reference is not None:
            self._offline.values[0] = contract.live_reference.accuracy
        self._families = [self._rows, self._seconds, self._info, self._created]
        if contract.live_reference is not None:
            self._families.append(self._offline)
        if contract.task is not Task.REGRESSION:
            self._families.append(self._confidence)
        self._score = _Score(contract.score_bins) if contract.score_bins else None
        if self._score is not None:
            self._families += self._score.families
        for family in self._families:
            family.bind(self.common)
        self._drift = Drift(contract.monitored, self.common, observed_per_second)
        self.feedback = Feedback(contract)
        self.shadow = Shadow(self.common)

    @property
    def share(self) -> float:
        """Of the requests to come, how many should be observed."""
        return self._drift.share

    def fold(self, users: list[Entry], *, scrape: bool) -> None:
        """Count the predictions of requests; ``scrape`` says that ``numbers`` is asked next."""
        asked = [entry for entry in users if entry[5]]
        if not asked:
            return
        *_, rows, seconds, scores, observed = zip(*asked, strict=True)
        self._rows.values[0] += sum(rows)
        first = np.zeros(len(asked), np.intp)
        self._seconds.observe(first, np.array(seconds))
        score = np.array(scores)
        if self._score is not None:
            self._score.add(score)
        if self._task is not Task.REGRESSION:
            confident = np.maximum(score, 1.0 - score) if self._task is Task.BINARY else score
            # One NaN would make the sum of the histogram NaN for ever.
            confident = confident[np.isfinite(confident)]
            self._confidence.observe(first[: len(confident)], confident)
        self._drift.add([row for row in observed if row is not None], len(observed), wait=scrape)

    def numbers(self) -> Iterator[tuple[Family, Sequence[Number]]]:
        """Each family and its numbers."""
        for family in [*self._families, *self.feedback.families, *self.shadow.families]:
            yield family, family.numbers()
        yield from zip(self._drift.families, self._drift.numbers(), strict=True)


class _Score:
    """Bins of the score."""

    def __init__(self, watched: ScoreBins) -> None:
        self._bins = bins.of_score(watched)
        labels = [{"bin": name} for name in self._bins.names]
        self._counts = Family("model_score_bin_total", "Observed requests, by bin of the score.", labels)
        reference = Family("model_score_reference_ratio", "Reference share of a bin.", labels, "gauge", np.float64)
        reference.values[:] = self._bins.reference
        self.families = (self._counts, reference)

    def add(self, scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        self._counts.values += np.bincount(self._bins.place(scores), minlength=len(self._counts.values))


class Feedback:
    """Outcomes by the version that predicted, which need not be the one that is served."""

    def __init__(self, contract: Contract) -> None:
        self._model = contract.name
        self._classifies = contract.task is not Task.REGRESSION
        self._versions: list[str] = []
        self._outcomes: dict[tuple[str, str], int] = {}
        self._sums: dict[str, float] = {}
        self._know(contract.version)

    def add(self, version: str, result: str, brier: float | None, squared_error: float | None) -> None:
        """Count one outcome."""
        if version not in self._versions:
            if len(self._versions) > _MOST_VERSIONS:
                version = OTHER
            if version not in self._versions:
                self._know(version)
        self._outcomes[version, result if result in RESULTS else OTHER] += 1
        self._sums[version] += (brier if self._classifies else squared_error) or 0.0

    @property
    def families(self) -> list[Family]:
        """The families as they are now."""
        total = Family(
            "model_feedback_total",
            "Outcomes that were reported for predictions.",
            [{"version": version, "result": result} for version, result in self._outcomes],
        )
        total.values[:] = list(self._outcomes.values())
        name, text = (
            ("model_feedback_brier_sum", "Sum of the Brier scores of scored outcomes.")
            if self._classifies
            else ("model_feedback_squared_error_sum", "Sum of the squared errors of scored outcomes.")
        )
        labels = [{"version": version} for version in self._sums]
        # No counter: readers that go by types would give it the name of one, which ends in _total.
        sums = Family(name, text, labels, "untyped", np.float64)
        sums.values[:] = list(self._sums.values())
        for family in (total, sums):
            family.bind({"model": self._model})
        return [total, sums]

    def _know(self, version: str) -> None:
        self._versions.append(version)
        self._outcomes.update({(version, result): 0 for result in RESULTS})
        self._sums[version] = 0.0


def _info(contract: Contract) -> Labels:
    made = contract.provenance
    return {
        "adapter": contract.adapter,
        "task": contract.task.value,
        "algorithm": made.algorithm,
        "run_id": made.run_id,
        "git_commit": made.git_commit,
    }
