"""Golden pairs: rows whose truth is known, asked of a pod of each track, before a user meets the new version."""

import gzip
import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from k8s.rollout.analysis import Golden, Pairs
from k8s.rollout.api import Answer, Api
from k8s.rollout.errors import Silent, Unreachable
from k8s.rollout.evidence.pods import ADMIN, ask
from k8s.rollout.live import Pod

HTTP: Final = 3000
MOST: Final = 400
"""Rows that are asked; each takes some 10 ms on its way through the API server."""
_THREADS: Final = 4
_ANSWER_S: Final = 10.0
_TRIES: Final = 3
_EQUAL: Final = 1e-9


@dataclass(frozen=True)
class Said:
    """What one version said of one row.

    Attributes:
        label: recommended attack, class, or empty for a value.
        score: its probability, or the value.
        version: of the model that the answer names.
    """

    label: str
    score: float
    version: str = ""


@dataclass(frozen=True)
class Compared:
    """Golden rows, answered by both.

    Attributes:
        golden: for the statistics.
        refused: rows that stable answers and the canary does not.
        sentence: of the first such row.
        versions: that the canary's answers name.
    """

    golden: Golden
    refused: int
    sentence: str
    versions: frozenset[str]


def rows(api: Api, pod: Pod) -> list[dict[str, Any]]:
    """Golden requests of a pod's bundle; none where it has none.

    Raises:
        Unreachable: the pod does not answer.
    """
    answer = api.send("GET", api.pod(pod.name, ADMIN, "/golden"))
    if answer.status == 404:
        return []
    if answer.status != 200:
        raise Unreachable(f"/golden of {pod.name} answered with status {answer.status}.")
    body = gzip.decompress(answer.body) if answer.body[:2] == b"\x1f\x8b" else answer.body
    found: list[dict[str, Any]] = json.loads(body)["requests"]
    # Every so many, since neighbours in the file are alike.
    return found[:: max(1, -(-len(found) // MOST))]


def compare(api: Api, stable: Pod, canary: Pod, asked: list[dict[str, Any]]) -> Compared:
    """Ask both pods each row, as traffic that is marked and counts in no objective.

    Raises:
        Silent: stable answers a row, and the canary gives no answer at all.
        Unreachable: stable does not answer its own rows.
    """
    marks = {pod.name: mark(api, pod) for pod in (stable, canary)}

    def both(row: dict[str, Any]) -> tuple[Said | str, Said | str]:
        ours = say(api, stable, row["request"], marks[stable.name])
        try:
            return ours, say(api, canary, row["request"], marks[canary.name])
        except Unreachable as error:
            raise Silent(f"{canary.name} gives no answer to a request that {stable.name} answers: {error}") from None

    with ThreadPoolExecutor(_THREADS) as threads:
        # Once one raises, `map` cancels those that wait: a canary that hangs is not asked row after row.
        return judge(asked, list(threads.map(both, asked)))


def judge(asked: list[dict[str, Any]], answers: list[tuple[Said | str, Said | str]]) -> Compared:
    """Compare answers; a string is a refusal's sentence. A row that stable refuses says nothing of the canary.

    Raises:
        Unreachable: stable answered none.
    """
    known = [(row, ours, theirs) for row, (ours, theirs) in zip(asked, answers, strict=True) if isinstance(ours, Said)]
    if not known:
        raise Unreachable(f"Stable answered none of its {len(asked)} golden rows: {answers[0][0]}")
    told = [(row, ours, theirs) for row, ours, theirs in known if isinstance(theirs, Said)]
    refused = [theirs for _, _, theirs in known if isinstance(theirs, str)]
    differences = [theirs.score - ours.score for _, ours, theirs in told]
    right = [(right_of(row, ours), right_of(row, theirs)) for row, ours, theirs in told]
    pairs = Pairs(
        pairs=len(told),
        flips=sum(ours.label != theirs.label for _, ours, theirs in told),
        difference_sum=sum(differences),
        difference_squares=sum(each * each for each in differences),
    )
    golden = Golden(
        pairs,
        stable_only_right=sum(ours and not theirs for ours, theirs in right),
        canary_only_right=sum(theirs and not ours for ours, theirs in right),
    )
    versions = frozenset(theirs.version for _, _, theirs in told)
    return Compared(golden, len(refused), refused[0] if refused else "", versions)


def right_of(row: dict[str, Any], said: Said) -> bool:
    """Whether the answer is the truth: the attack that does best against the best reply, or the class that came true.

    A value is never right or wrong; its pairs tell.
    """
    truth = row["truth"]
    if "win_rates" in truth:
        worth = [min(replies) for replies in truth["win_rates"]]
        moves = row["request"]["available_moves_a"]
        return said.label in moves and worth[moves.index(said.label)] >= max(worth) - _EQUAL
    return bool(said.label) and said.label == str(truth["outcome"])


def mark(api: Api, pod: Pod) -> dict[str, str]:
    """The header that marks traffic as golden, signed by the pod that will be asked.

    Raises:
        Unreachable: it gives none.
    """
    given = ask(api, pod, "/mark/golden", "POST")
    return {str(given["header"]): str(given["mark"])}


def say(api: Api, pod: Pod, request: dict[str, Any], marked: dict[str, str]) -> Said | str:
    """What a pod answers to a row, or the sentence of its refusal.

    Raises:
        Unreachable: it gave no answer, several times, which is no refusal.
    """
    route = "/predict" if "records" in request else "/predict/battle"
    answer = _asked(api, api.pod(pod.name, HTTP, route), request, marked)
    try:
        body = json.loads(answer.body)
        if answer.status != 200:
            return f"{pod.name} answered {route} with status {answer.status}: {body['error']}"
        said = read(body)
    except (AttributeError, LookupError, TypeError, ValueError):
        return f"{pod.name} answered {route} with status {answer.status}, in no form that it should have"
    if not math.isfinite(said.score):
        return f"{pod.name} answered {route} with a score that is no number"
    return said


def _asked(api: Api, path: str, request: dict[str, Any], marked: dict[str, str]) -> Answer:
    for _ in range(_TRIES - 1):
        with suppress(Unreachable):
            return _once(api, path, request, marked)
    return _once(api, path, request, marked)


def _once(api: Api, path: str, request: dict[str, Any], marked: dict[str, str]) -> Answer:
    """An answer of the pod's own; the API server's, of a pod that is going or gone, is none."""
    answer = api.send("POST", path, request, marked, _ANSWER_S)
    if answer.status >= 400:
        with suppress(ValueError, AttributeError):
            body = json.loads(answer.body)
            if body.get("kind") == "Status" and body.get("apiVersion") == "v1":
                raise Unreachable(f"{path} gave no answer: {body.get('message', f'status {answer.status}')}.")
    return answer


def read(body: dict[str, Any]) -> Said:
    """Label and score of an answer of the battle or the records route."""
    version = str(body["model"]["version"])
    if "recommended_move" in body:
        return Said(body["recommended_move"], float(body["win_probability"]), version)
    row = body["predictions"][0]
    if "value" in row:
        return Said("", float(row["value"]), version)
    probabilities = row["probabilities"]
    numbers = list(probabilities.values()) if isinstance(probabilities, dict) else list(probabilities)
    return Said(str(row["label"]), float(numbers[-1] if len(numbers) == 2 else max(numbers)), version)
