"""``pdx gate``: may this version become the champion?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import FAILED, Home, TrackingUri

if TYPE_CHECKING:
    from training.verdict import Verdict


def command(
    version: Annotated[str | None, typer.Argument(help="Version to judge; the newest by default.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Version to compare with; the champion by default.", show_default=False)
    ] = None,
    replays: Annotated[
        Path | None, typer.Option(help="Parquet file of replays; the shipped gate part by default.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON instead of a table.")] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Judge a version against the champion on replays that no training ever saw.

    Exits with 0 on a yes, 1 on a no, 2 when nothing could be judged. The verdict is logged to MLflow.
    """
    import json

    from training import settings
    from training.cli.common import refusals
    from training.gate import run
    from training.registry import Registry
    from training.replays import Replays

    with refusals():
        places = settings.resolve(tracking_uri, home)
        registry = Registry(places.tracking_uri)
        verdict = run(registry, Replays.read(replays), places.home / "exports", version=version, against=against)
    if as_json:
        typer.echo(json.dumps(verdict.document(), ensure_ascii=False, indent=2))
    else:
        show(verdict)
    if not verdict.passed:
        raise typer.Exit(FAILED)


def show(verdict: "Verdict") -> None:
    """Print the verdict for people."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    console.print(verdict.table())
    if verdict.against is None:
        console.print("There is no champion to compare with, so only the floors were asked.")
    console.print(verdict.sentence())
