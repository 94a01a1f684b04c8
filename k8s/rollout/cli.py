"""``kubectl canary``: a kubectl plugin by the name of its program, ``kubectl-canary``.

Exit status: 0 done, or promoted; 1 the cluster or a program did not do what it was asked; 2 refused, nothing was
changed; 3 held for a person; 4 rolled back; 5 another driver has the rollout; 130 interrupted, ``resume`` goes on.
"""

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console

from k8s.rollout import commands, looking
from k8s.rollout.errors import RolloutError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Take a new version of a model from a first share of the requests to all of them, while it is watched.",
    epilog=__doc__.partition("\n\n")[2].replace("``", "`"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("start")(commands.start)
app.command("promote")(commands.promote)
app.command("abort")(commands.abort)
app.command("resume")(commands.resume)
app.command("status")(looking.status)
app.command("history")(looking.history)
app.command("rbac")(looking.rbac)


class _Stopped(BaseException):
    """By Ctrl-C or SIGTERM. No KeyboardInterrupt, of which the parser of options makes an exit status of its own."""


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise _Stopped


def main() -> None:
    """Console script ``kubectl-canary``."""
    # A Job is ended by SIGTERM: as with Ctrl-C the Lease is given back, so that another driver need not wait for it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        status = app(prog_name="kubectl canary", standalone_mode=False)
    except RolloutError as error:
        errors.print(str(error), markup=False)
        sys.exit(error.status)
    except _Stopped:
        errors.print("Stopped where it is: `kubectl canary resume` goes on, `kubectl canary abort` takes it out.")
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
