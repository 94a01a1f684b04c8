"""``pdx promote``: make a version the champion, past the gate."""

from typing import Annotated

import typer

from training.cli.common import Home, TrackingUri

PREVIOUS = "previous"


def command(
    version: Annotated[str, typer.Argument(help="Version to promote, or 'previous' for the one that was replaced.")],
    force: Annotated[bool, typer.Option("--force", help="Go past the gate; needs --why.")] = False,
    why: Annotated[
        str | None, typer.Option(help="The reason for --force, kept with the version.", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Move the alias champion to a version the gate said yes to; --force --why goes past the gate and back again."""
    if force != bool(why and why.strip()):
        raise typer.BadParameter("--force and --why go together: going past the gate needs a reason.")
    from training import settings
    from training.cli.common import refusals, tell
    from training.promote import promote, replaced_version
    from training.registry import Registry
    from training.replays import Replays

    with refusals():
        registry = Registry(settings.resolve(tracking_uri, home).tracking_uri)
        number = replaced_version(registry) if version == PREVIOUS else version
        # A forced promotion asks no verdict, so it must not fail for want of the replays one would be of.
        digest = "" if force else Replays.read().digest
        done = promote(registry, number, digest, why=why)
    if not done.moved:
        tell(f"Version {done.version} is the champion already; nothing was changed.")
        return
    tell(f"Version {done.version} is the champion now.")
    if done.replaced:
        tell(f"It replaced version {done.replaced}. Back: pdx promote {PREVIOUS} --force --why REASON")
