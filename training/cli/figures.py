"""The table of a model's figures beside what the project aims at."""

from typing import TYPE_CHECKING

from training.evaluate import REACHES, Figures

if TYPE_CHECKING:
    from rich.table import Table


def table(measured: Figures) -> "Table":
    """Each figure with what a perfect model would show on the same replays, its bound, and whether it is reached."""
    from rich.table import Table

    made = Table(
        title=f"{measured.pairings:,} pairings of species pairs never trained on, {measured.replays:,} replays"
    )
    for column in ("figure", "model", "perfect model", "reach", ""):
        made.add_column(column, justify="left" if column == "figure" else "right")
    for reach in REACHES:
        value, perfect, met = reach.of(measured), reach.perfect(measured), reach.met(measured)
        made.add_row(
            reach.title,
            "not measured" if value is None else f"{value:.4f}",
            "" if perfect is None else f"{perfect:.4f}",
            f"{'≥' if reach.at_least else '≤'} {reach.bound}",
            {True: "yes", False: "no", None: ""}[met],
        )
    return made
