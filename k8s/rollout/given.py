"""Options that several commands share, and what they lead to."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from k8s.rollout import api as clusters
from k8s.rollout.api import Api
from k8s.rollout.helm import Helm

Release = Annotated[str, typer.Argument(help="Name of the release.", show_default=False)]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace of the release; the context's by default.")
]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of a kubeconfig, as kubectl takes it.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
Program = Annotated[str | None, typer.Option("--helm", help="Path of helm 4; the one on PATH by default.")]


class Form(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="text, or json on standard output.")]


@dataclass(frozen=True)
class Voice:
    """Progress goes to standard error, the answer to standard output."""

    form: Form

    def say(self, line: str) -> None:
        """One line of progress."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)

    def answer(self, found: Any, shown: Any) -> None:
        """The answer: JSON, or what people see of it."""
        if self.form is Form.JSON:
            typer.echo(json.dumps(found, indent=2))
            return
        console = Console(highlight=False)
        # A log is no terminal, whose width would cut the tables.
        if not console.is_terminal:
            console = Console(highlight=False, width=160)
        console.print(shown)


def cluster(kubeconfig: str | None, context: str | None, namespace: str | None) -> Api:
    """The cluster that the options lead to."""
    return clusters.connect(kubeconfig, context, namespace)


def helm(api: Api, program: str | None, kubeconfig: str | None, context: str | None) -> Helm:
    """Helm on the same cluster."""
    made = Helm(program, kubeconfig, context, api.namespace)
    made.require_version()
    return made
