"""``pdx package``: a bento of a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import Home, TrackingUri, refusals


def command(
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle to package; that of the champion, made now, by default.", show_default=False),
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Put a bundle into BentoML's model store and build the bento that names it by its exact tag."""
    from training import settings
    from training.bundle import bundle as champion
    from training.package import package
    from training.registry import Registry

    with refusals():
        if bundle is None:
            places = settings.resolve(tracking_uri, home)
            bundle = champion(Registry(places.tracking_uri), None, None, None, places.home)
        made = package(bundle, settings.bentoml_home(home))
    typer.echo(f"Model {made.model} is in BentoML's model store.")
    typer.echo(f"Bento {made.bento} is built.")
