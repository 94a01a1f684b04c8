"""``pdx dataset``: generate, ship, check and look at the duels that models are trained on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import FAILED, Bad, Home, refusals, tell
from training.settings import DATA

app = typer.Typer(no_args_is_help=True, help="The duels that models are trained on, and the engine that plays them.")


class Kind(StrEnum):
    """What generated rows are for."""

    DUELS = "duels"
    CALIBRATION = "calibration"
    GATE = "gate"
    REQUESTS = "requests"


class PartOption(StrEnum):
    """Which pairs a source may hold."""

    TRAINING = "training"
    CALIBRATION = "calibration"
    GATE = "gate"
    ANY = "any"


KindOption = Annotated[Kind, typer.Option(help="What the rows are for; it decides their part of the split.")]
Shards = Annotated[
    Path | None, typer.Option(help="Folder of finished shards; shards in --home by default.", show_default=False)
]
Folder = Annotated[Path, typer.Option(help="Folder of the files that ship.")]


@app.command()
def generate(
    *,
    kind: KindOption = Kind.DUELS,
    seed: Annotated[int, typer.Option(min=0, help="What every draw and every duel follows from.")] = 1,
    shards: Annotated[int, typer.Option(min=1, help="How many files.")] = 1,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a file; for requests, requests of 16 rows.")] = 50_000,
    shard: Annotated[
        list[int] | None, typer.Option(help="Only this shard; give it again for more.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Engine processes; one a core by default.", show_default=False)
    ] = None,
    out: Shards = None,
    home: Home = None,
) -> None:
    """Play duels with the battle engine; shards that are there already are not played again."""
    import os

    from training.dataset.engine import install
    from training.dataset.generate import Job, load_attacks
    from training.dataset.generate import generate as play_all
    from training.dataset.progress import playing

    wanted = list(range(shards)) if shard is None else shard
    if any(not 0 <= number < shards for number in wanted):
        raise typer.BadParameter(f"--shard must be between 0 and {shards - 1}, the last of --shards.")
    with refusals():
        folder = out or _shards(home)
        job = Job(kind.value, seed, shards, rows)
        missing = job.missing(folder, wanted)
        if not missing:
            tell(f"All {len(wanted)} shards are in {folder} already.")
            return
        install(tell)
        with playing(f"{len(missing)} of {len(wanted)} shards", len(missing) * job.duels_a_shard) as tick:
            play_all(
                job,
                folder,
                load_attacks(DATA / "dex.json"),
                workers=workers or os.cpu_count() or 1,
                only=missing,
                tick=tick,
            )
    tell(f"{len(wanted)} shards are in {folder}.")


@app.command()
def ship(shards: Shards = None, out: Folder = DATA, home: Home = None) -> None:
    """Merge finished shards into the files that ship, and write the manifest and the data card's numbers."""
    from training.dataset.ship import ship as merge

    with refusals():
        written = merge(shards or _shards(home), out, DATA / "dex.json")
    for entry in written["kinds"].values():
        tell(f"{entry['file']}: {entry['rows']:,} rows from {len(entry['shards'])} shards")


@app.command()
def check(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Parquet file of duels, folder of shards, SQLAlchemy URL, or generator:seed=1,shards=2,rows=50000; "
            "what ships by default.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[str, typer.Option(help="Table of a database.")] = "duels",
    bad: Annotated[Bad, typer.Option(help="What to do with rows that cannot be used.")] = Bad.REFUSE,
    aside: Annotated[
        Path | None,
        typer.Option(
            help="File for rows set aside, .parquet or .csv; beside the source by default.", show_default=False
        ),
    ] = None,
    part: Annotated[PartOption, typer.Option(help="The only part of the split that is allowed.")] = PartOption.TRAINING,
    folder: Annotated[Path, typer.Option(help="Folder of the files that ship, checked without a source.")] = DATA,
    home: Home = None,
) -> None:
    """Check that every row can be used: known names, legal attacks, right types, pairs of the right part.

    What ships is also compared with its manifest, file by file and shard by shard, and so is the dex.
    Exits with 1 when rows were set aside or a shipped file is at fault, with 2 when the source is refused.
    """
    from training.dataset.errors import BadRows
    from training.dataset.read import duels
    from training.dataset.split import Part
    from training.settings import home_folder

    if source is None:
        _check_shipped(folder)
        return
    with refusals():
        if home is not None:
            home_folder(home)
        try:
            found = duels(
                source,
                table=table,
                bad=bad.value,
                aside=aside,
                part=None if part is PartOption.ANY else Part(part.value),
            )
        except BadRows as error:
            for line in error.first:
                tell(line)
            if len(error.first) < error.bad:
                tell(f"… and {error.bad - len(error.first)} more")
            raise
    tell(f"{len(found):,} of {found.rows:,} rows can be used; digest {found.digest}.")
    if found.bad:
        for line in found.first:
            tell(line)
        for kind, count in found.counts.items():
            tell(f"{count:,} × {kind}")
        tell(f"{found.bad:,} rows are set aside in {found.aside}.")
        raise typer.Exit(FAILED)


def _check_shipped(folder: Path) -> None:
    from training.dataset.check import check_shipped

    with refusals():
        findings = check_shipped(folder, DATA / "dex.json")
    for finding in findings:
        unit = "species" if finding.kind == "dex" else "rows"
        tell(f"{finding.kind}: {finding.fault or f'{finding.rows:,} {unit}, all as the manifest says'}")
    if any(finding.fault for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def info(folder: Folder = DATA) -> None:
    """Print the numbers of the data card, counted anew."""
    from bentos.battle.dex import Dex
    from training.dataset.card import numbers

    with refusals():
        tell(numbers(folder, Dex.load(DATA / "dex.json")))


@app.command()
def verify(
    kind: KindOption = Kind.GATE,
    shard: Annotated[int, typer.Option(min=0, help="Which shard.")] = 0,
    folder: Folder = DATA,
) -> None:
    """Play a shard again and compare the digest of its rows with the manifest."""
    from training.dataset.check import verify_shard
    from training.dataset.engine import install

    with refusals():
        install(tell)
        rows = verify_shard(folder, kind.value, shard, DATA / "dex.json")
    tell(f"Shard {shard} of {kind} gives the same {rows:,} rows.")


@app.command()
def dex(
    write: Annotated[bool, typer.Option(help="Replace the shipped table instead of only comparing.")] = False,
) -> None:
    """Extract the dex from the engine anew and compare it with the table that ships; exits with 1 when they differ."""
    import difflib

    from training.dataset.engine import extract_dex, install

    path = DATA / "dex.json"
    with refusals():
        install(tell)
        made = extract_dex()
    shipped = path.read_bytes() if path.is_file() else b""
    if made == shipped:
        tell("The dex is the engine's.")
        return
    for line in difflib.unified_diff(
        shipped.decode().splitlines(), made.decode().splitlines(), "shipped", "engine", "", "", 1, ""
    ):
        tell(line)
    if not write:
        raise typer.Exit(FAILED)
    path.write_bytes(made)
    tell("The dex is written.")


def _shards(home: Path | None) -> Path:
    from training.settings import home_folder

    return home_folder(home) / "shards"
