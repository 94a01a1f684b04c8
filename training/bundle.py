"""Makes the folder that serving runs from an export: adds the version, the expectation and the digest of every file."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from bentos.contract import CONTRACT_FILE, Contract, Expectation
from bentos.errors import BundleError
from training.folder import recover, replacing

if TYPE_CHECKING:
    from training.registry import Registry

_DRAFT: Final = "contract.draft.json"


def assemble(export_folder: Path, version: str, expectation: Expectation | None, out: Path) -> Path:
    """Write the bundle ``out`` in one step, opened once as serving opens it; returns ``out``.

    Args:
        export_folder: what ``training.export.export`` wrote.
        version: the registry's version number.
        expectation: how differently the version may answer from another; None where there is no other.
        out: the folder; a bundle that was there before is replaced.

    Raises:
        BundleError: the export has no readable contract or holds folders, serving would refuse the result, or ``out``
            holds something else than a bundle. Nothing is written then.
    """
    from bentos.core import Core

    draft = _draft(export_folder)
    with replacing(out, CONTRACT_FILE, BundleError) as folder:
        digests = {}
        for file in sorted(export_folder.iterdir()):
            if not file.is_file():
                raise BundleError(f"An export holds files only, and {file.name} is something else.")
            if file.name != _DRAFT:
                shutil.copyfile(file, folder / file.name)
                digests[file.name] = hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
        contract = Contract.model_validate(
            {**draft.model_dump(), "version": version, "expectation": expectation, "files": digests}
        )
        (folder / CONTRACT_FILE).write_text(contract.model_dump_json(indent=1) + "\n", encoding="utf-8")
        Core.open(folder)
    return out


def made_from(folder: Path) -> str | None:
    """The run a bundle was made from; None where there is no readable bundle. A number alone names no registry."""
    contract = _contract(folder)
    return contract.provenance.run_id if contract else None


def _contract(folder: Path) -> Contract | None:
    recover(folder)
    try:
        return Contract.model_validate_json((folder / CONTRACT_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def _draft(export_folder: Path) -> Contract:
    try:
        return Contract.model_validate_json((export_folder / _DRAFT).read_bytes())
    except FileNotFoundError as error:
        raise BundleError(f"The export has no {_DRAFT}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "as a whole"
        raise BundleError(f"The export's {_DRAFT} is not a contract: {where}: {first['msg']}.") from error


def bundle(registry: "Registry", version: str | None, against: str | None, out: Path | None, home: Path) -> Path:
    """Bundle a registered version together with how differently it may answer from another one.

    Args:
        registry: where the versions are.
        version: number of the version; None for the champion.
        against: number of the other version; None for the champion, or, when the champion itself is bundled, for the
            version it replaced. There is no expectation where there is no such version.
        out: the folder; None for one of the version's name in ``home``.
        home: folder of what the project writes; exports are kept in it.

    Raises:
        RegistryError: a version does not exist, there is no champion, or an export cannot be read.
        BundleError: the export cannot be served.
    """
    from training.registry import RegistryError

    champion = registry.champion()
    number = version or champion
    if number is None:
        raise RegistryError("There is no champion yet; promote a version, or name one with --version.")
    export_folder = registry.export_folder(number, home / "exports")
    other = against or (champion if champion != number else registry.previous())
    folder = out or home / "bundles" / number
    expected = _expectation(registry, number, other, folder, home) if other not in {None, number} else None
    return assemble(export_folder, number, expected, folder)


def _expectation(registry: "Registry", number: str, other: str, folder: Path, home: Path) -> Expectation:
    """What was measured when the same two were compared before, from as many requests, or else what is measured now."""
    import tempfile

    from training.contender import Contender
    from training.expectation import draw_requests, expectation, requests_wanted

    wanted = requests_wanted()
    for kept in _measured(registry, number, folder, home):
        if kept.against_version == other and kept.pairs >= wanted:
            return kept
    with tempfile.TemporaryDirectory(prefix="pdx-bundle-") as scratch:
        new, old = (
            Contender.open(v, assemble(registry.export_folder(v, home / "exports"), v, None, Path(scratch) / v))
            for v in (number, other)
        )
        return expectation(new.core, old.core, draw_requests(new.dex, wanted))


def _measured(registry: "Registry", number: str, folder: Path, home: Path) -> Iterator[Expectation]:
    """Expectations of a version that are there already: of its bundle, and of the gate's last verdict."""
    from training.verdict import FILE, Verdict

    contract = _contract(folder)
    if contract and contract.expectation and contract.provenance.run_id == registry.version(number).run_id:
        yield contract.expectation
    kept = registry.read_artifact(number, FILE, home / "exports")
    judged = None if kept is None else Verdict.parse(kept)
    if judged and judged.version == number and judged.expectation:
        yield judged.expectation
