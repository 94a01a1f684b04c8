"""What holds for every command: refusals in one sentence, and no secret in them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from bentos.settings import OTHERS, PREFIX
from tests.tracking import free_port
from training.cli import app
from training.cli.common import _without_password
from training.evaluate import ECE_BINS
from training.replays import Replays
from training.settings import DATA


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, and nothing left in the environment."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    for name in ("BENTOML_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def pdx(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("secret", ["hidden", "hid@den", "hid/den"])
def test_a_password_in_a_library_s_message_is_not_shown(secret: str) -> None:
    shown = _without_password(f"cannot reach postgresql+psycopg://user:{secret}@host/db: timed out")
    assert shown == "cannot reach postgresql+psycopg://***@host/db: timed out"


@pytest.mark.parametrize("name", ["password", "PWD", "sslpassword"])
def test_a_password_among_the_parameters_of_a_url_is_not_shown(name: str) -> None:
    shown = _without_password(f"cannot reach postgresql://host/db?user=u&{name}=hidden&connect_timeout=5 now")
    assert shown == f"cannot reach postgresql://host/db?user=u&{name}=***&connect_timeout=5 now"


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg"])
@pytest.mark.parametrize("words", [("train",), ("evaluate",), ("gate",), ("promote", "1"), ("bundle",), ("serve",)])
def test_tracking_that_does_not_answer_is_told_soon(scheme: str, words: tuple[str, ...]) -> None:
    start = time.monotonic()
    done = pdx(*words, "--tracking-uri", f"{scheme}://pdx:hidden@127.0.0.1:{free_port()}/x")
    assert time.monotonic() - start < 30  # imports among them; MLflow alone takes more than a minute
    assert done.exit_code == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("The tracking ")
    assert "Connection refused" in sentence
    assert "hidden" not in done.output


@pytest.mark.parametrize("command", ["train", "all"])
def test_a_source_in_the_environment_is_in_no_argument_and_not_shown(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDX_SOURCE", f"postgresql+psycopg://pdx:hidden@127.0.0.1:{free_port()}/x?password=hidden")
    done = pdx(command)
    assert done.exit_code == 2
    assert "Connection refused" in done.stderr.splitlines()[-1]
    shown = pdx(command, "--help").output
    assert "PDX_SOURCE" in shown
    assert "hidden" not in done.output + shown
    assert "There is no file nowhere.parquet." in pdx(command, "--source", "nowhere.parquet").stderr
    monkeypatch.setenv("PDX_SOURCE", "elsewhere.parquet")
    assert "There is no file elsewhere.parquet." in pdx(command).stderr


def test_too_few_replays_for_the_calibration_error_are_one_sentence(tmp_path: Path) -> None:
    replays = tmp_path / "replays.parquet"
    shipped = pq.read_table(DATA / "gate.parquet")
    pq.write_table(shipped.slice(0, ECE_BINS - 1), replays)
    done = pdx("gate", "--replays", replays)
    assert done.exit_code == 2
    said = done.stderr.splitlines()[-1]  # after what MLflow says of its new database
    assert said == "The replay set has 14 pairings, and the gate's calibration error needs 15 or more."
    pq.write_table(shipped.slice(0, ECE_BINS), replays)
    assert len(Replays.read(replays).clusters) == ECE_BINS


def test_a_text_where_a_number_belongs_is_one_sentence(tmp_path: Path) -> None:
    replays = tmp_path / "replays.parquet"
    shipped = pq.read_table(DATA / "gate.parquet").slice(0, 50)
    place = shipped.column_names.index("mean_turns")
    pq.write_table(shipped.set_column(place, "mean_turns", [["many"] * 50]), replays)
    done = pdx("gate", "--replays", replays)
    assert done.exit_code == 2
    assert "50 of 50 rows cannot be used (50 × wrong type)" in done.stderr
    assert "row 1: mean_turns is 'many', not a number." in done.stderr


def test_a_refusal_is_the_last_word_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "termination-log"
    monkeypatch.setenv("PDX_TERMINATION_LOG", str(log))
    done = pdx("train", "--source", "nowhere.parquet")
    assert done.exit_code == 2
    assert log.read_text() == "There is no file nowhere.parquet.\n"
    monkeypatch.setenv("PDX_TERMINATION_LOG", str(tmp_path))  # a folder: what cannot be written stops nothing
    assert pdx("train", "--source", "nowhere.parquet").exit_code == 2


def _variables(command: Any) -> Iterator[str]:
    for parameter in command.params:
        names = parameter.envvar or ()
        yield from (names,) if isinstance(names, str) else names
    for each in getattr(command, "commands", {}).values():
        yield from _variables(each)


def test_a_server_that_pdx_starts_may_see_all_variables_that_pdx_reads() -> None:
    ours = {name for name in _variables(get_command(app)) if name.startswith(PREFIX)}
    assert {"PDX_SOURCE", "PDX_IMAGE_BASE"} <= ours <= OTHERS
