"""One promotion at a time, although MLflow offers no compare-and-set.

Two locks, one inside the other:

1. Where the tracking URI is a database, one of that database: an advisory lock of PostgreSQL, or a file lock beside
   SQLite's file. A killed process gives it back at once.
2. On every store a claim: a tag of its own on the registered model. Who finds no other claim *after* writing its own
   may go on. Of two processes at least one writes before the other reads, so both cannot go on; the one with the
   smaller key keeps its claim and waits, the other withdraws and tries again, so that one of them does. This also
   keeps a process that goes through a tracking server apart from one that goes to the database.

A killed process leaves its claim, which lapses after ``CLAIM_LIFE_S``; its owner gives up at half of that, so clocks
of two machines may differ by the other half.
"""

import fcntl
import hashlib
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from training.registry import PromotionConflict, Registry

if TYPE_CHECKING:
    from sqlalchemy import URL

CLAIM = "promotion.claim."
CLAIM_LIFE_S = 120.0
WAIT_S = 30.0
_POLL_S = 0.05


class Claim:
    """The right to promote, as long as ``check`` does not object."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.key = f"{CLAIM}{uuid.uuid4().hex[:16]}"
        self._until = 0.0

    def write(self) -> None:
        """Lay the claim, or renew it."""
        self._until = time.monotonic() + CLAIM_LIFE_S / 2
        self._registry.set_model_tag(self.key, datetime.now(UTC).isoformat(timespec="milliseconds"))

    def withdraw(self) -> None:
        """Take the claim back."""
        self._registry.delete_model_tag(self.key)

    def others(self) -> dict[str, str]:
        """Claims of others that have not lapsed, by key, with the time they were laid; lapsed ones are removed."""
        living = {}
        for key, laid in self._registry.model_tags().items():
            if not key.startswith(CLAIM) or key == self.key:
                continue
            if _age_s(laid) < CLAIM_LIFE_S:
                living[key] = laid
            else:
                self._registry.delete_model_tag(key)
        return living

    def check(self) -> None:
        """Make sure that the claim still stands, right before what it protects is written.

        Raises:
            PromotionConflict: it is too old, or somebody removed it.
        """
        if time.monotonic() > self._until or self.key not in self._registry.model_tags():
            raise PromotionConflict("The registry answered too slowly for a promotion to be safe; nothing was changed.")


def _age_s(laid: str) -> float:
    """Age of a claim in seconds; one that nobody can read has lapsed."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(laid)).total_seconds()
    except (TypeError, ValueError):
        return CLAIM_LIFE_S


@contextmanager
def exclusive(registry: Registry, wait_s: float = WAIT_S) -> Iterator[Claim]:
    """Keep every other promotion of this model out; waits up to ``wait_s`` seconds for one that is under way.

    Raises:
        PromotionConflict: it took longer.
        RegistryError: nothing was ever registered.
    """
    if wait_s >= CLAIM_LIFE_S / 2:
        raise ValueError("a claim would lapse while its owner waits")
    registry.model_tags()
    deadline = time.monotonic() + wait_s
    with database_lock(registry.tracking_uri, registry.name, deadline):
        claim = Claim(registry)
        claim.write()
        try:
            while others := claim.others():
                if time.monotonic() > deadline:
                    raise PromotionConflict(
                        f"Another promotion of {registry.name} is under way since {min(others.values())}; "
                        f"if its process died, it lapses {CLAIM_LIFE_S:.0f} s after that."
                    )
                if min(others) < claim.key:
                    claim.withdraw()
                    time.sleep(_POLL_S * (1 + random.random()))  # noqa: S311  (spreads retries, hides nothing)
                    claim.write()
                else:
                    time.sleep(_POLL_S)
            yield claim
        finally:
            claim.withdraw()


@contextmanager
def database_lock(tracking_uri: str, name: str, deadline: float) -> Iterator[bool]:
    """Hold the database's own lock until the block ends; yields False where the URI is no database that has one.

    Args:
        tracking_uri: MLflow's tracking URI.
        name: what is locked; other names do not wait for it.
        deadline: of ``time.monotonic()``, in seconds, until when to wait.

    Raises:
        PromotionConflict: another process held it all the time.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(tracking_uri)
    except ArgumentError:  # a folder: MLflow's file store
        url = None
    backend = url.get_backend_name() if url is not None else None
    if url is not None and backend == "sqlite" and url.database and url.database != ":memory:":
        with _file_lock(Path(f"{url.database}.{name}.lock"), deadline):
            yield True
    elif url is not None and backend == "postgresql":
        with _advisory_lock(url, name, deadline):
            yield True
    else:
        yield False


@contextmanager
def _file_lock(file: Path, deadline: float) -> Iterator[None]:
    with file.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait(deadline)
        yield


@contextmanager
def _advisory_lock(url: "URL", name: str, deadline: float) -> Iterator[None]:
    """The lock belongs to the session, so it ends with the connection, however that ends."""
    from sqlalchemy import NullPool, create_engine, text

    digest = hashlib.sha256(f"predictiondex|promotion|{name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
            _wait(deadline)
        yield


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise PromotionConflict("Another promotion holds the lock of the tracking database; try again after it.")
    time.sleep(_POLL_S)
