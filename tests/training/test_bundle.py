"""A bundle is an export with a version: whole, sealed, and opened by serving before anybody else sees it."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bentos.bundle import Bundle
from bentos.contract import CONTRACT_FILE, Contract, Expectation
from bentos.core import Core
from bentos.errors import BundleError, DigestError, ParityError
from tests import killed
from tests.exports import BOTH, export_small, fitted_small
from tests.tracking import log_run, model_name
from training.bundle import assemble, bundle, made_from
from training.registry import REPLACED_TAG, Registry, RegistryError
from training.verdict import Verdict

EXPECTED = Expectation(
    against_version="1", pairs=1_000, flip_rate=0.25, mean_score_shift=0.01, score_shift_variance=0.002
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_small(fitted_small("xgboost"), tmp_path_factory.mktemp("xgboost") / "export", timings=BOTH).folder


@pytest.fixture(scope="module")
def other_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_small(fitted_small("xgboost", 8), tmp_path_factory.mktemp("other") / "export", timings=BOTH).folder


def test_bundle_holds_the_export_and_its_digests(exported: Path, tmp_path: Path) -> None:
    folder = assemble(exported, "12", EXPECTED, tmp_path / "bundle")
    contract = Core.open(folder).contract
    assert contract.version == "12"
    assert contract.expectation == EXPECTED
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del there["contract.json"]
    assert contract.files == there
    assert set(there) == {file.name for file in exported.iterdir()} - {"contract.draft.json"}
    draft = Contract.model_validate_json((exported / "contract.draft.json").read_bytes())
    assert contract.model_copy(update={"version": "0", "expectation": None, "files": {}}) == draft
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


def test_bundle_replaces_a_bundle_and_nothing_else(exported: Path, tmp_path: Path) -> None:
    assemble(exported, "1", None, tmp_path / "bundle")
    assert Bundle.load(assemble(exported, "2", None, tmp_path / "bundle")).contract.version == "2"
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("buy milk")
    with pytest.raises(BundleError, match="name another folder"):
        assemble(exported, "3", None, tmp_path / "notes")
    assert (tmp_path / "notes" / "todo.txt").read_text() == "buy milk"


@pytest.mark.parametrize("file", ["model.onnx", "model.ubj", "dex.json", "golden.json.gz", "card.md"])
def test_changed_bundle_is_refused(file: str, exported: Path, tmp_path: Path) -> None:
    target = assemble(exported, "1", None, tmp_path / "bundle") / file
    text = bytearray(target.read_bytes())
    text[len(text) // 2] ^= 1
    target.write_bytes(text)
    with pytest.raises(BundleError, match=file):
        Core.open(target.parent)


def test_cut_off_contract_is_refused(exported: Path, tmp_path: Path) -> None:
    target = assemble(exported, "1", None, tmp_path / "bundle") / "contract.json"
    target.write_bytes(target.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"contract\.json is not JSON"):
        Core.open(target.parent)


def test_export_of_another_model_leaves_no_bundle(exported: Path, other_export: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "export"
    mixed.mkdir()
    for file in exported.iterdir():
        (mixed / file.name).write_bytes(file.read_bytes())
    (mixed / "model.ubj").write_bytes((other_export / "model.ubj").read_bytes())
    with pytest.raises(ParityError, match="xgboost"):
        assemble(mixed, "1", None, tmp_path / "bundle")
    assert [file.name for file in tmp_path.iterdir()] == ["export"]


def test_export_without_its_contract_is_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no contract\.draft\.json"):
        assemble(tmp_path, "1", None, tmp_path / "bundle")
    draft = json.loads((exported / "contract.draft.json").read_text())
    (tmp_path / "contract.draft.json").write_text(json.dumps({**draft, "task": "guessing"}))
    with pytest.raises(BundleError, match="not a contract: task"):
        assemble(tmp_path, "1", None, tmp_path / "bundle")


@pytest.fixture
def registry(tracking_database: str, exported: Path, other_export: Path) -> Registry:
    """Two versions, neither promoted."""
    made = Registry(tracking_database, model_name())
    for folder in (exported, other_export):
        made.register(log_run(tracking_database, folder))
    return made


def test_champion_is_bundled_against_the_version_it_replaced(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no champion"):
        bundle(registry, None, None, None, tmp_path)
    registry.point_champion_at("1")
    folder = bundle(registry, None, None, None, tmp_path)
    assert folder == tmp_path / "bundles" / "1"
    assert Bundle.load(folder).contract.expectation is None
    registry.tag("2", {REPLACED_TAG: "1"})
    registry.point_champion_at("2")
    contract = Bundle.load(bundle(registry, None, None, tmp_path / "named", tmp_path)).contract
    assert contract.version == "2"
    assert contract.expectation is not None
    assert contract.expectation.against_version == "1"
    # Two models that learned from other draws differ, and the measured difference says so.
    assert contract.expectation.pairs == 1_000
    assert 0 < contract.expectation.flip_rate < 0.9
    assert contract.expectation.score_shift_variance > 0


def test_expectation_is_the_gates_where_it_compared_the_same(registry: Registry, tmp_path: Path) -> None:
    verdict = Verdict(
        model=registry.name,
        version="2",
        against="1",
        dataset_digest="0" * 64,
        pairings=10,
        clusters=5,
        confidence=0.95,
        criteria=[],
        expectation=EXPECTED,
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )
    registry.log_json("2", verdict.document(), "gate.json")
    against_first = bundle(registry, "2", "1", tmp_path / "first", tmp_path)
    assert Bundle.load(against_first).contract.expectation == EXPECTED
    # Of another pair of versions the gate's figures say nothing.
    elsewhere = EXPECTED.model_copy(update={"against_version": "7"})
    other = verdict.model_copy(update={"version": "1", "against": "7", "expectation": elsewhere})
    registry.log_json("1", other.document(), "gate.json")
    against_second = Bundle.load(bundle(registry, "1", "2", tmp_path / "second", tmp_path)).contract
    assert against_second.expectation is not None
    assert against_second.expectation.pairs == 1_000
    assert against_second.expectation.against_version == "2"


def test_only_the_expectation_is_measured_anew_and_only_where_it_has_to_be(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(registry, "2", "1", None, tmp_path)
    measured = Bundle.load(folder).contract
    assert measured.expectation is not None
    run = measured.provenance.model_copy(update={"run_id": registry.version("2").run_id})
    changes = {"expectation": measured.expectation.model_copy(update={"flip_rate": 0.123}), "provenance": run}
    marked = measured.model_copy(update=changes)
    (folder / CONTRACT_FILE).write_text(marked.model_dump_json())
    assert Bundle.load(bundle(registry, "2", "1", None, tmp_path)).contract.expectation == marked.expectation
    (folder / CONTRACT_FILE).write_text(marked.model_dump_json())
    # What was measured on fewer requests than are wanted now does not do.
    monkeypatch.setenv("PDX_GATE_REQUESTS", "1001")
    again = Bundle.load(bundle(registry, "2", "1", None, tmp_path)).contract
    assert again.expectation is not None
    assert (again.expectation.pairs, again.files) == (1_001, measured.files)


def test_a_bundle_that_a_killed_process_moved_aside_is_known_again(exported: Path, tmp_path: Path) -> None:
    folder = assemble(exported, "1", None, tmp_path / "1")
    before = Bundle.load(folder).contract
    killed.while_replacing(folder, "contract.json")
    assert made_from(folder) == before.provenance.run_id
    assert Bundle.load(folder).contract == before


def test_digest_error_is_what_serving_raises(exported: Path, tmp_path: Path) -> None:
    folder = assemble(exported, "1", None, tmp_path / "bundle")
    (folder / "extra.txt").write_text("not packed")
    with pytest.raises(DigestError, match=r"extra\.txt"):
        Bundle.load(folder)
