"""``pdx all``: every candidate, from the dataset to the bento."""

from typing import Annotated

import typer

from training.cli.common import FAILED, Bad, Home, TrackingUri
from training.cli.train import Rows, Source


def command(
    source: Source = None,
    table: Annotated[str, typer.Option(help="Table of a database source.")] = "duels",
    bad: Annotated[Bad, typer.Option(help="What to do with rows that cannot be used.")] = Bad.REFUSE,
    rows: Rows = None,
    trials: Annotated[int, typer.Option(min=0, help="Optuna trials a candidate; resumed where a run stopped.")] = 0,
    folds: Annotated[int, typer.Option(min=0, max=20, help="Folds of the cross-validation; 0 for none.")] = 3,
    learning_curve: Annotated[bool, typer.Option(help="Also fit on growing shares of the duels.")] = True,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Train every candidate, register the best, and take it past the gate into a bundle and a bento.

    Exits with 1 where the gate says no; the champion then stays what it was.
    """
    from rich.console import Console

    from training import settings
    from training.cli.common import refusals, tell
    from training.cli.figures import table as figures_table
    from training.pipeline import Choice, release

    choice = Choice(source, table, bad.value, rows, (), trials, folds, learning_curve)
    with refusals():
        made = release(choice, settings.resolve(tracking_uri, home), tell)
    console = Console()
    console.print(figures_table(made.result.winner.measured))
    console.print(made.verdict.table())
    if made.packed:
        console.print(f"Bento {made.packed.bento} holds {settings.MODEL_NAME} version {made.champion}.")
    if not made.verdict.passed:
        raise typer.Exit(FAILED)
