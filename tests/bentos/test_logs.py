import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bentos import logs
from bentos.settings import Log

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What ``configure`` sets is the whole process's."""
    root, names = logging.getLogger(), ("bentos", "uvicorn")
    level, levels = root.level, [logging.getLogger(name).level for name in names]
    yield
    logs._model.clear()
    root.setLevel(level)
    for handler in [each for each in root.handlers if isinstance(each, logs._Handler)]:
        root.removeHandler(handler)
    for name, before in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def fail(message: str) -> None:
    raise ValueError(message)


def test_a_line_is_one_json_object_with_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="debug"))
    logs.bind("battle", "12")
    logs.request_line("rest", "/predict", "ok", status=200, seconds=0.0012345, request_id="r-1", trace_id=TRACE, rows=3)
    (line,) = lines(capsys)
    at = datetime.fromisoformat(line.pop("time"))
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=30)
    assert line == {
        "level": "debug",
        "logger": "bentos.requests",
        "message": "rest /predict ok",
        "model": "battle",
        "version": "12",
        "request_id": "r-1",
        "trace_id": TRACE,
        "transport": "rest",
        "route": "/predict",
        "status": 200,
        "code": "ok",
        "duration_ms": 1.234,
        "rows": 3,
    }


def test_time_is_utc_with_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    record = logging.LogRecord("bentos", logging.INFO, "", 0, "x", (), None)
    record.created = 1_767_225_600.0625
    logging.getLogger("bentos").handle(record)
    assert lines(capsys)[0]["time"] == "2026-01-01T00:00:00.062Z"


def test_request_lines_are_for_debug_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="info"))
    assert not logs.REQUESTS.isEnabledFor(logging.DEBUG)
    logs.request_line("rest", "/predict", "ok", status=200, seconds=0.1, request_id="r-1")
    logging.getLogger("bentos.rest").info("hello")
    logging.getLogger("elsewhere").info("not ours")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [line["message"] for line in lines(capsys)] == ["hello"]


def test_an_error_has_its_request_and_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    try:
        fail("boom\nforged line")
    except ValueError:
        logging.getLogger("bentos.rest").exception("/predict failed", extra={"request_id": "r-2", "password": "x"})
    (line,) = lines(capsys)
    assert line["request_id"] == "r-2"
    assert line["exception"].endswith("ValueError: boom\nforged line")
    assert "password" not in line


def test_an_error_nobody_foresaw_is_found_by_its_id_and_tells_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    told = logs.unexpected("ModelInfer", "grpc", "r-3", TRACE, ValueError("the secret"))
    (line,) = lines(capsys)
    assert {name: line[name] for name in ("level", "request_id", "trace_id", "transport", "route")} == {
        "level": "error",
        "request_id": "r-3",
        "trace_id": TRACE,
        "transport": "grpc",
        "route": "ModelInfer",
    }
    assert line["exception"].endswith("ValueError: the secret")
    assert (told.code, str(told)) == ("internal", "The server failed on this request; its log has more under r-3.")


def test_refusals_are_one_line_each_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    now = 100.0
    refused = logs.Refusals(lambda: now)
    for i in range(1000):
        refused("grpc", "ModelInfer", "overloaded", f"r-{i}")
    (line,) = lines(capsys)
    assert line["message"] == "grpc ModelInfer was refused: overloaded; 0 more since the last such line"
    assert {name: line[name] for name in ("level", "request_id", "transport", "route", "code")} == {
        "level": "warning",
        "request_id": "r-0",
        "transport": "grpc",
        "route": "ModelInfer",
        "code": "overloaded",
    }
    # Others have a line of their own.
    refused("rest", "/predict", "overloaded", "r-1000")
    refused("grpc", "ModelInfer", "not_ready", "r-1001")
    assert [line["request_id"] for line in lines(capsys)] == ["r-1000", "r-1001"]
    now += logs.QUIET_SECONDS - 0.1
    refused("grpc", "ModelInfer", "overloaded", "r-1002")
    assert not lines(capsys)
    for more in (1000, 0):
        now += logs.QUIET_SECONDS
        refused("grpc", "ModelInfer", "overloaded", "r-1003")
        (line,) = lines(capsys)
        assert line["message"].endswith(f"; {more} more since the last such line")


def test_refusals_of_several_threads_are_all_counted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    now = 0.0
    refused = logs.Refusals(lambda: now)

    def refuse() -> None:
        for _ in range(5_000):
            refused("rest", "/predict", "overloaded", "r-1")

    threads = [threading.Thread(target=refuse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = logs.QUIET_SECONDS
    refused("rest", "/predict", "overloaded", "r-2")
    assert [line["message"].split("; ")[1].split()[0] for line in lines(capsys)] == ["0", "19999"]


HOSTILE = 'a\nb\r\x1b[2J\x00\x7f\x85\x9b\u2028\u2029"\\\ud800é'


def test_json_holds_nothing_that_moves_a_cursor_or_ends_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    logging.getLogger("bentos").warning("%s", HOSTILE, extra={"request_id": HOSTILE})
    raw = capsys.readouterr().err
    assert raw.endswith("\n")
    assert raw[:-1].isascii()
    assert raw[:-1].isprintable()
    line = json.loads(raw)
    assert line["message"] == line["request_id"] == HOSTILE


def test_text_escapes_too_and_indents_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(format="text"))
    try:
        fail("boom\nforged\x1b[2J")
    except ValueError:
        logging.getLogger("bentos").exception("%s", HOSTILE.replace("\ud800", ""), extra={"request_id": "a\nb"})
    text = capsys.readouterr().err
    first, *rest = text[:-1].split("\n")
    assert first.split(" ", 1)[1] == (
        'ERROR bentos: a\\x0ab\\x0d\\x1b[2J\\x00\\x7f\\x85\\x9b\\u2028\\u2029"\\é [request_id=a\\x0ab]'
    )
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert rest[-1] == "    forged\\x1b[2J"


@pytest.mark.parametrize("character", ["x", "\x00", "\U0001f600"])
def test_no_line_is_longer_than_a_container_runtime_takes(capsys: pytest.CaptureFixture[str], character: str) -> None:
    logs.configure(Log())
    long = character * 100_000
    extra = dict.fromkeys(logs.FIELDS, long)
    try:
        fail(long)
    except ValueError:
        logging.getLogger("bentos").exception("%s", long, extra=extra)
    raw = capsys.readouterr().err
    assert 2_000 < len(raw.encode()) <= logs.LONGEST_LINE
    assert json.loads(raw)["message"].startswith(character)


def test_configuring_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log())
    logs.configure(Log())
    logging.getLogger("bentos").warning("once")
    assert len(lines(capsys)) == 1


def test_a_process_of_its_own_logs_to_stderr_only() -> None:
    script = (
        "import logging; from bentos import logs; from bentos.settings import Log;"
        "logs.configure(Log(level='error')); log = logging.getLogger('bentos.x');"
        "log.warning('no'); log.error('yes'); logging.getLogger('other').error('theirs')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not ran.stdout
    assert [json.loads(line)["message"] for line in ran.stderr.splitlines()] == ["yes", "theirs"]


@pytest.mark.parametrize("given", [b"a", b"A.b_c-9", b"x" * 64])
def test_a_callers_id_is_kept(given: bytes) -> None:
    assert logs.ident(given) == given.decode()


@pytest.mark.parametrize("given", [None, b"", b"x" * 65, b"a b", b"a\n", b"\xc3\xa9", b"a\x00", b"<script>"])
def test_other_ids_are_replaced(given: bytes | None) -> None:
    made = logs.ident(given)
    assert made != logs.ident(given)
    assert logs.ident(made.encode()) == made


def test_ids_are_unique_between_threads_and_processes() -> None:
    made: list[list[str]] = []

    def make() -> None:
        made.append([logs.ident(None) for _ in range(5_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for part in made for each in part}) == 20_000
    script = "from bentos.logs import ident; print(ident(None))"
    other = [subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)]
    assert other[0] != other[1]


@pytest.mark.parametrize(
    "given",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f" 00-{TRACE}-{SPAN}-ff\t",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"cc-{TRACE}-{SPAN}-01-",
    ],
)
def test_a_valid_traceparent_names_its_trace(given: str) -> None:
    assert logs.trace_id(given.encode()) == TRACE
    parent = logs.trace_parent(given.encode())
    assert parent is not None
    assert parent[1] == SPAN
    assert parent[2] == int(given.strip()[53:55], 16)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"cc-{TRACE}-{SPAN}-01.future",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_an_invalid_traceparent_names_none(given: str | None) -> None:
    assert logs.trace_id(None if given is None else given.encode()) is None
