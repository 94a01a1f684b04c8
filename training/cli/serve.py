"""``pdx serve``: the champion, or any bundle, served as the container serves it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import Home, TrackingUri


def command(
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of the bundle; PDX_BUNDLE, or the champion's, by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of REST.", min=0, max=65535)] = 3000,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC.", min=0, max=65535)] = 3001,
    admin_port: Annotated[int, typer.Option(help="Port of /readyz and /metrics.", min=0, max=65535)] = 3002,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Serve with the serving packages alone, which `make` keeps in an environment of their own.

    This process becomes the server. With the training packages beside it, XGBoost would load pandas and scikit-learn:
    seconds and 160 MiB that no container pays.
    """
    from training import serving
    from training.cli.common import refusals

    named = bundle or os.environ.get("PDX_BUNDLE")
    with refusals():
        folder = Path(named) if named else _champion(tracking_uri, home)
        line = serving.command(folder, host=host, ports=serving.Ports(port, grpc_port, admin_port))
        os.execve(line[0], line, serving.environment())  # noqa: S606  ours, and without a shell


def _champion(tracking_uri: str | None, home: Path | None) -> Path:
    """The champion's bundle, made now if nobody has made it yet."""
    from training.bundle import bundle, made_from
    from training.registry import Registry, RegistryError
    from training.settings import resolve

    places = resolve(tracking_uri, home)
    registry = Registry(places.tracking_uri)
    champion = registry.champion()
    if champion is None:
        raise RegistryError("There is no champion to serve yet; run `pdx all`, or name a folder with --bundle.")
    folder = places.home / "bundles" / champion
    if made_from(folder) == registry.version(champion).run_id:
        return folder
    return bundle(registry, champion, None, None, places.home)
