"""What the gate said, in the three shapes it is kept in: a document, tags on the version, and a table for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bentos.contract import Expectation

if TYPE_CHECKING:
    from rich.table import Table

FILE = "gate.json"
NO_VERSION = "none"
"""How a tag spells that there was no champion."""

PENDING = {"gate.verdict": "pending"}
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
        return f"No: version {self.version} fails on {', '.join(c.name for c in self.criteria if not c.passed)}."

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


@dataclass(frozen=True, slots=True)
class Stamp:
    """The part of a verdict that a promotion asks for, as tags on the version.

    Attributes:
        created: ISO 8601, UTC.
    """

    passed: bool
    against: str | None
    dataset_digest: str
    created: str

    @classmethod
    def on(cls, verdict: Verdict) -> Self:
        """The stamp of a verdict."""
        created: datetime = verdict.created
        return cls(verdict.passed, verdict.against, verdict.dataset_digest, created.isoformat(timespec="seconds"))

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self | None:
        """Read the tags back; None where the gate never finished judging the version."""
        word = tags.get("gate.verdict")
        if word not in {"yes", "no"}:
            return None
        against = tags.get("gate.against", "")
        return cls(
            word == "yes",
            None if against == NO_VERSION else against,
            tags.get("gate.dataset_digest", ""),
            tags.get("gate.time", "an unknown day"),
        )

    def tags(self) -> dict[str, str]:
        """Tags in the order they are to be written: the answer last, once all it rests on is there."""
        return {
            "gate.against": self.against or NO_VERSION,
            "gate.dataset_digest": self.dataset_digest,
            "gate.time": self.created,
            "gate.verdict": "yes" if self.passed else "no",
        }
