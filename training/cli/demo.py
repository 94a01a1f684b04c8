"""``pdx demo``: everything once, ending with a prediction that the packaged winner served."""

from typing import Annotated

import typer

from training.cli.common import FAILED, Home, TrackingUri
from training.cli.train import Rows, Source


def command(
    once: Annotated[bool, typer.Option("--once", help="Stop after the answer instead of serving on.")] = False,
    port: Annotated[int, typer.Option(help="Port of POST /predict/battle.", min=1, max=65535)] = 3000,
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC.", min=0, max=65535)] = 3001,
    admin_port: Annotated[int, typer.Option(help="Port of /readyz and /metrics.", min=1, max=65535)] = 3002,
    source: Source = None,
    table: Annotated[str, typer.Option(help="Table of a database source.")] = "duels",
    rows: Rows = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Train on real duels, let the gate choose, package the winner, serve it and ask it for a prediction.

    Two candidates are trained on every duel; `pdx all` trains all of them. Serves until Ctrl-C, or stops after the
    answer with --once. Exits with 0 after either, with 1 where the gate says no and no older champion is there to
    serve.
    """
    import contextlib
    import time

    from rich.console import Console

    from training import settings
    from training.cli.common import refusals, tell
    from training.cli.figures import table as figures_table
    from training.pipeline import Choice, release
    from training.serving import Ports, Serving
    from training.train import DEMO

    start = time.monotonic()
    console = Console()
    with refusals():
        choice = Choice(source=source, table=table, rows=rows, algorithms=DEMO)
        made = release(choice, settings.resolve(tracking_uri, home), tell)
        console.print(figures_table(made.result.winner.measured))
        console.print(made.verdict.table())
        if made.bundle is None or made.packed is None:
            tell(f"{made.verdict.sentence()} There is no older champion to serve.")
            raise typer.Exit(FAILED)
        console.print(f"The champion is version {made.champion}, packaged as bento {made.packed.bento}.")
        with Serving.start(made.bundle, ports=Ports(port, grpc_port, admin_port)) as serving:
            console.print(f"\nPOST {serving.url}/predict/battle")
            console.print_json(data=serving.sample)
            console.print_json(data=serving.predict(serving.sample))
            tell(f"From duels to an answer in {time.monotonic() - start:.0f} s.")
            if not once:
                # A terminal sends it to the server as well.
                with contextlib.suppress(KeyboardInterrupt):
                    tell("Serving until Ctrl-C.")
                    serving.wait()
