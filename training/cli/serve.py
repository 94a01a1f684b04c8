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
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; loopback, unless PDX_HTTP_HOST is set.", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of REST; PDX_HTTP_PORT, or 3000.", min=0, max=65535, show_default=False)
    ] = None,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port of gRPC; PDX_GRPC_PORT, or 3001.", min=0, max=65535, show_default=False)
    ] = None,
    admin_port: Annotated[
        int | None,
        typer.Option(help="Port of /metrics; PDX_ADMIN_PORT, or 3002.", min=0, max=65535, show_default=False),
    ] = None,
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
        if host is None and "PDX_HTTP_HOST" not in os.environ:
            host = "127.0.0.1"
        line = serving.command(folder, host=host, port=port, grpc_port=grpc_port, admin_port=admin_port)
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
        raise RegistryError(
            "There is no champion to serve yet; run `make demo` or `make train`, or name a folder with --bundle."
        )
    folder = places.home / "bundles" / champion
    if made_from(folder) == registry.version(champion).run_id:
        return folder
    return bundle(registry, champion, None, None, places.home)
