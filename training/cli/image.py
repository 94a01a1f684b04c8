"""``pdx image``: the image of a model in service, of training, or of rollouts."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from training.cli.common import (
    FAILED,
    LOCAL,
    Home,
    ImageArchive,
    ImageBase,
    ImageRegistry,
    ImageRepository,
    ImageTool,
    TrackingUri,
    refusals,
    tell,
)


def command(
    what: Annotated[
        Literal["serving", "training", "rollout"],
        typer.Argument(help="The model in service, `pdx` with the duel engine, or helm and kubectl with our driver."),
    ] = "serving",
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle to serve; that of the champion, made now, by default.", show_default=False),
    ] = None,
    base: ImageBase = None,
    registry: ImageRegistry = LOCAL,
    repository: ImageRepository = None,
    tool: ImageTool = None,
    archive: ImageArchive = None,
    push: Annotated[bool, typer.Option("--push", help="Push it, and record the registry's digest.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do every step anew.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, and nothing else.")] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Build an image, and write its record and its bill of materials into images/ of --home.

    Exit status 1 where the image was built and is larger than it may be.
    """
    from training import image, image_tool, settings
    from training.bundle import bundle as champion
    from training.package import package
    from training.registry import Registry

    with refusals():
        if what != "serving" and bundle is not None:
            raise image_tool.ImageError(f"The image of {what} holds no bundle; leave --bundle out.")
        # Before anything that takes minutes.
        chosen = image_tool.choose(tool)
        options = image.Options(
            base=base or image.BASE,
            repository=repository or f"{registry.rstrip('/')}/{what}",
            folder=settings.home_folder(home) / "images",
            archive=archive,
            push=push,
            cached=not no_cache,
        )
        if what == "training":
            built = image.training(options, chosen)
        elif what == "rollout":
            built = image.rollout(options, chosen)
        else:
            if bundle is None:
                places = settings.resolve(tracking_uri, home)
                bundle = champion(Registry(places.tracking_uri), None, None, None, places.home)
            built = image.serving(package(bundle, settings.bentoml_home(home)), options, chosen)
    if json:
        tell((options.folder / f"{what}.json").read_text("utf-8").rstrip())
    else:
        tell(f"Image {built.reference} is built by {built.tool}: {built.size / 1e6:.0f} MB unpacked.")
        tell(f"Its id is {built.id}" + (f", and its digest in the registry {built.digest}." if built.digest else "."))
        tell(f"Record and bill of materials: {options.folder / what}.json and {built.sbom}")
        if what != "rollout":
            tell(f"The chart takes it with: --values {options.folder / what}.values.yaml")
    complaint = built.complaint()
    if complaint:
        typer.secho(complaint, fg=typer.colors.RED, err=True)
        raise typer.Exit(FAILED)
