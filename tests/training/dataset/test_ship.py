import json
import re
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.dataset.card import fill
from training.dataset.check import check_shipped, verify_shard
from training.dataset.draw import PART_OF_KIND, Kind, draw
from training.dataset.errors import ShipError
from training.dataset.generate import Job, generate
from training.dataset.read import duels, replays
from training.dataset.schema import DUEL_SCHEMA, PAIRING, REPLAY_SCHEMA, REQUEST_SCHEMA, digest
from training.dataset.ship import manifest, ship
from training.settings import DATA

Attacks = dict[str, list[str]]
JOBS = (Job("duels", 6, 3, 40), Job("calibration", 6, 2, 5), Job("gate", 6, 2, 5), Job("requests", 6, 1, 2))
DEX = DATA / "dex.json"
MEASURED = {"winner": "a", "turns": 3, "replays": 60, "mean_turns": 3.0}


def write_shard(job: Job, shard: int, folder: Path, attacks: Attacks) -> None:
    """A shard with the right draws and made-up outcomes."""
    schema = {"duels": DUEL_SCHEMA, "requests": REQUEST_SCHEMA}.get(job.kind, REPLAY_SCHEMA)
    rows = [
        {
            name: getattr(pairing, name) if name in (*PAIRING, "request") else MEASURED.get(name, 7)
            for name in schema.names
        }
        for pairing in draw(job.kind, attacks, job.seed, shard, job.rows)
    ]
    arrays = []
    for field in schema:
        array = pa.array([row[field.name] for row in rows])
        arrays.append(
            array.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else array.cast(field.type)
        )
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), job.path(folder, shard))


@pytest.fixture
def shards(attacks: Attacks, tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for job in JOBS:
        for shard in range(job.shards):
            write_shard(job, shard, folder, attacks)
    return folder


@pytest.fixture
def shipped(shards: Path, tmp_path: Path) -> Path:
    ship(shards, tmp_path / "out", DATA / "dex.json")
    return tmp_path / "out"


def test_shards_become_files_a_manifest_and_a_card(shards: Path, shipped: Path) -> None:
    assert {path.name for path in shipped.iterdir()} == {
        "duels.parquet", "calibration.parquet", "gate.parquet", "requests.parquet", "manifest.json", "README.md",
    }  # fmt: skip
    assert duels(shipped / "duels.parquet").digest == duels(shards).digest
    assert len(replays(shipped / "requests.parquet")) == 32
    kinds = manifest(shipped).kinds
    assert {kind: entry.job for kind, entry in kinds.items()} == {job.kind: job for job in JOBS}
    assert kinds["duels"].digests == tuple(digest(pq.read_table(JOBS[0].path(shards, n))) for n in range(3))
    assert [finding.fault for finding in check_shipped(shipped, DEX)] == [None] * 5
    card = (shipped / "README.md").read_text()
    assert "| `duels.parquet` | 120 | 120 | " in card
    assert "| duels | 1.0000 | 0.0000 | 0.000000 |" in card
    ship(shards, shipped, DATA / "dex.json")
    assert (shipped / "README.md").read_text() == card


def test_a_changed_row_is_found(shipped: Path) -> None:
    table = pq.read_table(shipped / "duels.parquet")
    turns = table["turns"].to_pylist()
    turns[50] += 1
    pq.write_table(table.set_column(5, "turns", pa.array(turns, pa.int16())), shipped / "duels.parquet")
    pq.write_table(pq.read_table(shipped / "gate.parquet").slice(1), shipped / "gate.parquet")
    pq.write_table(pq.read_table(shipped / "calibration.parquet"), shipped / "requests.parquet")
    faults = {finding.kind: finding.fault or "" for finding in check_shipped(shipped, DEX)}
    assert faults["duels"] == "The rows of shard 1 in duels.parquet are not those of the manifest."
    assert faults["gate"] == "gate.parquet has 9 rows, its manifest says 10."
    assert "of the calibration part, not of gate" in faults["requests"]
    assert not faults["calibration"]


def test_a_file_written_anew_with_the_same_rows_is_named(shipped: Path) -> None:
    pq.write_table(pq.read_table(shipped / "gate.parquet"), shipped / "gate.parquet", compression="none")
    faults = {finding.kind: finding.fault for finding in check_shipped(shipped, DEX)}
    assert re.fullmatch(
        r"gate\.parquet is not the file of the manifest: its sha256 is [0-9a-f]{16}…, not [0-9a-f]{16}…\.",
        faults.pop("gate") or "",
    )
    assert set(faults.values()) == {None}


def test_another_dex_is_named(shipped: Path, tmp_path: Path) -> None:
    other = tmp_path / "dex.json"
    other.write_bytes(DEX.read_bytes() + b"\n")
    first, *rest = check_shipped(shipped, other)
    assert first.fault is not None
    assert first.fault.startswith("dex.json is not the file of the manifest: its sha256 is ")
    assert [finding.fault for finding in rest] == [None] * 4
    other.write_text("{}")
    (only,) = check_shipped(shipped, other)
    assert only.fault is not None
    assert only.fault.endswith("It cannot be read.")
    other.unlink()
    (only,) = check_shipped(shipped, other)
    assert only.fault == f"There is no file {other}."


def test_shards_that_make_no_whole_are_refused(shards: Path, attacks: Attacks, tmp_path: Path) -> None:
    out, dex = tmp_path / "out", DATA / "dex.json"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ShipError, match="holds no finished shard"):
        ship(tmp_path / "empty", out, dex)
    write_shard(Job("gate", 7, 1, 5), 0, shards, attacks)
    with pytest.raises(ShipError, match="gate shards of several seeds or sizes"):
        ship(shards, out, dex)
    Job("gate", 7, 1, 5).path(shards, 0).unlink()
    JOBS[0].path(shards, 1).rename(JOBS[0].path(shards, 3))
    with pytest.raises(ShipError, match="lacks duels shard 1"):
        ship(shards, out, dex)
    JOBS[0].path(shards, 3).rename(JOBS[0].path(shards, 1))
    JOBS[0].path(shards, 0).replace(JOBS[0].path(shards, 2))
    write_shard(JOBS[0], 0, shards, attacks)
    with pytest.raises(ShipError, match=r"0002\.parquet is not what its seed draws from this dex: pokemon_a differs"):
        ship(shards, out, dex)
    assert not (out / "manifest.json").exists()


def test_no_shipped_kind_is_lost(shards: Path, shipped: Path, tmp_path: Path) -> None:
    before = (shipped / "manifest.json").read_bytes()
    one = tmp_path / "one"
    one.mkdir()
    for shard in shards.glob("duels-*.parquet"):
        (one / shard.name).write_bytes(shard.read_bytes())
    with pytest.raises(ShipError, match="holds no shard of that"):
        ship(one, shipped, DATA / "dex.json")
    assert (shipped / "manifest.json").read_bytes() == before
    assert all(finding.fault is None for finding in check_shipped(shipped, DEX))


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ShipError, match=r"has no manifest\.json"):
        check_shipped(tmp_path, DEX)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ShipError, match="is not a dataset manifest"):
        check_shipped(tmp_path, DEX)


def test_a_card_without_a_place_for_numbers() -> None:
    with pytest.raises(ShipError, match="has lost the two comments"):
        fill("# Card", "numbers")


@pytest.mark.usefixtures("engine")
def test_a_shard_is_verified_by_playing_it_again(attacks: Attacks, tmp_path: Path) -> None:
    generate(Job("duels", 3, 2, 15), tmp_path / "shards", attacks, workers=2)
    ship(tmp_path / "shards", tmp_path, DATA / "dex.json")
    assert verify_shard(tmp_path, "duels", 1, DATA / "dex.json") == 15
    with pytest.raises(ShipError, match="has no shard 2 of duels"):
        verify_shard(tmp_path, "duels", 2, DATA / "dex.json")
    path = tmp_path / "manifest.json"
    written = json.loads(path.read_text())
    written["kinds"]["duels"]["shards"][1]["digest"] = "0" * 64
    path.write_text(json.dumps(written))
    with pytest.raises(ShipError, match="Shard 1 of duels has digest"):
        verify_shard(tmp_path, "duels", 1, DATA / "dex.json")


def test_what_ships_is_whole_and_large_enough() -> None:
    findings = {finding.kind: finding for finding in check_shipped(DATA, DEX)}
    assert {kind: finding.fault for kind, finding in findings.items()} == dict.fromkeys(("dex", *get_args(Kind)))
    assert findings["duels"].rows >= 400_000
    assert min(findings["calibration"].rows, findings["gate"].rows) >= 1_500
    assert findings["requests"].rows == 300 * 16
    requests = replays(DATA / "requests.parquet")
    assert requests.request is not None
    assert set(requests.request.tolist()) == set(range(300))


def test_no_pair_of_the_gate_was_ever_trained_on() -> None:
    seen = {
        kind: set(
            (duels(DATA / "duels.parquet", part=None) if kind == "duels" else replays(DATA / f"{kind}.parquet"))
            .pairs()
            .tolist()
        )
        for kind in get_args(Kind)
    }
    assert all(seen.values())
    for kind, pairs in seen.items():
        for other, others in seen.items():
            assert PART_OF_KIND[kind] is PART_OF_KIND[other] or not pairs & others
