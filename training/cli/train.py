"""``pdx train``: fit, measure and export the candidates, and register the best; nothing is promoted."""

from typing import Annotated

import typer

from training.cli.common import Bad, Home, TrackingUri

Source = Annotated[
    str | None,
    typer.Option(
        # Everybody on the machine can read an argument, and a URL may hold a password.
        envvar="PDX_SOURCE",
        help="Parquet file, folder of shards, SQLAlchemy URL, or generator:seed=1,shards=2,rows=50000, which plays "
        "2 × 50,000 duels with the battle engine; the shipped duels by default.",
        show_default=False,
    ),
]
Rows = Annotated[int | None, typer.Option(min=1000, help="Train on a random subsample of this many duels.")]


def command(
    algorithm: Annotated[
        list[str] | None, typer.Option(help="Candidate to train; give it again for more. All by default.")
    ] = None,
    source: Source = None,
    table: Annotated[str, typer.Option(help="Table of a database source.")] = "duels",
    bad: Annotated[Bad, typer.Option(help="What to do with rows that cannot be used.")] = Bad.REFUSE,
    rows: Rows = None,
    trials: Annotated[int, typer.Option(min=0, help="Optuna trials a candidate; resumed where a run stopped.")] = 0,
    folds: Annotated[int, typer.Option(min=0, max=20, help="Folds of the cross-validation; 0 for none.")] = 0,
    learning_curve: Annotated[bool, typer.Option(help="Also fit on growing shares of the duels.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Of everything random; the same seed gives the same model.", show_default=False)
    ] = None,
    register: Annotated[bool, typer.Option(help="Register the winner as a version.")] = True,
    gate: Annotated[bool, typer.Option("--gate", help="Judge the new version as `pdx gate` does.")] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Train the candidates, log each to MLflow, and register the best as a new version.

    The version is not the champion before `pdx gate` and `pdx promote` say so. With --gate it is judged as well: exits
    with 0 on a yes, 3 on a no.
    """
    if gate and not register:
        raise typer.BadParameter("--gate and --no-register do not go together: only a registered version is judged.")
    from training import settings
    from training.cli.common import JUDGED_NO, leave, refusals, tell
    from training.cli.gate import show
    from training.gate import run as judge
    from training.pipeline import Choice, train_and_register
    from training.registry import Registry
    from training.replays import Replays

    with refusals():
        choice = Choice(
            algorithms=tuple(algorithm or ()),
            source=source,
            table=table,
            bad=bad.value,
            rows=rows,
            trials=trials,
            folds=folds,
            curve=learning_curve,
            **({} if seed is None else {"seed": seed}),
        )
        places = settings.resolve(tracking_uri, home)
        _, version = train_and_register(choice, places, tell, register=register)
        if not gate:
            return
        verdict = judge(Registry(places.tracking_uri), Replays.read(), places.home / "exports", version=version)
    show(verdict)
    leave(verdict.sentence())
    if not verdict.passed:
        raise typer.Exit(JUDGED_NO)
