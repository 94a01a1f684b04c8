"""A bundle on disk: opened, checked against its contract, and only then given out."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from pydantic import ValidationError

from bentos.contract import CONTRACT_FILE, SCHEMA_VERSION, Contract
from bentos.errors import ContractError, DigestError

MODEL_ONNX: Final = "model.onnx"
MODEL_UBJ: Final = "model.ubj"
_SHOWN: Final = 64
"""Characters of a foreign text that a message repeats."""
_STORE_FILE: Final = "model.yaml"  # BentoML's model store writes it into the folder of every model it keeps


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose files are the ones that were packed.

    Attributes:
        folder: where the files lie.
        contract: the parsed ``contract.json``.
    """

    folder: Path
    contract: Contract

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Parse the contract and check the digest of every file.

        Raises:
            ContractError: contract.json is missing, unreadable, or not of this schema version.
            DigestError: a file is missing, extra, or not the one that was packed.
        """
        contract = _contract(folder)
        _check_files(folder, contract)
        return cls(folder, contract)

    def path(self, name: str) -> Path:
        """Path of a file that the contract lists; raises ContractError where it does not."""
        if name not in self.contract.files:
            raise ContractError(f"The contract lists no {name}, which this model needs.")
        return self.folder / name


def _contract(folder: Path) -> Contract:
    file = folder / CONTRACT_FILE
    try:
        if not _is_regular(file):
            raise ContractError(f"The bundle's {CONTRACT_FILE} is not a regular file.")
        text = file.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ContractError(f"The bundle's {CONTRACT_FILE} cannot be read: {reason}.") from error
    try:
        table = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ContractError(f"The bundle's {CONTRACT_FILE} is not JSON: {error.msg}.") from error
    version = table.get("schema_version") if isinstance(table, dict) else None
    # Before the fields: of another version they mean something else, and the first odd field would be the message.
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ContractError(
            f"The bundle's {CONTRACT_FILE} has schema version {_cut(repr(version))}, "
            f"and this server reads {SCHEMA_VERSION} only."
        )
    try:
        return Contract.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "as a whole"
        raise ContractError(
            f"The bundle's {CONTRACT_FILE} is not a contract: {_cut(where)}: {first['msg']} "
            f"({error.error_count()} such faults)."
        ) from error


def _is_regular(path: Path) -> bool:
    """Whether reading it ends: a pipe or a device may never."""
    return stat.S_ISREG(path.stat().st_mode)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _check_files(folder: Path, contract: Contract) -> None:
    there = {entry.name for entry in folder.iterdir()} - {CONTRACT_FILE, _STORE_FILE}
    for name in sorted(there - contract.files.keys()):
        raise DigestError(f"The bundle holds {name!r}, which its contract does not list.")
    for name, expected in sorted(contract.files.items()):
        if name not in there:
            raise DigestError(f"The bundle's {name!r} is missing.")
        try:
            if not _is_regular(folder / name):
                raise DigestError(f"The bundle's {name!r} is not a regular file.")
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DigestError(f"The bundle's {name!r} cannot be read.") from error
        if found != expected:
            raise DigestError(
                f"The bundle's {name!r} is not the file that was packed: "
                f"its sha256 is {found[:12]}…, the contract says {expected[:12]}…."
            )
