"""What the gate said, in the three shapes it is kept in: a document, tags on the version, and a table for people."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from bentos.contract import Expectation

if TYPE_CHECKING:
    from rich.table import Table

FILE = "gate.json"
NO_VERSION = "none"
"""How a tag spells that there was no champion."""

TAG = "gate.verdict"
PENDING = {TAG: "pending"}
WITHDRAWN = {TAG: "withdrawn"}
"""Written before judging: a gate that dies on the way leaves no older yes beside facts that no longer hold."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Criterion(_Part):
    """One thing the gate asks.

    Attributes:
        name: what is asked, in a few words with the unit.
        challenger, champion: both versions' own figures; None where a figure needs both or there is no champion.
        judged: the figure that is held against the bound.
        measure: what that figure is.
        relation: how ``judged`` must stand to ``bound``.
    """

    name: str
    challenger: float | None
    champion: float | None
    judged: float
    measure: str
    relation: Literal["≤", "≥"]
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the bound holds; NaN never passes."""
        return self.judged <= self.bound if self.relation == "≤" else self.judged >= self.bound

    def reason(self) -> str:
        """What is asked, the figure and its bound, in one line."""
        return f"{self.name}: {_figure(self.judged)}, asked {self.relation} {_figure(self.bound)}"


class Verdict(_Part):
    """The gate's answer on one version.

    Attributes:
        model, version: what was judged.
        against: the version it was compared with; None where there was no champion and only floors were asked.
        dataset_digest: SHA-256 of the replay set.
        pairings, clusters: size of the replay set, and how many unordered species pairs it has.
        confidence: of each one-sided bound.
        expectation: how differently the version answers from ``against``; goes into the bundle's contract.
        created: UTC.
    """

    model: str
    version: str
    against: str | None
    dataset_digest: str
    pairings: int
    clusters: int
    confidence: float
    criteria: list[Criterion]
    expectation: Expectation | None
    created: AwareDatetime

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return all(criterion.passed for criterion in self.criteria)

    def sentence(self) -> str:
        """The answer, with what it rests on when it is a no."""
        if self.passed:
            return f"Yes: version {self.version} may be promoted (pdx promote {self.version})."
        failed = [c.name for c in self.criteria if not c.passed]
        no = f"No: version {self.version} fails on {', '.join(failed)}."
        if all(name.endswith(", ms") for name in failed):
            no += " If the machine is slow or busy, PDX_GATE_SLOWDOWN=3 allows three times as much."
        return no

    def table(self) -> "Table":
        """The criteria as a Rich table, each with both figures and the bound."""
        from rich.table import Table

        against = f"version {self.against}" if self.against else "no champion"
        table = Table(title=f"{self.model}: version {self.version} against {against}")
        table.add_column("criterion")
        for column in ("challenger", "champion", "judged", "bound"):
            table.add_column(column, justify="right")
        table.add_column("what is judged")
        table.add_column("")
        for c in self.criteria:
            colour, word = ("green", "yes") if c.passed else ("red", "no")
            table.add_row(
                c.name,
                _figure(c.challenger),
                _figure(c.champion),
                _figure(c.judged),
                f"{c.relation} {_figure(c.bound)}",
                c.measure,
                f"[{colour}]{word}[/]",
            )
        return table

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read back what ``document`` wrote.

        Raises:
            ValueError: it is anything else.
        """
        body = json.loads(text)
        try:
            del body["passed"]
            for criterion in body["criteria"]:
                del criterion["passed"]
        except (KeyError, TypeError) as error:
            raise ValueError("this is not a verdict of the gate") from error
        return cls.model_validate(body)

    def document(self) -> dict[str, object]:
        """For JSON, with the answer and each criterion's spelled out."""
        body = self.model_dump(mode="json")
        for dumped, criterion in zip(body["criteria"], self.criteria, strict=True):
            dumped["passed"] = criterion.passed
        return {"passed": self.passed, **body}


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


class Stamp(BaseModel):
    """The part of a verdict that a promotion asks for, as one tag on the version.

    One tag, because tags are written one by one: of two gates that judge a version at once, the stamp is that of one.

    Attributes:
        passed: the answer.
        against: the champion of then, None where there was none.
        dataset_digest: of the replay set.
        created: ISO 8601, UTC.
        reasons: why it is a no, a line for each criterion that does not hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    passed: bool
    against: str | None
    dataset_digest: str
    created: str
    reasons: tuple[str, ...] = ()

    @classmethod
    def on(cls, verdict: Verdict) -> Self:
        """The stamp of a verdict."""
        return cls(
            passed=verdict.passed,
            against=verdict.against,
            dataset_digest=verdict.dataset_digest,
            created=verdict.created.isoformat(timespec="seconds"),
            reasons=tuple(criterion.reason() for criterion in verdict.criteria if not criterion.passed),
        )

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self | None:
        """Read it back; None where the gate never finished judging the version, or its verdict was withdrawn."""
        try:
            return cls.model_validate_json(tags.get(TAG, ""))
        except ValidationError:
            return None

    def tags(self) -> dict[str, str]:
        """The tag."""
        return {TAG: self.model_dump_json()}
