"""Databases by their SQLAlchemy URL: opened without long waits, and spoken of without what may be a secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import sqlalchemy as sa

CONNECT_WITHIN_S: Final = 5  # to each address of the host
# The drivers that know this option, in whole seconds; others keep a limit of their own.
_KNOW_TIMEOUT: Final = frozenset({"psycopg", "psycopg2", "pymysql", "mysqldb"})


def title(url: str, refused: type[Exception]) -> str:
    """The URL without user, password and options, any of which may be a secret.

    Raises:
        refused: it is no URL of a database.
    """
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # Neither the URL nor the parser's words, which may quote it: what did not parse may hold the password.
        raise refused("The database URL is not understood; write driver://user:password@host:port/name.") from None
    return sa.URL.create(parsed.drivername, None, None, parsed.host, parsed.port, parsed.database).render_as_string()


def engine(url: str) -> "sa.Engine":
    """An engine that gives up on a silent host after ``CONNECT_WITHIN_S``, unless the URL has a limit of its own."""
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    options: dict[str, Any] = {}
    if parsed.get_driver_name() in _KNOW_TIMEOUT and "connect_timeout" not in parsed.query:
        options["connect_timeout"] = CONNECT_WITHIN_S
    return sa.create_engine(url, connect_args=options)


def missing_file(url: str) -> Path | None:
    """The file of an SQLite URL where it is not there, which SQLite would make; None for any other URL."""
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    name = parsed.database or ":memory:"
    if parsed.get_backend_name() != "sqlite" or name == ":memory:" or parsed.query.get("mode") == "memory":
        return None
    path = Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)
    return None if path.exists() else path


@contextmanager
def failing(url: str, refused: type[Exception], sentence: str) -> Iterator[None]:
    """Turn the database's errors into ``sentence`` and the driver's reason, without any secret of the URL.

    Raises:
        refused: the database, or loading its driver, failed.
    """
    import sqlalchemy as sa

    parsed = sa.make_url(url)
    secrets = [str(parsed.password or ""), *(str(value) for value in parsed.query.values())]
    try:
        yield
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        for secret in filter(None, secrets):
            reason = reason.replace(secret, "***")
        # The chain would show the driver's own message, where a secret may stand.
        raise refused(f"{sentence}: {reason}.") from None


def first_line(error: BaseException) -> str:
    """What an error says, as the end of a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
