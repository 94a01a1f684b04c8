import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bentos.bundle import Bundle
from bentos.contract import CONTRACT_FILE
from bentos.errors import ContractError, DigestError


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def change(folder: Path, **fields: Any) -> None:
    contract = folder / CONTRACT_FILE
    contract.write_text(json.dumps({**json.loads(contract.read_text()), **fields}))


def test_a_good_bundle_is_opened(bundle: Path) -> None:
    opened = Bundle.load(bundle)
    assert opened.contract.name == "battle"
    assert opened.path("model.onnx").read_bytes()[:1] == b"\x08"


def test_the_file_that_bentomls_store_adds_is_tolerated(copy: Path) -> None:
    (copy / "model.yaml").write_text("name: battle\n")
    Bundle.load(copy)


def test_a_changed_byte_is_refused(copy: Path) -> None:
    model = bytearray((copy / "model.ubj").read_bytes())
    model[len(model) // 2] ^= 1
    (copy / "model.ubj").write_bytes(model)
    with pytest.raises(DigestError, match=r"^The bundle's 'model.ubj' is not the file that was packed: .*\.$"):
        Bundle.load(copy)


def test_a_missing_and_an_extra_file_are_refused(copy: Path) -> None:
    (copy / "card.md").rename(copy / "notes.md")
    with pytest.raises(DigestError, match=r"holds 'notes.md', which its contract does not list"):
        Bundle.load(copy)
    (copy / "notes.md").unlink()
    with pytest.raises(DigestError, match=r"'card.md' is missing"):
        Bundle.load(copy)


@pytest.mark.parametrize("version", [0, 2, "1", True, 1.0, None])
def test_another_schema_version_is_refused_before_its_fields_are_read(copy: Path, version: object) -> None:
    change(copy, schema_version=version, a_field_of_the_future=1)
    with pytest.raises(ContractError, match=r"has schema version .*, and this server reads 1 only\.$"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", r"contract.json is not JSON: .*\.$"),
        (b"[]", r"schema version None"),
        (b'{"schema_version": 1}', r"is not a contract: name: Field required"),
    ],
)
def test_what_is_no_contract_is_refused(copy: Path, text: bytes, sentence: str) -> None:
    (copy / CONTRACT_FILE).write_bytes(text)
    with pytest.raises(ContractError, match=sentence):
        Bundle.load(copy)


def test_an_unknown_field_is_refused(copy: Path) -> None:
    change(copy, colour="red")
    with pytest.raises(ContractError, match=r"colour: Extra inputs are not permitted"):
        Bundle.load(copy)


def test_no_folder_is_refused_without_naming_a_path(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"contract.json cannot be read") as refused:
        Bundle.load(tmp_path / "nowhere")
    assert str(tmp_path) not in str(refused.value)


def test_a_file_the_contract_does_not_list_is_not_given_out(bundle: Path) -> None:
    with pytest.raises(ContractError, match=r"lists no secrets.txt"):
        Bundle.load(bundle).path("secrets.txt")


def test_a_long_schema_version_is_not_repeated_whole(copy: Path) -> None:
    change(copy, schema_version="x" * 100_000)
    with pytest.raises(ContractError, match=r"reads 1 only\.$") as refused:
        Bundle.load(copy)
    assert len(str(refused.value)) < 200
