"""A real PostgreSQL for tests, from the system's own binaries, on a free port of 127.0.0.1."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STARTS_WITHIN_S = 60


def binaries() -> Path | None:
    """The newest installed server's folder of programs: Debian's own, or the one on PATH."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").is_file()]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _other_user() -> pwd.struct_passwd | None:
    """The server refuses to run as root; then it runs as the first of these that exists."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """Run a server of its own and yield the SQLAlchemy URL of its database ``postgres``, password included."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = _other_user()
    credentials: dict[str, Any] = {}
    if user is not None:
        credentials = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # Not pytest's folder, which the other user may not enter.
    with tempfile.TemporaryDirectory(prefix="pdx-postgres-", ignore_cleanup_errors=True) as folder:
        password = secrets.token_hex(8)
        secret = Path(folder) / "password"
        secret.write_text(password)
        if user is not None:
            for path in (Path(folder), secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        data = Path(folder) / "data"
        make = ["-U", "pdx", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [str(programs / "initdb"), "-D", str(data), *make],
            cwd=folder, check=True, capture_output=True, **credentials,
        )  # fmt: skip
        port = _free_port()
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}", "fsync=off")
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *(word for value in settings for word in ("-c", value))],
                cwd=folder, stdout=log, stderr=log, **credentials,
            )  # fmt: skip
            try:
                _await(process, port, password, Path(folder) / "log")
                yield f"postgresql+psycopg://pdx:{password}@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGINT)  # closes connections instead of waiting for them
                process.wait(30)


def _await(process: subprocess.Popen[bytes], port: int, password: str, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="pdx", password=password, dbname="postgres").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """SQLAlchemy URL of a database on a server that lives as long as the test session."""
    with server() as url:
        yield url
