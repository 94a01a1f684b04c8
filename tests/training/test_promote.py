"""Promotion past the gate's verdict, and two processes that want it at the same time, on a real MLflow."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.tracking import log_run, model_name
from training import lock
from training.promote import promote, replaced_version
from training.registry import PromotionConflict, PromotionRefused, Registry, UnknownVersion
from training.verdict import Stamp

DIGEST = "d" * 64
STORES = ["tracking_database", "tracking_server"]


def stamp(passed: bool, against: str | None, digest: str) -> Stamp:
    return Stamp(passed=passed, against=against, dataset_digest=digest, created="2026-01-01T00:00:00+00:00")


def judged(registry: Registry, number: str, against: str | None, *, passed: bool = True, digest: str = DIGEST) -> None:
    registry.tag(number, stamp(passed, against, digest).tags())


def with_versions(uri: str, export: Path, count: int = 3, artifacts: Path | None = None) -> Registry:
    registry = Registry(uri, model_name())
    for _ in range(count):
        registry.register(log_run(uri, export, artifacts))
    return registry


@pytest.fixture
def registry(tracking_database: str, dummy_export: Path) -> Registry:
    return with_versions(tracking_database, dummy_export)


def claims(registry: Registry) -> list[str]:
    return [key for key in registry.model_tags() if key.startswith(lock.CLAIM)]


def test_yes_moves_the_alias_and_keeps_the_way_back(registry: Registry) -> None:
    judged(registry, "1", None)
    assert promote(registry, "1", DIGEST).replaced is None
    judged(registry, "2", "1")
    done = promote(registry, "2", DIGEST)
    assert (done.version, done.replaced, done.moved) == ("2", "1", True)
    assert registry.champion() == "2"
    assert replaced_version(registry) == "1"
    assert claims(registry) == []


def test_going_back_is_one_forced_promotion_with_its_reason_kept(registry: Registry) -> None:
    promote(registry, "1", DIGEST, why="first")
    promote(registry, "2", DIGEST, why="test")
    promote(registry, replaced_version(registry), DIGEST, why="2 is worse on fire types")
    assert registry.champion() == "1"
    assert registry.version("1").tags["promotion.forced_because"] == "2 is worse on fire types"
    assert replaced_version(registry) == "2"


def test_champion_is_not_promoted_again(registry: Registry) -> None:
    judged(registry, "1", None)
    promote(registry, "1", DIGEST)
    tags = registry.version("1").tags
    assert not promote(registry, "1", DIGEST).moved
    assert registry.version("1").tags == tags


def test_without_a_verdict_nothing_moves(registry: Registry) -> None:
    with pytest.raises(PromotionRefused, match="has not judged version 1"):
        promote(registry, "1", DIGEST)
    registry.tag("1", stamp(True, None, DIGEST).tags() | {"gate.verdict": "pending"})
    with pytest.raises(PromotionRefused, match="has not judged version 1"):
        promote(registry, "1", DIGEST)
    assert registry.champion() is None


def test_a_no_does_not_pass(registry: Registry) -> None:
    judged(registry, "1", None, passed=False)
    with pytest.raises(PromotionRefused, match="said no to version 1"):
        promote(registry, "1", DIGEST)
    assert registry.champion() is None


@pytest.mark.parametrize("against", [None, "3"])
def test_verdict_against_another_champion_does_not_pass(registry: Registry, against: str | None) -> None:
    promote(registry, "1", DIGEST, why="start")
    judged(registry, "2", against)
    with pytest.raises(PromotionConflict, match="The champion is version 1, but the gate compared version 2 with"):
        promote(registry, "2", DIGEST)
    assert registry.champion() == "1"


def test_verdict_on_another_replay_set_does_not_pass(registry: Registry) -> None:
    judged(registry, "1", None, digest="e" * 64)
    with pytest.raises(PromotionRefused, match="another replay set"):
        promote(registry, "1", DIGEST)
    assert registry.champion() is None


def test_unknown_version(registry: Registry) -> None:
    with pytest.raises(UnknownVersion, match="There is no version 9"):
        promote(registry, "9", DIGEST, why="any")


def test_living_claim_of_another_is_waited_for_and_then_respected(registry: Registry) -> None:
    registry.set_model_tag(f"{lock.CLAIM}0000", datetime.now(UTC).isoformat())
    with pytest.raises(PromotionConflict, match=r"Another promotion of .* is under way"):
        promote(registry, "1", DIGEST, why="any", wait_s=0.5)
    assert registry.champion() is None
    assert claims(registry) == [f"{lock.CLAIM}0000"]


@pytest.mark.parametrize("readable", [True, False])
def test_lapsed_claim_is_cleared_away(registry: Registry, readable: bool) -> None:
    lapsed = datetime.now(UTC) - timedelta(seconds=lock.CLAIM_LIFE_S + 1)
    registry.set_model_tag(f"{lock.CLAIM}0000", lapsed.isoformat() if readable else "?")
    assert promote(registry, "1", DIGEST, why="any").moved
    assert claims(registry) == []


def test_claim_that_was_removed_stops_its_owner_before_writing(registry: Registry) -> None:
    with lock.exclusive(registry) as claim:
        registry.delete_model_tag(claim.key)
        with pytest.raises(PromotionConflict, match="too slowly"):
            claim.check()


def test_waiting_longer_than_a_claim_is_safe_for_is_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="would lapse"), lock.exclusive(registry, lock.CLAIM_LIFE_S):
        pass


RACER = """
import sys
from training.promote import promote
from training.registry import PromotionConflict, Registry
registry = Registry(sys.argv[1], sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    try:
        print("moved" if promote(registry, line.strip(), sys.argv[3]).moved else "kept", flush=True)
    except PromotionConflict:
        print("conflict", flush=True)
"""


@contextmanager
def python(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs ``code`` and has said it is ready."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert hear(process) == "ready"
            yield process
        finally:
            process.kill()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_of_two_processes_exactly_one_promotes(store: str, request: pytest.FixtureRequest, dummy_export: Path) -> None:
    registry = with_versions(request.getfixturevalue(store), dummy_export)
    promote(registry, "1", DIGEST, why="start")
    with ExitStack() as stack:
        arguments = (registry.tracking_uri, registry.name, DIGEST)
        racers = [stack.enter_context(python(RACER, *arguments)) for _ in range(2)]
        for _ in range(4):
            champion = registry.champion()
            numbers = [number for number in ("1", "2", "3") if number != champion]
            for number in numbers:
                judged(registry, number, champion)
            for racer, number in zip(racers, numbers, strict=True):
                say(racer, number)
            outcomes = [hear(racer) for racer in racers]
            assert sorted(outcomes) == ["conflict", "moved"]
            assert registry.champion() == numbers[outcomes.index("moved")]
            assert registry.previous() == champion
            assert claims(registry) == []


HOLDER = """
import sys, time
from training.lock import database_lock
with database_lock(sys.argv[1], "battle", time.monotonic()) as locked:
    print("ready" if locked else "no lock", flush=True)
    sys.stdin.read()
"""


def held(uri: str, name: str = "battle", wait_s: float = 0.2) -> bool:
    try:
        with lock.database_lock(uri, name, time.monotonic() + wait_s) as locked:
            assert locked
            return False
    except PromotionConflict:
        return True


def assert_lock_ends_with_its_process(uri: str) -> None:
    with python(HOLDER, uri) as holder:
        assert held(uri)
        assert not held(uri, "another-model")
        holder.kill()
        holder.wait(10)
        assert not held(uri, wait_s=10)


def test_lock_beside_sqlite_ends_with_its_process(tmp_path: Path) -> None:
    assert_lock_ends_with_its_process(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.mark.postgres
def test_lock_of_postgresql_ends_with_its_process(postgres: str) -> None:
    assert_lock_ends_with_its_process(postgres)


@pytest.mark.slow
@pytest.mark.postgres
def test_promotion_on_postgresql(postgres: str, dummy_export: Path, tmp_path: Path) -> None:
    registry = with_versions(postgres, dummy_export, count=2, artifacts=tmp_path)
    judged(registry, "2", None)
    assert promote(registry, "2", DIGEST).moved
    assert registry.champion() == "2"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "sqlite:///:memory:", "mlruns"])
def test_where_there_is_no_database_there_is_no_lock(uri: str) -> None:
    with lock.database_lock(uri, "battle", time.monotonic()) as locked:
        assert not locked
