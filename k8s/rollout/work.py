"""What every part of a driver at work needs: the cluster, the record, the Lease, and a voice."""

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from k8s.rollout import chart, release
from k8s.rollout.api import Api
from k8s.rollout.errors import RolloutError, Unreachable
from k8s.rollout.helm import Helm
from k8s.rollout.lease import Lease
from k8s.rollout.live import Live
from k8s.rollout.options import Options
from k8s.rollout.plan import Revision
from k8s.rollout.record import Record, Records

_POLL_S = 1.0
SCALED_S = 90.0
"""Seconds until an autoscaler's recommendation follows requests that came back: its metrics' window, and its own look.
Before that it would shrink a track that was idle to its least."""
_REVISIONS = 20
"""Revisions beside the plan's that Helm keeps: steps back, and those before."""


class Failed(RolloutError):
    """The new version is worse, or does not run: it has to go."""

    status = 4


class TimedOut(RolloutError):
    """No data, or no verdict, for as long as was allowed."""

    status = 3


class Asked(RolloutError):
    """A person asked, by another command, for the rollout to end."""

    status = 4


@dataclass
class Work:
    """One driver's work on one rollout.

    Attributes:
        api, helm, live, records, record, lease: of the rollout.
        options: it was started with.
        say: writes one line for the person who watches.
    """

    api: Api
    helm: Helm
    live: Live
    records: Records
    record: Record
    lease: Lease
    options: Options
    say: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    _chart: Path | None = None

    def __post_init__(self) -> None:
        self.live.since = self.record.began
        self.helm.history_max = max(self.helm.history_max, len(self.record.plan) + _REVISIONS)

    def save(self) -> None:
        """Write the record.

        Raises:
            Taken: another driver has the rollout, whose record it is now.
            Asked: another command wants it aborted.
        """
        self.lease.check()
        if self.records.save(self.record) == "abort":
            raise Asked("A person asked for it (kubectl canary abort).")

    def write(self) -> None:
        """Write the record, whatever was asked for meanwhile."""
        self.lease.check()
        self.records.save(self.record)

    def sleep(self, seconds: float) -> None:
        """Wait, with an ear for other commands and an eye on the Lease.

        Raises:
            Taken, Asked: as of ``save``.
        """
        until = time.monotonic() + seconds
        while True:
            self.lease.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(_POLL_S, left))
            if int(left) % 2 == 0 and self._asked() == "abort":
                raise Asked("A person asked for it (kubectl canary abort).")

    def _asked(self) -> str:
        try:
            return self.records.asked(self.record)
        except Unreachable:
            return ""  # the next look tells, and the Lease sees to it that this ends

    def write_without_evidence(self) -> None:
        """Write the record, if need be without the state of the statistics: too large a one must stop no way back."""
        try:
            self.write()
        except Unreachable:
            self.record.analysis = None
            self.write()

    def take_over(self, number: int) -> None:
        """Go on from a revision that someone else made, with its chart."""
        self.record.current, self._chart = number, None

    def newest(self) -> release.Revision:
        """The release's newest revision."""
        return release.newest(self.api, self.record.release)

    def made(self) -> release.Revision:
        """The revision that a driver made last."""
        return release.revision(self.api, self.record.release, self.record.current)

    def description(self, name: str = "") -> str:
        """What Helm keeps of a revision of this rollout, once it is made."""
        return f"{self.record.name}: {name}"

    def is_ours(self, found: release.Revision) -> bool:
        """Whether a revision that was made is one of this rollout's."""
        return found.description.startswith(self.description())

    def shrinks(self) -> bool:
        """Whether stable's autoscaler gets a smaller minimum once the canary is gone."""
        values = self.made().values
        # A chart that someone deployed meanwhile may be older.
        return int((values.get("canary") or {}).get("stableMin", 0)) > int(values["autoscaling"]["min"])

    def upgrade(self, wanted: Revision, *, force: bool = False) -> None:
        """Make a revision by the release's own chart, and remember its number."""
        self.lease.check()
        if self._chart is None:
            folder = Path(tempfile.mkdtemp(prefix="kubectl-canary-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._chart = chart.write(self.made().chart, folder / "chart")
        said = self.description(wanted.name)
        self.helm.upgrade(self.record.release, self._chart, wanted.values, description=said, force=force)
        self.record.current = max(release.history(self.api, self.record.release))

    def rollback(self, number: int, *, force: bool) -> None:
        """Go back to a revision, and remember the number that this made."""
        self.lease.check()
        self.helm.rollback(self.record.release, number, force=force)
        self.record.current = max(release.history(self.api, self.record.release))

    def overdue(self) -> bool:
        """Whether this driver has worked for as long as it may."""
        return time.monotonic() - self.started > self.options.max_minutes * 60
