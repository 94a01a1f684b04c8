"""``pdx bundle``: the folder that serving runs, of a registered version."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import Home, TrackingUri, refusals

CHAMPION = "champion"


def command(
    version: Annotated[str, typer.Option(help="Version to bundle, or 'champion'.")] = CHAMPION,
    against: Annotated[
        str | None,
        typer.Option(
            help="Version it is to replace; the champion by default, or the version a champion replaced.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; .pdx/bundles/VERSION by default.", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Write the bundle of a version: its model, its contract, and how differently it may answer."""
    from training import settings
    from training.bundle import bundle
    from training.registry import Registry

    with refusals():
        places = settings.resolve(tracking_uri, home)
        number = None if version == CHAMPION else version
        typer.echo(bundle(Registry(places.tracking_uri), number, against, out, places.home))
