"""``pdx release``: from the champion to the command that lets users try it."""

from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from training.release import Made


def command(
    release: Annotated[
        str, typer.Argument(help="Name of the Helm release that the model goes to.", show_default=False)
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="More options of `kubectl canary start`, after --.", show_default=False),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version to release; the champion by default.", show_default=False)
    ] = None,
    stable: Annotated[
        str | None,
        typer.Option(
            help="URL of the REST door to ask which version stable runs; the cluster is asked by default.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", help="Namespace of the release; the context's by default.", show_default=False
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig; the current one by default.", show_default=False)
    ] = None,
    base: ImageBase = None,
    registry: ImageRegistry = LOCAL,
    repository: ImageRepository = None,
    tool: ImageTool = None,
    archive: ImageArchive = None,
    push: Annotated[bool, typer.Option("--push", help="Push the image, so that the cluster can pull it.")] = False,
    start: Annotated[bool, typer.Option("--start", help="Run the command that is printed; needs --push.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and build nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Bundle the champion against the version that stable runs, build its image, and print the canary's command.

    Where stable runs that version already nothing is done, and the exit status is 0. With --start it is that of
    `kubectl canary start`: 3 where the rollout is held for a person, 4 where the new version was taken back.
    """
    if start and not push:
        raise typer.BadParameter("--start needs --push: a cluster runs what its registry has.")
    from training import image, image_tool, settings
    from training.registry import Registry
    from training.release import Made, Target, chosen, make, planned
    from training.release import start as run
    from training.stable import by_url, in_cluster

    target = Target(release, namespace, context, tuple(words or ()))
    with refusals():
        # Before anything that takes minutes.
        builder = None if dry_run else image_tool.choose(tool)
        running = (
            by_url(stable, settings.MODEL_NAME) if stable else in_cluster(release, namespace=namespace, context=context)
        )
        places = settings.resolve(tracking_uri, home)
        versions = Registry(places.tracking_uri)
        number = chosen(versions, version, running)
        options = image.Options(
            base=base or image.BASE,
            repository=repository or f"{registry.rstrip('/')}/serving",
            folder=places.home / "images",
            archive=archive,
            push=push,
        )
        if number == running.version:
            _say(Made(running.model, number, number), json)
            return
        if builder is None:
            _say(planned(number, running, target, options), json, made_now=False)
            return
        made, built = make(versions, number, running, target, places=places, options=options, tool=builder)
    _say(made, json)
    complaint = built.complaint()
    if complaint:
        typer.secho(complaint, fg=typer.colors.RED, err=True)
        raise typer.Exit(FAILED)
    if start and made.command:
        with refusals():
            status = run(made.command)
        raise typer.Exit(status)


def _say(made: "Made", as_json: bool, *, made_now: bool = True) -> None:
    from json import dumps
    from shlex import join

    if as_json:
        tell(dumps(made.document(), indent=1))
        return
    if made.command is None:
        tell(f"Stable runs version {made.version} of {made.model} already; there is nothing to release.")
        return
    expected = made.expectation
    if not made_now:
        tell(f"Version {made.version} would be bundled against version {made.against}, which stable runs.")
        tell(f"Its image would be {made.image}, and then:")
    elif expected:
        tell(
            f"Version {made.version} recommends another attack than version {made.against}, which stable runs, in "
            f"{expected.flip_rate:.2%} of {expected.pairs:,} requests."
        )
    if made_now:
        tell(f"Image {made.image} is built{' and pushed' if made.digest else ''}.")
    tell(join(made.command))
