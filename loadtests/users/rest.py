"""Users of the REST door."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from locust import FastHttpUser, task

from loadtests.requests import Battle
from loadtests.users import oip
from loadtests.users.answers import Ranking, Scored, WrongAnswer, check_battle, check_feedback, check_rows
from loadtests.users.base import TIMEOUT_SECONDS, PacedUser

_JSON = {"Content-Type": "application/json"}
Checked = TypeVar("Checked")


class RestUser(PacedUser, FastHttpUser):
    """Posts, and checks each answer; keeps its connection."""

    abstract = True
    network_timeout = TIMEOUT_SECONDS
    connection_timeout = TIMEOUT_SECONDS

    def on_stop(self) -> None:
        """Close the connection."""
        self.client.client.close()

    def post(
        self, path: str, door: str, message: oip.Message, check: Callable[[bytes, dict[str, str]], Checked]
    ) -> Checked | None:
        """Send a request and count it.

        Args:
            path: of the route.
            door: what it is counted as.
            message: to send.
            check: reads the body and the headers of a 200; raises WrongAnswer.

        Returns:
            What ``check`` does; None after a failure.
        """
        headers = {**message.headers, **self.plan.headers}
        # Locust's annotation leaves bytes out; it sends them as they are.
        body: Any = message.body
        with self.client.post(
            path, name=f"{path} ({door})", data=body, headers=headers, catch_response=True, context={"door": door}
        ) as answer:
            error = getattr(answer, "error", None) or answer.request_meta["exception"]
            if answer.status_code != 200:
                answer.failure(self.fail(*_refusal(answer.status_code, answer.content, error)))
                return None
            if error is not None:
                answer.failure(self.fail(type(error).__name__, str(error)))
                return None
            try:
                checked = check(answer.content or b"", dict(answer.headers.items() if answer.headers else ()))
            except WrongAnswer as wrong:
                answer.failure(self.fail(f"wrong answer: {wrong.kind}", wrong.detail))
                return None
            self.failed = False
            answer.success()
            return checked


class BattleUser(RestUser):
    """Asks which attack to use, and tells of some answers how the duel went."""

    weight = 6
    door = "battle"

    @task
    def ask(self) -> None:
        """One battle request, and perhaps its outcome."""
        battle = next(self.plan.battles)
        message = oip.Message(json.dumps(battle.body()).encode(), _JSON)
        ranking = self.post("/predict/battle", self.door, message, lambda body, _: check_battle(battle, decoded(body)))
        if ranking is None:
            return
        self.plan.tally.saw(ranking.model, ranking.version)
        if self.plan.rng.random() < self.plan.feedback:
            self.tell(ranking)

    def tell(self, ranking: Ranking) -> None:
        """Send an outcome that is drawn by the answer's own probability, so that it says nothing of its accuracy."""
        outcome = {
            "prediction_id": ranking.prediction_id,
            "outcome": "a" if self.plan.rng.random() < ranking.p else "b",
            "move_a": ranking.move,
            "move_b": ranking.reply,
        }
        message = oip.Message(json.dumps(outcome).encode(), _JSON)
        self.post("/feedback", "feedback", message, lambda body, _: check_feedback(decoded(body)))


class OipUser(RestUser):
    """Asks for rows by the Open Inference Protocol."""

    abstract = True

    def build(self, ident: str, battle: Battle) -> oip.Message:
        """The request for all pairings of a battle."""
        raise NotImplementedError

    @task
    def ask(self) -> None:
        """One inference request."""
        battle, ident = next(self.plan.batches), self.next_ident()
        rows = battle.rows()

        def check(body: bytes, headers: dict[str, str]) -> Scored:
            scored = oip.scored(body, headers)
            check_rows(ident, rows, scored)
            return scored

        scored = self.post(f"/v2/models/{self.plan.model}/infer", self.door, self.build(ident, battle), check)
        if scored is not None:
            self.plan.tally.saw(scored.model, scored.version)


class OipJsonUser(OipUser):
    """With tensors as JSON."""

    weight = 2
    door = "oip-json"

    def build(self, ident: str, battle: Battle) -> oip.Message:
        """The request for all pairings of a battle."""
        return oip.as_json(ident, battle.rows())


class OipBinaryUser(OipUser):
    """With binary tensors, in and out."""

    weight = 2
    door = "oip-binary"

    def build(self, ident: str, battle: Battle) -> oip.Message:
        """The request for all pairings of a battle."""
        return oip.as_binary(ident, battle.rows())


def decoded(body: bytes) -> Any:
    """A body as JSON; raises WrongAnswer where it is none."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise WrongAnswer("no JSON", repr(body[:200])) from error


def _refusal(status: int, body: bytes | None, error: Exception | None) -> tuple[str, str]:
    if not status:
        return f"no answer: {type(error).__name__}", str(error)
    shown = (body or b"")[:200].decode(errors="replace")
    try:
        code = json.loads(body or b"")["code"]
    except (ValueError, KeyError, TypeError):
        code = "without an error code"
    return f"HTTP {status} {str(code)[:40]}", shown
