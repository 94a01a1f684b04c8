"""Where this process stands: loading, ready or stopping. The doors read it; who runs the process writes it."""

from typing import TYPE_CHECKING, Literal

from bentos.errors import NotReady

if TYPE_CHECKING:
    from bentos.core import Core


class State:
    """One a process, since BentoML makes the service object itself and gives it nothing.

    Attributes:
        core: the verified model; None while it loads.
        stopping: True from the first SIGTERM on. Requests are still answered then, readiness is gone.
        supervised: whether ``bentoml serve`` runs the process, so that the service has to load the model and open
            the admin door; False under ``python -m bentos``, which says so before anything can ask.
    """

    def __init__(self) -> None:
        self.core: Core | None = None
        self.stopping = False
        self.supervised = True

    @property
    def phase(self) -> Literal["loading", "ready", "stopping"]:
        """What readiness reports."""
        if self.stopping:
            return "stopping"
        return "loading" if self.core is None else "ready"

    def require(self) -> "Core":
        """The core; raises NotReady while there is none."""
        if self.core is None:
            raise NotReady("The model is still loading.")
        return self.core


STATE = State()
