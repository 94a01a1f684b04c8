"""Calls helm, the only writer of what the chart renders."""

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from k8s.rollout.errors import Refused, Unreachable

_S: Final = 330
"""Longer than Helm's own limit on one operation, 300 s."""
_TAIL: Final = 700  # characters of what helm said
CONFLICT: Final = "conflict"


class Helm:
    """helm 4 on one cluster and namespace.

    Args:
        program: path of helm; PATH by default.
        kubeconfig, context: as kubectl has them.
        namespace: of the release.
        history_max: revisions that are kept, so many that the first one of a rollout is never pruned.

    Raises:
        Refused: there is no helm, or an older one.
    """

    def __init__(
        self, program: str | None, kubeconfig: str | None, context: str | None, namespace: str, history_max: int = 60
    ) -> None:
        found = shutil.which(program or "helm")
        if found is None:
            raise Refused(f"{program or 'helm'} is not on PATH; rollouts need helm 4.")
        self._program = found
        self._options = ["--namespace", namespace]
        if kubeconfig:
            self._options += ["--kubeconfig", kubeconfig]
        if context:
            self._options += ["--kube-context", context]
        self.history_max = history_max

    def require_version(self) -> None:
        """Refuse helm 3, whose upgrades are merged on the client's side and see no conflict."""
        said = self.run("version", "--template", "{{.Version}}").strip()
        if not said.startswith("v4."):
            raise Refused(f"{self._program} is helm {said}; rollouts need helm 4, which applies on the server's side.")

    def upgrade(self, release: str, chart: Path, values: dict[str, Any], *, description: str, force: bool) -> None:
        """``helm upgrade`` by values on top of the release's own; without a wait, which is the driver's.

        Raises:
            Unreachable: helm failed, with its own word.
        """
        words = ["upgrade", release, str(chart), "--reset-then-reuse-values", "--values", "-"]
        words += ["--history-max", str(self.history_max), "--description", description[:256]]
        self.run(*words, *(["--force-conflicts"] if force else []), stdin=json.dumps(values))

    def rollback(self, release: str, revision: int, *, force: bool) -> None:
        """``helm rollback``, which also clears a revision that was left pending.

        Raises:
            Unreachable: helm failed, with its own word.
        """
        words = ["rollback", release, str(revision), "--history-max", str(self.history_max)]
        self.run(*words, *(["--force-conflicts"] if force else []))

    def dry_run(self, release: str, chart: Path, values: dict[str, Any]) -> None:
        """Have the API server look at a revision without making it.

        Raises:
            Refused: it would not be taken, with helm's word.
        """
        words = ["upgrade", release, str(chart), "--reset-then-reuse-values", "--values", "-"]
        try:
            self.run(*words, "--dry-run=server", "--hide-secret", stdin=json.dumps(values))
        except Unreachable as error:
            raise Refused(f"The chart does not take this rollout: {error}") from None

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run helm; returns what it printed.

        Raises:
            Unreachable: it ended with another status than 0, or took too long.
        """
        local = words[0] in {"show", "version"}
        command: Sequence[str] = [self._program, *words, *([] if local else self._options)]
        try:
            with _stopped_afterwards():
                done = subprocess.run(
                    command,
                    input=stdin,
                    stdin=subprocess.DEVNULL if stdin is None else None,
                    capture_output=True,
                    text=True,
                    timeout=_S,
                    env={**os.environ, "HELM_DEBUG": "false"},
                    check=False,
                    # Ctrl-C is for the driver, which then says where it stopped; a helm in mid-upgrade finishes.
                    start_new_session=True,
                )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"helm {words[0]} took more than {_S} s.") from None
        if done.returncode != 0:
            raise Unreachable(f"helm {words[0]} failed: {(done.stderr.strip() or done.stdout.strip())[-_TAIL:]}")
        return done.stdout


@contextmanager
def _stopped_afterwards() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM until the block's end: an exception in it would kill helm in mid-upgrade."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda it, _: came.append(it)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for it in came[:1]:
            signal.raise_signal(it)
