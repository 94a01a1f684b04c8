"""The command ``pdx``. Each command imports what it needs when it runs, so that ``pdx --help`` loads nothing heavy."""

from collections.abc import Callable
from typing import Final

import typer

from training.cli import all_, bundle, demo, evaluate, gate, image, package, promote, release, serve, train
from training.cli.dataset import app as dataset_app

# In the order of a model's life.
_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "train": train.command,
    "evaluate": evaluate.command,
    "gate": gate.command,
    "promote": promote.command,
    "bundle": bundle.command,
    "package": package.command,
    "image": image.command,
    "release": release.command,
    "serve": serve.command,
    "all": all_.command,
    "demo": demo.command,
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Take a tabular model from a training job past a gate, to a service.",
)
app.add_typer(dataset_app, name="dataset")
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Console script ``pdx``."""
    app(prog_name="pdx")
