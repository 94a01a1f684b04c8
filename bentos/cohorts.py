"""Whose traffic a request is: users', or that of a cohort that counts apart, by a signed mark or by a tester's header.

A mark is ``v1.COHORT.EXPIRY.SIGNATURE``, the expiry in seconds since 1970. The signature is base64url of HMAC-SHA256
(RFC 2104) over all that stands before it, under a key derived from one that signs prediction ids and from the model's
name, so that neither signs in place of the other. Without a signature anyone could step out of the objectives that
users' traffic is held against. A mark that is not good is no error: its request counts as users' traffic.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from time import time
from typing import Final, NamedTuple

from bentos.ids import Ids

HEADER: Final = "x-pdx-cohort"
"""Carries a mark, over HTTP as a header and over gRPC as metadata."""
TESTERS: Final = "x-canary"
"""Carries the value by which testers choose the canary; a gateway strips any other one."""
MARKED: Final = ("shadow", "golden", "test")
"""Cohorts that a mark can name."""
LIFE_SECONDS: Final = 300
"""How long a mark is good, so that one that leaks is not good for long."""
_CHOSEN: Final = "header"
_MARK: Final = re.compile(rf"(v1\.({'|'.join(MARKED)})\.([0-9]{{1,12}}))\.([A-Za-z0-9_-]{{43}})")
_DOMAIN: Final = b"predictiondex cohort mark v1\0"


class Mark(NamedTuple):
    """A mark that was made.

    Attributes:
        text: what the header holds.
        expires: seconds since 1970.
    """

    text: str
    expires: int


class Cohorts:
    """Makes and reads marks; safe to use from several threads. Knows none before it is bound.

    Args:
        header: value of ``x-canary`` that makes a tester's request one of the cohort ``header``; None for no such.
    """

    def __init__(self, header: str | None = None) -> None:
        self.header = None if header is None else header.encode()
        self._ids: Ids | None = None
        self._name = b""
        self._keys: tuple[object, tuple[bytes, ...]] = (None, ())

    def bind(self, ids: Ids, name: str) -> None:
        """Take the keys of prediction ids, whichever they are from then on.

        Args:
            ids: of the process.
            name: of the model; a mark for another one is none here.
        """
        self._name = name.encode()
        self._ids = ids

    def make(self, cohort: str, now: float | None = None) -> Mark:
        """A new mark for one of ``MARKED``; ``now`` is in seconds since 1970, None takes the clock.

        Must be bound.
        """
        expires = int(time() if now is None else now) + LIFE_SECONDS
        said = f"v1.{cohort}.{expires}"
        return Mark(f"{said}.{_signature(self._derived()[0], said)}", expires)

    def marked(self, given: bytes | str | None, now: float | None = None) -> str | None:
        """The cohort that a good mark names; None for any other text, however it came about."""
        if given is None or self._ids is None:
            return None
        text = given if isinstance(given, str) else given.decode("ascii", "replace")
        found = _MARK.fullmatch(text)
        if found is None or int(found[3]) < (time() if now is None else now):
            return None
        good = False
        for key in self._derived():
            good |= hmac.compare_digest(_signature(key, found[1]), found[4])
        return found[2] if good else None

    def of(self, mark: bytes | str | None, testers: bytes | str | None) -> str | None:
        """The cohort of a request by its two headers; None is users' traffic."""
        cohort = None if mark is None else self.marked(mark)
        if cohort is None and testers is not None and self.header is not None:
            value = testers if isinstance(testers, bytes) else testers.encode("utf-8", "surrogatepass")
            return _CHOSEN if hmac.compare_digest(value, self.header) else None
        return cohort

    def _derived(self) -> tuple[bytes, ...]:
        """A key for each that signs prediction ids, the signing one first."""
        assert self._ids is not None  # noqa: S101  for the type checker: asked of a bound one only
        secrets, (made_of, keys) = self._ids.secrets(), self._keys
        if made_of is not secrets:
            keys = tuple(hmac.digest(secret, _DOMAIN + self._name, "sha256") for secret in secrets)
            self._keys = (secrets, keys)
        return keys


def _signature(key: bytes, said: str) -> str:
    return urlsafe_b64encode(hmac.digest(key, said.encode(), "sha256")).rstrip(b"=").decode()
