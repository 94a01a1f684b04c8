"""One driver a release: a Lease that is renewed while it works and lapses when it is killed."""

import os
import secrets
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from k8s.rollout.api import Api, Conflict, Object
from k8s.rollout.errors import NotThere, RolloutError, Taken, Unreachable

GROUP: Final = "coordination.k8s.io/v1"
SECONDS: Final = 20
"""A Lease that was not renewed for so long belongs to nobody."""
_RENEW_S: Final = 4.0
_ASKED_S: Final = 3.0
"""Seconds that the API server has for one answer, so that one which hangs costs a renewal and no more."""
_LOST_S: Final = 12.0
"""Seconds without a renewal after which its holder writes nothing, well before others may take it."""
_GONE_S: Final = 300.0
"""Seconds without a renewal after which its holder no longer waits for one."""
_POLL_S: Final = 0.2
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Lease:
    """Held for the block, by a thread of its own, since helm may take minutes.

    Args:
        api: the cluster.
        release: the release that is driven.

    Raises:
        Taken: another driver holds it.
    """

    def __init__(self, api: Api, release: str) -> None:
        self.name = f"{release}-rollout"
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._api = api.within(_ASKED_S)
        self._path = api.group(GROUP, "leases", self.name)
        self._stop = threading.Event()
        self._lost: str | None = None
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._take()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._lost is not None:
            return
        try:
            found = self._api.get(self._path)
            if found["spec"].get("holderIdentity") == self.holder:
                found["spec"]["holderIdentity"] = ""
                self._api.replace(self._path, found)
        except RolloutError:
            return  # it lapses by itself

    def check(self) -> None:
        """Raise where the Lease is lost, which has to be asked before each write.

        While it cannot be renewed this waits: whoever takes it meanwhile writes a name of their own into it, so a
        renewal that succeeds shows that nobody has.

        Raises:
            Taken: another driver has it.
            Unreachable: it could not be renewed for minutes.
        """
        while self._lost is None and (late := time.monotonic() - self._renewed) > _LOST_S:
            if late > _GONE_S:
                raise Unreachable(
                    f"The Lease {self.name} could not be renewed for {_GONE_S:g} s, and nothing was written since: "
                    "`kubectl canary resume` goes on."
                )
            time.sleep(_POLL_S)
        if self._lost is not None:
            raise Taken(self._lost)

    def _take(self) -> None:
        try:
            found = self._api.get(self._path)
        except NotThere:
            found = {"metadata": {"name": self.name}, "spec": {}}
        held = holder(found)
        if held is None and found["spec"].get("holderIdentity"):
            # Its holder's clock may be behind this one: a Lease that is still renewed has not lapsed.
            seen = found["spec"].get("renewTime")
            time.sleep(_RENEW_S * 1.5)
            found = self._api.get(self._path)
            if found["spec"].get("renewTime") != seen:
                held = found["spec"].get("holderIdentity")
        if held:
            raise Taken(f"Another driver ({held}) has this rollout: `kubectl canary status` shows it, `abort` asks it.")
        began = time.monotonic()
        found["spec"] = self._spec(found["spec"].get("leaseTransitions", 0) + 1)
        try:
            if "resourceVersion" in found["metadata"]:
                self._api.replace(self._path, found)
            else:
                self._api.create(self._api.group(GROUP, "leases"), found)
        except Conflict:
            raise Taken("Another driver has just taken this rollout.") from None
        self._renewed = began

    def _spec(self, transitions: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime(_FORMAT)
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": SECONDS,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _run(self) -> None:
        while not self._stop.wait(_RENEW_S):
            try:
                found = self._api.get(self._path)
                other = found["spec"].get("holderIdentity")
                if other != self.holder:
                    self._lost = f"Another driver ({other or 'nobody by now'}) took the Lease {self.name}."
                    return
                began = time.monotonic()
                found["spec"]["renewTime"] = datetime.now(UTC).strftime(_FORMAT)
                self._api.replace(self._path, found)
                self._renewed = began
            except NotThere:
                self._lost = f"Someone deleted the Lease {self.name}."
                return
            except Unreachable:
                continue  # ``check`` goes by the time of the last success


def holder(found: Object) -> str | None:
    """Who holds a Lease now, or None where it is free or has lapsed."""
    spec = found.get("spec") or {}
    who, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not who or not renewed:
        return None
    until = datetime.strptime(renewed, _FORMAT).replace(tzinfo=UTC) + timedelta(
        seconds=spec.get("leaseDurationSeconds", SECONDS)
    )
    return str(who) if datetime.now(UTC) < until else None


def driver(api: Api, release: str) -> str | None:
    """Who drives a release now."""
    try:
        return holder(api.get(api.group(GROUP, "leases", f"{release}-rollout")))
    except NotThere:
        return None
