"""``pdx package``: a bento of a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import REFUSED, TrackingUri, refusals

if TYPE_CHECKING:
    from training.settings import Settings


def command(
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle to package; that of the champion, made now, by default.", show_default=False),
    ] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Put a bundle into BentoML's model store and build the bento that names it by its exact tag."""
    from training import settings
    from training.package import PackageError, package

    places = settings.resolve(tracking_uri)
    try:
        made = package(bundle or _champion(places))
    except PackageError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(REFUSED) from error
    typer.echo(f"Model {made.model} is in BentoML's model store.")
    typer.echo(f"Bento {made.bento} is built.")


def _champion(places: "Settings") -> Path:
    from training.bundle import bundle
    from training.registry import Registry

    with refusals():
        return bundle(Registry(places.tracking_uri), None, None, None, places.home)
