"""Where the benchmark keeps what it makes, and the two cores it uses."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
STATE: Final = Path(".pdx/bench")
RESULTS: Final = Path("loadtests/results")
CONTENDERS: Final = Path(__file__).parent / "contenders"
PYTHON: Final = ROOT / ".venv/bin/python"
SERVING_PYTHON: Final = ROOT / ".venv-serving/bin/python"


@dataclass(frozen=True)
class Cores:
    """Which core does what.

    Attributes:
        server: the contender, with everything it starts.
        generator: wrk or ghz, and the benchmark itself.
    """

    server: int
    generator: int

    def pin_server(self, command: list[str]) -> list[str]:
        """The command, run on the server's core."""
        return ["taskset", "-c", str(self.server), *command]

    def pin_generator(self, command: list[str]) -> list[str]:
        """The command, run on the generator's core."""
        return ["taskset", "-c", str(self.generator), *command]


def default_cores() -> Cores:
    """The first two cores this process may use; the same one twice where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[min(1, len(usable) - 1)])


def environment(**settings: str) -> dict[str, str]:
    """This process's variables without any of the project's, nothing phoning home, and `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PDX_", "MLSERVER_", "BENTOML_"))}
    quiet = {
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **quiet, **settings}
