"""``pdx evaluate``: the figures of a version, measured on the bundle that serving would run."""

from typing import Annotated

import typer

from training.cli.common import Home, TrackingUri


def command(
    version: Annotated[str | None, typer.Argument(help="Version to measure; the champion by default.")] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 where a figure misses its aim.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")] = False,
) -> None:
    """Measure a version on the gate's replays and requests, through the core that serves it."""
    import json

    from rich.console import Console

    from training import settings
    from training.cli.common import FAILED, refusals, tell
    from training.cli.figures import table
    from training.evaluate import REACHES
    from training.measure import measure

    with refusals():
        number, measured = measure(settings.resolve(tracking_uri, home), version)
    if as_json:
        tell(json.dumps({"version": number, **measured.metrics()}, indent=2))
    else:
        console = Console()
        console.print(f"{settings.MODEL_NAME} version {number}")
        console.print(table(measured))
    missed = [reach.title for reach in REACHES if reach.met(measured) is False]
    if strict and missed:
        typer.secho(f"Missed: {', '.join(missed)}.", fg=typer.colors.RED, err=True)
        raise typer.Exit(FAILED)
