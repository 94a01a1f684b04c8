"""Where state lies, and what is said when tracking does not answer."""

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.tracking import free_port
from training import settings
from training.settings import SettingsError, resolve

SOON_S = 30  # MLflow alone takes more than a minute; a busy machine may need some seconds for imports


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's, and nothing left behind."""
    for name in ("PDX_HOME", "BENTOML_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def status() -> Iterator[Callable[[int], str]]:
    """Start a server that answers everything with one status; returns its URI."""
    started: list[HTTPServer] = []

    def start(code: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(code)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def refusal(uri: str, home: Path) -> str:
    start = time.monotonic()
    with pytest.raises(SettingsError) as caught:
        resolve(uri, home)
    assert time.monotonic() - start < SOON_S
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    return str(caught.value)


def test_the_default_home_lies_in_the_project_whatever_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Path(__file__).resolve().parents[2]
    assert (project / "pyproject.toml").is_file()
    assert settings.home_folder() == project / ".pdx"
    assert list(tmp_path.iterdir()) == []


def test_an_installed_copy_has_no_project_and_takes_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "PROJECT", tmp_path / "site-packages")
    assert settings.home_folder() == tmp_path / ".pdx"


def test_the_variable_and_then_the_option_go_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDX_HOME", "mine")
    assert settings.home_folder() == tmp_path / "mine"
    assert settings.home_folder(tmp_path / "other") == tmp_path / "other"
    # Whoever asks later, the generator for one, means the same.
    assert settings.home_folder() == tmp_path / "other"
    assert resolve().tracking_uri == f"sqlite:///{tmp_path / 'other' / 'mlflow.db'}"


@pytest.mark.parametrize("said", [None, "true"])
def test_artifacts_come_through_the_server_unless_said_otherwise(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD")
    for name in names:
        monkeypatch.setenv(name, said or "")
        if said is None:
            monkeypatch.delenv(name)
    resolve(home=tmp_path)
    assert [os.environ[name] for name in names] == [said or "false"] * 2


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/home cannot be made: Not a directory\."):
        resolve(home=tmp_path / "file" / "home")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    said = refusal(f"http://pdx:hidden@127.0.0.1:{port}/mlflow/", tmp_path)
    assert said == f"The tracking server http://127.0.0.1:{port}/mlflow does not answer: Connection refused."


def test_a_server_that_never_says_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ANSWER_WITHIN_S", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert "does not answer: timed out." in refusal(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)


def test_a_proxy_without_its_server(tmp_path: Path, status: Callable[[int], str]) -> None:
    assert "does not answer: status 503." in refusal(f"http://{status(503)}", tmp_path)


@pytest.mark.parametrize("code", [200, 401, 404])
def test_whoever_answers_is_left_to_mlflow(tmp_path: Path, status: Callable[[int], str], code: int) -> None:
    uri = f"http://pdx:hidden@{status(code)}"
    assert resolve(uri, tmp_path).tracking_uri == uri


def test_a_real_server_answers(tmp_path: Path, tracking_server: str) -> None:
    assert resolve(tracking_server, tmp_path).tracking_uri == tracking_server


@pytest.mark.parametrize("uri", ["http://pdx:hid/hidden@host", "http://pdx:hid#hidden@host", "http://[hidden"])
def test_an_address_that_may_be_part_of_a_password_is_not_shown(tmp_path: Path, uri: str) -> None:
    assert "The tracking URI is not understood" in refusal(uri, tmp_path)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    said = refusal(f"postgresql+psycopg://pdx:hidden@127.0.0.1:{port}/mlflow", tmp_path)
    assert f"The tracking database postgresql+psycopg://127.0.0.1:{port}/mlflow cannot be used" in said
    assert "Connection refused" in said


def test_a_database_that_never_says_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.dataset.database.CONNECT_WITHIN_S", 2)  # the least the driver takes
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        said = refusal(f"postgresql+psycopg://pdx:hidden@127.0.0.1:{silent.getsockname()[1]}/mlflow", tmp_path)
    assert "timeout" in said


@pytest.mark.parametrize("uri", ["postgresql+psycopg://pdx:hidden@host:port/x", "mysql+nosuch://pdx:hidden@host/x"])
def test_a_database_url_that_cannot_be_opened(tmp_path: Path, uri: str) -> None:
    assert "not understood" in refusal(uri, tmp_path) or "cannot be used" in refusal(uri, tmp_path)


@pytest.mark.postgres
def test_a_database_answers_to_the_right_password_alone(tmp_path: Path, postgres: str) -> None:
    wrong = sa.make_url(postgres).set(password="hidden")
    said = refusal(wrong.render_as_string(hide_password=False), tmp_path)
    assert "password authentication failed" in said
    assert resolve(postgres, tmp_path).tracking_uri == postgres


def test_sqlite_for_tracking_is_made_where_it_is_not_there_and_refused_where_it_is_none(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("no database, and long enough for a header\n" * 100)
    assert "file is not a database" in refusal(f"sqlite:///{text}", tmp_path)
    assert resolve(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}", tmp_path).database
    real = tmp_path / "real.db"
    with closing(sqlite3.connect(real)) as connection:
        connection.execute("create table t (x)")
    assert resolve(f"sqlite:///{real}", tmp_path).database
