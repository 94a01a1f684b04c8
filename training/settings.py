"""Where training keeps its state: one ignored folder by default, a tracking server and a database when told so."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MODEL_NAME = "battle"
EXPERIMENT = "battle"
CHAMPION = "champion"
DATA = Path(__file__).parent / "data"


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
        return urlsplit(self.tracking_uri).scheme.split("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def _embedded_uri(home: Path) -> str:
    return f"sqlite:///{home / 'mlflow.db'}"


def resolve(tracking_uri: str | None = None, home: Path | None = None) -> Settings:
    """Resolve options, then ``PDX_HOME`` and ``MLFLOW_TRACKING_URI``, then the embedded default; makes ``home``.

    BentoML's home is pointed into ``home`` unless ``BENTOML_HOME`` says otherwise, and usage tracking of MLflow and
    BentoML is switched off: nothing phones home.
    """
    home = (home or Path(os.environ.get("PDX_HOME", ".pdx"))).absolute()
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("BENTOML_HOME", str(home / "bentoml"))
    Path(os.environ["BENTOML_HOME"]).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(home)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return Settings(home, uri)
