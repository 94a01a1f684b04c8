"""Prediction ids: signed, stateless, enough for feedback to be scored on any replica.

An id is base64url of these bytes, numbers little-endian:

    1   format (high half, 1) and kind (low half)
    2   which key signed
    1   length of the version, then that many bytes of it (ASCII)
    4   seconds since 1970
    8   a number that no other id has
    …   what was answered, see ``Kind``
    12  to 14, signature: keyed BLAKE2b (RFC 7693) of a digest of the model's name, adapter, task and classes, and of
        all bytes before it

The signature takes as many bytes as make the whole divisible by three: base64 then needs no padding and has no bits
that mean nothing, so there is one spelling of an id. An id holds nothing secret: who has it can read what was answered.
"""

import json
import logging
import re
import secrets
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Sequence
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from itertools import count, islice
from struct import Struct
from time import time
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bentos import settings
from bentos.adapter import Scores
from bentos.contract import Contract
from bentos.errors import PredictionRefused, SettingsError
from bentos.secretfile import SecretFile, lines

SETTING: Final = "PDX_IDS_KEYS_FILE"
MOST_SCORES: Final = 32
"""Classes up to which an id holds the probability of each."""
_KEY_BYTES: Final = 32
_LEAST_MAC_BYTES: Final = 12
_FORMAT: Final = 0x10
_SKEW_SECONDS: Final = 300
"""How far the clocks of replicas may be apart."""
_PERSON: Final = b"pdx prediction"
_KEY_LINE: Final = re.compile(r"[0-9a-fA-F]{64}")
_TEXT: Final = re.compile(r"(?:[A-Za-z0-9_-]{4}){10,64}")
_URL: Final = bytes.maketrans(b"+/", b"-_")
_HEAD_BYTES: Final = 4  # before the version
_STAMP: Final = Struct("<IQ")
_DUEL: Final = Struct("<HHIIf")

log = logging.getLogger(__name__)


class Kind(IntEnum):
    """What an id says was answered."""

    BINARY = 1
    """P(class 1), float32."""
    MULTICLASS = 2
    """The answered class's number, uint32; then P of each class, float16, or of more than 32 that of the answered
    one, float32."""
    REGRESSION = 3
    """The value, float64."""
    DUEL = 4
    """A ranked duel: codes of both species, uint16; CRC-32 of the engine ids of the recommended attack and of the best
    reply to it; P(A wins), float32. Checksums, because codes of attacks change with the dex of a version."""
    PAIRING = 5
    """One row of a model of duels, which recommends nothing: P(A wins), float32."""


class Signed(NamedTuple):
    """What an id says, its signature and age checked.

    Attributes:
        kind: what was answered.
        version: of the model that answered.
        issued: seconds since 1970.
        nonce: a number that no other id has.
        scores: P(class 1), P of each class or of the answered one alone, or the value.
        label: number of the answered class; None for a value.
        attacks: ``attack_mark`` of the recommended attack and of the best reply; None but for a ranked duel.
    """

    kind: Kind
    version: str
    issued: int
    nonce: int
    scores: tuple[float, ...]
    label: int | None = None
    attacks: tuple[int, int] | None = None


class _Key:
    """A signing key and the two bytes of an id that name it; no tuple, whose ``repr`` would show it."""

    __slots__ = ("mark", "secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _KEY_BYTES:
            raise SettingsError(f"A signing key has {_KEY_BYTES} bytes.")
        self.secret = secret
        self.mark = blake2b(key=secret, digest_size=2, person=b"pdx key").digest()


class _Signer:
    """Signs one kind of answer of one model with one key; everything that does not change is hashed already."""

    __slots__ = ("_head", "_state")

    def __init__(self, key: _Key, contract: Contract, kind: Kind) -> None:
        version = contract.version.encode()
        self._head = bytes([_FORMAT | kind]) + key.mark + bytes([len(version)]) + version
        self._state = _mac(key, contract, len(self._head) + _STAMP.size + _answer_struct(kind, contract).size)
        self._state.update(self._head)

    def one(self, body: bytes) -> str:
        state = self._state.copy()
        state.update(body)
        return b2a_base64(self._head + body + state.digest(), newline=False).translate(_URL).decode()

    def many(self, bodies: bytes, n: int) -> list[str]:
        head, copy, width = self._head, self._state.copy, len(bodies) // n
        parts: list[bytes] = []
        for start in range(0, len(bodies), width):
            body = bodies[start : start + width]
            state = copy()
            state.update(body)
            parts += head, body, state.digest()
        # Each part is divisible by three, so the base64 of all is the base64 of each, joined.
        text = b2a_base64(b"".join(parts), newline=False).translate(_URL).decode()
        width = len(text) // n
        return [text[start : start + width] for start in range(0, len(text), width)]


class _Signers(NamedTuple):
    """Made for one contract and one content of the key file, and thrown away when either is another object."""

    contract: Contract
    keys: tuple[_Key, ...]
    kind: Kind
    row: Struct
    rows: _Signer
    duel: _Signer | None


class Ids:
    """Signs and reads prediction ids; safe to use from several threads.

    Args:
        keys: signing keys of 32 bytes, the first signs and all verify; None takes a random one, whose ids only this
            object reads.
        max_age_seconds: how old an id may be when it is read.
        file: gives the keys instead; ``open`` makes it.
    """

    def __init__(
        self,
        keys: Sequence[bytes] | None = None,
        max_age_seconds: float = 30 * 86_400,
        *,
        file: SecretFile[tuple[_Key, ...]] | None = None,
    ) -> None:
        self._file = file
        self._fixed = tuple(_Key(key) for key in keys or [secrets.token_bytes(_KEY_BYTES)])
        self._max_age_seconds = max_age_seconds
        self._made: _Signers | None = None
        self._secrets: tuple[tuple[_Key, ...] | None, tuple[bytes, ...]] = (None, ())
        # Never the same twice in a process, and from a random start of 63 bits hardly ever in two.
        self._nonces = count(secrets.randbits(63))

    @classmethod
    def open(cls, given: settings.Ids) -> "Ids":
        """Take the keys of a file, and take them again whenever it changes; without a file, warn.

        Raises:
            SettingsError: the file cannot be read, a line is no key, or there is none.
        """
        if given.keys_file is not None:
            return cls(max_age_seconds=given.max_age_seconds, file=SecretFile(given.keys_file, _parse, SETTING))
        log.warning(
            "%s is not set, so prediction ids are signed with a random key: feedback works on the replica and during "
            "the life of the process that answered only.",
            SETTING,
        )
        return cls(max_age_seconds=given.max_age_seconds)

    @property
    def ok(self) -> bool:
        """Whether the key file as it is now could be read, ``prediction_keys_reload_success``; true without one."""
        return self._file is None or self._file.ok

    @property
    def shared(self) -> bool:
        """Whether other replicas can read what is signed here, since a file gives the keys."""
        return self._file is not None

    def secrets(self) -> tuple[bytes, ...]:
        """The keys as they are now, the signing one first, to derive others from; the same object until they change."""
        keys, (made_of, secrets) = self._keys(), self._secrets
        if made_of is not keys:
            secrets = tuple(key.secret for key in keys)
            self._secrets = (keys, secrets)
        return secrets

    def rows(self, contract: Contract, scores: Scores) -> list[str]:
        """An id for each of n rows, from what the model says of them."""
        made, n = self._signers(contract), len(scores)
        if n == 1:
            if made.kind is not Kind.MULTICLASS:
                return [made.rows.one(made.row.pack(int(time()), next(self._nonces), scores.item()))]
            first = scores[0]
            answered = (int(first.argmax()), *_kept(first))
            return [made.rows.one(made.row.pack(int(time()), next(self._nonces), *answered))]
        if n == 0:
            return []
        payload = _payload(made.kind, scores)
        bodies = np.empty(n, np.dtype([("issued", "<u4"), ("nonce", "<u8"), ("payload", payload.dtype)]))
        bodies["issued"] = int(time())
        bodies["nonce"] = np.fromiter(islice(self._nonces, n), np.uint64, n)
        bodies["payload"] = payload
        return made.rows.many(bodies.tobytes(), n)

    def duel(self, contract: Contract, pokemon_a: int, move_a: str, pokemon_b: int, move_b: str, *, p: float) -> str:
        """The id of a ranked duel: of the recommended attack against the best reply.

        Args:
            contract: of a model of duels.
            pokemon_a: species code.
            move_a: engine id of the recommended attack.
            pokemon_b: species code.
            move_b: engine id of the best reply to it.
            p: P(A wins) of that pairing.
        """
        signer = self._signers(contract).duel
        assert signer is not None  # noqa: S101  for the type checker: only models of duels rank one
        answered = _DUEL.pack(pokemon_a, pokemon_b, attack_mark(move_a), attack_mark(move_b), p)
        return signer.one(_STAMP.pack(int(time()), next(self._nonces)) + answered)

    def read(self, contract: Contract, text: str, now: float | None = None) -> Signed:
        """What an id says.

        Args:
            contract: the model feedback is taken for; ids of its other versions are read too, unless their classes
                are others.
            text: the id.
            now: seconds since 1970; None takes the clock.

        Raises:
            PredictionRefused: it was not signed here or for another model, is too old, or is from the future.
        """
        raw = urlsafe_b64decode(text) if _TEXT.fullmatch(text) else b""
        kind = _kind(raw, contract)
        if kind is None:
            raise _refused("This is no prediction id of this model.")
        answer, start = _answer_struct(kind, contract), _HEAD_BYTES + raw[3]
        end = start + _STAMP.size + answer.size
        if not self._is_signed(contract, raw, end):
            raise _refused("The prediction id was not signed here, or is of another model.")
        issued, nonce = _STAMP.unpack_from(raw, start)
        self._check_age((time() if now is None else now) - issued)
        answered = answer.unpack_from(raw, start + _STAMP.size)
        return _signed(kind, raw[_HEAD_BYTES:start].decode("ascii"), (issued, nonce), answered)

    def _is_signed(self, contract: Contract, raw: bytes, end: int) -> bool:
        signed = False
        for key in self._keys():
            if key.mark == raw[1:3]:
                mac = _mac(key, contract, end)
                mac.update(raw[:end])
                signed |= compare_digest(mac.digest(), raw[end:])
        return signed

    def _check_age(self, age_seconds: float) -> None:
        if age_seconds > self._max_age_seconds:
            raise _refused(
                f"The prediction id is {_duration(age_seconds)} old, and feedback is taken for "
                f"{_duration(self._max_age_seconds)}."
            )
        if age_seconds < -_SKEW_SECONDS:
            raise _refused("The prediction id is from the future.")

    def _keys(self) -> tuple[_Key, ...]:
        return self._fixed if self._file is None else self._file.get()

    def _signers(self, contract: Contract) -> _Signers:
        keys, made = self._keys(), self._made
        if made is None or made.contract is not contract or made.keys is not keys:
            kind, *more = _kinds(contract)
            duel = _Signer(keys[0], contract, Kind.DUEL) if more else None
            row = Struct(_STAMP.format + _row_format(kind, contract))
            made = self._made = _Signers(contract, keys, kind, row, _Signer(keys[0], contract, kind), duel)
        return made


def attack_mark(engine_id: str) -> int:
    """What an id keeps of an attack: a checksum of 32 bits, different for any two attacks of the dex."""
    return crc32(engine_id.encode())


def _parse(text: str) -> tuple[_Key, ...]:
    keys = []
    for number, line in lines(text):
        if not _KEY_LINE.fullmatch(line):
            raise SettingsError(f"line {number} is not {_KEY_BYTES} bytes in hex")
        keys.append(_Key(bytes.fromhex(line)))
    if not keys:
        raise SettingsError("it holds no key")
    return tuple(keys)


def _kinds(contract: Contract) -> tuple[Kind, ...]:
    """What the model answers: the kind of its rows first."""
    if contract.adapter == "battle":
        return Kind.PAIRING, Kind.DUEL
    return (Kind[contract.task.name],)


def _kind(raw: bytes, contract: Contract) -> Kind | None:
    return next((kind for kind in _kinds(contract) if raw[:1] == bytes([_FORMAT | kind])), None)


def _row_format(kind: Kind, contract: Contract) -> str:
    """What was answered to a row, as ``struct`` writes it after the byte order."""
    if kind is Kind.MULTICLASS:
        classes = len(contract.classes or ())
        return f"I{classes}e" if classes <= MOST_SCORES else "If"
    return "d" if kind is Kind.REGRESSION else "f"


def _answer_struct(kind: Kind, contract: Contract) -> Struct:
    return _DUEL if kind is Kind.DUEL else Struct(f"<{_row_format(kind, contract)}")


def _kept(p: NDArray[np.float64]) -> list[float]:
    """Of the probabilities of each class [classes] those that an id holds."""
    kept: list[float] = (p if len(p) <= MOST_SCORES else p[p.argmax()][None]).tolist()
    return kept


def _payload(kind: Kind, scores: Scores) -> NDArray[Any]:
    """What was answered to n rows, as the bytes of ids [n]."""
    if kind is not Kind.MULTICLASS:
        return scores.astype("<f8" if kind is Kind.REGRESSION else "<f4")
    n, classes = scores.shape
    label = scores.argmax(axis=1)
    whole = classes <= MOST_SCORES
    payload = np.empty(n, np.dtype([("label", "<u4"), ("p", "<f2", (classes,)) if whole else ("p", "<f4")]))
    payload["label"] = label
    payload["p"] = scores if whole else scores[np.arange(n), label]
    return payload


def _signed(kind: Kind, version: str, stamp: tuple[int, int], answered: tuple[Any, ...]) -> Signed:
    if kind is Kind.REGRESSION:
        return Signed(kind, version, *stamp, answered)
    if kind is Kind.MULTICLASS:
        return Signed(kind, version, *stamp, answered[1:], answered[0])
    p = answered[-1]
    return Signed(kind, version, *stamp, (p,), int(p >= 0.5), answered[2:4] if kind is Kind.DUEL else None)


def _mac_bytes(before: int) -> int:
    """Bytes of the signature after so many others; see the module's docstring."""
    return _LEAST_MAC_BYTES + -before % 3


def _mac(key: _Key, contract: Contract, before: int) -> Any:
    model = [contract.name, contract.adapter, contract.task, contract.classes]
    state = blake2b(key=key.secret, digest_size=_mac_bytes(before), person=_PERSON)
    state.update(blake2b(json.dumps(model).encode(), digest_size=32).digest())
    return state


def _duration(seconds: float) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds:.0f} s"


def _refused(sentence: str) -> PredictionRefused:
    return PredictionRefused(sentence, [{"field": "prediction_id"}])
