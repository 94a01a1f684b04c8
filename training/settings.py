"""Where training keeps its state: one ignored folder by default, a tracking server and a database when told so."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

MODEL_NAME = "battle"
EXPERIMENT = "battle"
CHAMPION = "champion"
DATA = Path(__file__).parent / "data"
PROJECT: Final = Path(__file__).resolve().parent.parent
ANSWER_WITHIN_S = 5.0
_DATABASES: Final = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
# What a proxy answers for a server that does not; MLflow would ask again for minutes.
_NOT_THERE: Final = frozenset({502, 503, 504})


class SettingsError(Exception):
    """A place that was named cannot be used; one sentence says why, without a password."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved places.

    Attributes:
        home: folder of everything the project writes: ``mlflow.db``, ``mlartifacts/``, ``bentoml/``, ``bundles/``.
        tracking_uri: MLflow tracking and registry URI.
    """

    home: Path
    tracking_uri: str

    @property
    def database(self) -> bool:
        """True where MLflow is a database and no server: artifacts are then kept in ``home``."""
        return _is_database(self.tracking_uri)


def _is_database(uri: str) -> bool:
    return uri.partition(":")[0].split("+")[0] in _DATABASES


def _embedded_uri(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow.db'}"


def home_folder(home: Path | None = None) -> Path:
    """The folder of everything the project writes, made where it is not there: the one given, ``PDX_HOME``, ``.pdx``.

    ``.pdx`` lies in the checkout, whatever the current folder is; beside an installed copy, which has no checkout, in
    the current folder. ``PDX_HOME`` is set to what was found, so that whoever asks later, in a child process too,
    finds the same.

    Raises:
        SettingsError: the folder cannot be made.
    """
    default = (PROJECT if (PROJECT / "pyproject.toml").is_file() else Path()) / ".pdx"
    found = (home or Path(os.environ.get("PDX_HOME") or default)).absolute()
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The folder {found} cannot be made: {error.strerror}.") from error
    os.environ["PDX_HOME"] = str(found)
    return found


def bentoml_home(home: Path | None = None) -> Path:
    """BentoML's home: ``BENTOML_HOME``, or a folder of ours; made where it is not there."""
    folder = Path(os.environ.setdefault("BENTOML_HOME", str(home_folder(home) / "bentoml")))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def resolve(tracking_uri: str | None = None, home: Path | None = None) -> Settings:
    """Resolve options, then ``PDX_HOME`` and ``MLFLOW_TRACKING_URI``, then the embedded default; makes ``home``.

    BentoML's home is pointed into ``home`` unless ``BENTOML_HOME`` says otherwise, and usage tracking of MLflow and
    BentoML is switched off: nothing phones home. The tracking server or database is asked once for an answer, since
    MLflow would ask for more than a minute before it says that there is none.

    Raises:
        SettingsError: ``home`` cannot be made, or tracking does not answer within ``ANSWER_WITHIN_S``.
    """
    home = home_folder(home)
    bentoml_home(home)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # A server whose artifacts are in S3 offers URLs of the store itself, which need not be within reach from here.
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(home)
    if _is_database(uri):
        _ask_database(uri)
    elif uri.startswith(("http://", "https://")):
        _ask_server(uri)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return Settings(home, uri)


def _ask_database(uri: str) -> None:
    from training.dataset import database

    sentence = f"The tracking database {database.title(uri, SettingsError)} cannot be used"
    with database.failing(uri, SettingsError, sentence):
        if database.missing_file(uri):
            return  # MLflow makes it
        engine = database.engine(uri)
        try:
            # SQLite opens anything and looks at it only when it reads.
            with engine.connect() as connection:
                if engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA schema_version")
        finally:
            engine.dispose()


def _without_user(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = None
    # An @ anywhere else belongs to a password that was cut in two, of which no part can be shown.
    if parts is None or ("@" in uri and "@" not in parts.netloc):
        raise SettingsError(
            "The tracking URI is not understood; write http://host:port, /, ? and # in a password as %xx."
        )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _ask_server(uri: str) -> None:
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    shown = _without_user(uri)
    sentence = f"The tracking server {shown} does not answer"
    try:
        urllib.request.urlopen(f"{shown}/health", timeout=ANSWER_WITHIN_S).close()  # noqa: S310  (http or https)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _NOT_THERE:
            raise SettingsError(f"{sentence}: status {error.code}.") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        # Which certificates to trust is MLflow's own setting; somebody answered.
        if not isinstance(reason, ssl.SSLCertVerificationError):
            why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise SettingsError(f"{sentence}: {why}.") from None
