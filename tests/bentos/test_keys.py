import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from bentos import keys
from bentos.errors import SettingsError, Unauthorized
from bentos.keys import Keys, line_of
from bentos.secretfile import SecretFile

FIRST, SECOND, THIRD = "first-key-of-somebody", "second-key-of-somebody", "third-key-of-nobody"


def write(file: Path, *known: str) -> Path:
    file.write_text("# who may call\n\n" + "\n".join(map(line_of, known)) + "\n")
    return file


def mount(folder: Path, generation: str, *known: str) -> Path:
    """What the kubelet does: a folder a generation, and one link that is moved in one step."""
    (folder / generation).mkdir(parents=True)
    write(folder / generation / "keys", *known)
    (folder / "..next").symlink_to(generation)
    (folder / "..next").replace(folder / "..data")
    if not (folder / "keys").is_symlink():
        (folder / "keys").symlink_to("..data/keys")
    return folder / "keys"


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def lets_pass(opened: Keys, key: str | bytes | None) -> bool:
    try:
        opened.check(key)
    except Unauthorized:
        return False
    return True


def test_each_known_key_passes_as_text_and_as_bytes(tmp_path: Path) -> None:
    opened = Keys.open(write(tmp_path / "keys", FIRST, SECOND))
    for key in (FIRST, SECOND):
        opened.check(key)
        opened.check(key.encode())
    assert opened.ok


def test_hex_may_be_upper_case_and_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(f"\ufeffsha256:{sha256(FIRST.encode()).hexdigest().upper()}\r\n  {line_of(SECOND)}  \r\n".encode())
    opened = Keys.open(file)
    assert lets_pass(opened, FIRST)
    assert lets_pass(opened, SECOND)


@pytest.mark.parametrize(
    "key", [THIRD, FIRST + " ", FIRST[:-1], line_of(FIRST), line_of(FIRST)[7:], "ключ", "\ud800", b"\xff"]
)
def test_any_other_key_is_refused_and_never_repeated(
    tmp_path: Path, key: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened = Keys.open(write(tmp_path / "keys", FIRST))
    with pytest.raises(Unauthorized, match=r"^The API key is not known here\.$") as refused:
        opened.check(key)
    assert refused.value.details == []
    assert caplog.text == ""


@pytest.mark.parametrize("key", [None, "", b""])
def test_a_missing_key_is_told_apart(tmp_path: Path, key: str | bytes | None) -> None:
    opened = Keys.open(write(tmp_path / "keys", FIRST))
    with pytest.raises(Unauthorized, match=r"^An API key is needed, sent as x-api-key\.$"):
        opened.check(key)


@pytest.mark.parametrize("key", [FIRST, SECOND, THIRD])
def test_every_entry_is_compared_whatever_the_key(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(keys, "compare_digest", compare)
    opened = Keys.open(write(tmp_path / "keys", FIRST, SECOND))
    assert lets_pass(opened, key) == (key != THIRD)
    assert compared == [sha256(known.encode()).digest() for known in (FIRST, SECOND)]


@pytest.mark.parametrize(
    "line", [FIRST, "sha256:", f"sha256:{'0' * 63}", f"sha256:{'0' * 65}", f"sha256:{'٣' * 64}", f"md5:{'0' * 64}"]
)
def test_a_malformed_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "keys", FIRST)
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(SettingsError) as refused:
        Keys.open(file)
    assert str(refused.value) == (
        "The file of PDX_AUTH_KEYS_FILE cannot be used: line 4 is not sha256: and 64 hex digits."
    )


def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    def refused(file: Path) -> str:
        with pytest.raises(SettingsError, match=r"^The file of PDX_AUTH_KEYS_FILE cannot be used: ") as error:
            Keys.open(file)
        return str(error.value).partition("used: ")[2]

    empty, binary, large, pipe = (tmp_path / name for name in ("empty", "binary", "large", "pipe"))
    empty.write_text("# nobody\n")
    binary.write_bytes(b"\xff\xfe")
    large.write_text("#" * (1 << 20) + "\n")
    os.mkfifo(pipe)
    assert refused(tmp_path / "none") == "no such file or directory."
    assert refused(tmp_path) == "it is not a file."
    assert refused(pipe) == "it is not a file."
    assert refused(empty) == "it holds no key."
    assert refused(binary) == "it is not UTF-8 text."
    assert refused(large) == "it has more than 1048576 bytes."


def test_a_secret_that_is_exchanged_is_read_again(tmp_path: Path) -> None:
    opened = Keys.open(mount(tmp_path, "1", FIRST))
    assert lets_pass(opened, FIRST)
    assert not lets_pass(opened, SECOND)
    mount(tmp_path, "2", SECOND)
    until(lambda: lets_pass(opened, SECOND))
    assert not lets_pass(opened, FIRST)
    assert opened.ok


def test_a_content_that_cannot_be_used_keeps_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bentos")
    file = write(tmp_path / "keys", FIRST)
    opened = Keys.open(file)
    file.write_text(f"{line_of(SECOND)}\n{SECOND}\n")
    until(lambda: not opened.ok)
    assert lets_pass(opened, FIRST)
    assert not lets_pass(opened, SECOND)
    file.unlink()
    until(lambda: not opened.ok and len(caplog.records) > 1)
    assert lets_pass(opened, FIRST)
    assert not opened.ok
    write(file, SECOND)
    until(lambda: opened.ok)
    assert lets_pass(opened, SECOND)
    assert not lets_pass(opened, FIRST)
    kept = "The file of PDX_AUTH_KEYS_FILE cannot be used, and what it held before stays in force: "
    assert caplog.messages == [
        f"{kept}line 2 is not sha256: and 64 hex digits.",
        f"{kept}no such file or directory.",
        "The file of PDX_AUTH_KEYS_FILE has changed and was read again.",
    ]


def test_a_file_that_went_and_came_back_as_it_was_is_good_again(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", FIRST)
    opened = Keys.open(file)
    file.rename(tmp_path / "away")
    until(lambda: not opened.ok)
    (tmp_path / "away").rename(file)
    until(lambda: opened.ok)
    assert lets_pass(opened, FIRST)


def test_what_cannot_be_used_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reads: list[str] = []

    def parse(text: str) -> str:
        reads.append(text)
        if text == "bad":
            raise SettingsError("it is bad")
        return text

    file = tmp_path / "file"
    file.write_text("good")
    read = SecretFile(file, parse, "PDX_X")
    file.write_text("bad")
    until(lambda: read.get() == "good" and len(reads) == 4)
    assert len(caplog.messages) == 1


def test_the_file_is_looked_at_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    real = Path.stat

    def counting(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        nonlocal looked
        looked += path == file
        return real(path, follow_symlinks=follow_symlinks)

    file = write(tmp_path / "keys", FIRST)
    opened = Keys.open(file)
    monkeypatch.setattr(Path, "stat", counting)
    start = time.monotonic()
    for _ in range(10_000):
        opened.check(FIRST)
    assert looked <= time.monotonic() - start + 1


def test_threads_see_whole_contents_only(tmp_path: Path) -> None:
    opened = Keys.open(mount(tmp_path, "1", FIRST))
    stop, wrong = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            if lets_pass(opened, THIRD):
                wrong.append(THIRD)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    mount(tmp_path, "2", SECOND)
    try:
        until(lambda: lets_pass(opened, SECOND))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_command_makes_a_key_that_its_line_lets_pass(tmp_path: Path) -> None:
    made = [
        subprocess.run([sys.executable, "-m", "bentos.keys"], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (key, line), (other, _) = (run.stdout.splitlines() for run in made)
    assert key != other
    file = tmp_path / "keys"
    file.write_text(line)
    assert lets_pass(Keys.open(file), key)


def test_the_command_reads_a_key() -> None:
    def read(text: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bentos.keys", "--stdin"]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    taken = read(f"{FIRST}\n")
    assert (taken.returncode, taken.stdout) == (0, f"{line_of(FIRST)}\n")
    for unusable in ("short", "with a blank in the middle", "ключ-длинный-и-секретный", ""):
        refused = read(unusable)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr == "A key has at least 20 characters, of printable ASCII without blanks.\n"
