import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training.dataset.draw import draw
from training.dataset.engine import extract_dex
from training.dataset.errors import EngineError
from training.dataset.generate import Job, generate, make_shard, play
from training.dataset.read import duels
from training.dataset.schema import digest
from training.settings import DATA

pytestmark = pytest.mark.usefixtures("engine")

Attacks = dict[str, list[str]]


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (Job("duels", 1, 1, 40), "169c86e503d7cdd733a9b4ac5794691ed1f91c5bdf48ad5ef6e3a191d1ad5f84"),
        (Job("requests", 3, 1, 1), "38bfc7d96ea5a470d335eafefb7cab8aca9b94487520241d4c162c4e409379da"),
    ],
)
def test_a_shard_played_again_has_the_same_digest(job: Job, expected: str, attacks: Attacks) -> None:
    played: list[int] = []
    assert digest(make_shard(job, 0, attacks, played.append)) == expected
    assert sum(played) == job.duels_a_shard


def test_what_ships_is_what_its_seed_plays(attacks: Attacks) -> None:
    # Draws of a shard do not depend on how many rows it has, so its first rows can be played without the others.
    shipped = pq.read_table(DATA / "duels.parquet").slice(0, 100)
    assert digest(make_shard(Job("duels", 1, 1, 100), 0, attacks, lambda _: None)) == digest(shipped)
    shipped = pq.read_table(DATA / "gate.parquet").slice(0, 3)
    assert digest(make_shard(Job("gate", 1, 1, 3), 0, attacks, lambda _: None)) == digest(shipped)


def test_an_interrupted_run_resumes(attacks: Attacks, tmp_path: Path) -> None:
    job = Job("duels", 9, 3, 30)
    whole = [digest(pq.read_table(path)) for path in generate(job, tmp_path / "whole", attacks, workers=2)]
    folder = tmp_path / "resumed"
    count, lock = 0, threading.Lock()

    def interrupt(played: int) -> None:
        nonlocal count
        with lock:
            count += played
            if count == 45:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(job, folder, attacks, workers=1, tick=interrupt)
    finished = sorted(path.name for path in folder.glob("*.parquet"))
    assert finished == [job.path(folder, 0).name]
    before = job.path(folder, 0).stat().st_mtime_ns
    ticks: list[int] = []
    paths = generate(job, folder, attacks, workers=2, tick=ticks.append)
    assert sum(ticks) == 60
    assert job.path(folder, 0).stat().st_mtime_ns == before
    assert [digest(pq.read_table(path)) for path in paths] == whole


def test_only_the_shards_asked_for(attacks: Attacks, tmp_path: Path) -> None:
    job = Job("duels", 9, 100, 5)
    assert generate(job, tmp_path, attacks, workers=1, only=[7, 7]) == [job.path(tmp_path, 7)]
    assert [path.name for path in tmp_path.iterdir()] == ["duels-seed9-rows5-0007.parquet"]


def test_what_another_process_is_writing_is_left_alone(attacks: Attacks, tmp_path: Path) -> None:
    job = Job("duels", 9, 1, 5)
    theirs = job.path(tmp_path, 0).with_suffix(".part")
    theirs.write_bytes(b"half a shard")
    (path,) = generate(job, tmp_path, attacks, workers=1)
    assert digest(pq.read_table(path)) == digest(make_shard(job, 0, attacks, lambda _: None))
    assert theirs.read_bytes() == b"half a shard"
    assert sorted(tmp_path.iterdir()) == [path, theirs]


def test_two_runs_of_one_shard_at_once_both_end_well(attacks: Attacks, tmp_path: Path) -> None:
    job = Job("duels", 9, 1, 200)
    script = (
        "import sys\nfrom pathlib import Path\nfrom training.dataset.generate import Job, generate, load_attacks\n"
        "generate(Job('duels', 9, 1, 200), Path(sys.argv[1]), load_attacks(Path(sys.argv[2])), workers=1)"
    )
    words = (str(tmp_path), str(DATA / "dex.json"))
    both = [subprocess.Popen([sys.executable, "-c", script, *words]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert list(tmp_path.iterdir()) == [job.path(tmp_path, 0)]
    assert digest(pq.read_table(job.path(tmp_path, 0))) == digest(make_shard(job, 0, attacks, lambda _: None))


def test_an_engine_that_ends_early_is_told(attacks: Attacks) -> None:
    pairings = list(draw("duels", attacks, 1, 0, 3))
    answers = play([pairings[0], *([pairings[1]] * 50_000)], 1)
    next(answers)
    answers.close()  # ends the engine process instead of waiting for 50,000 duels
    broken = [*pairings[:2], type(pairings[0])("nobody", "tackle", "mew", "tackle", pairings[0].seed)]
    with pytest.raises(EngineError, match=r"stopped with code \d+ after 2 of 3 pairings"):
        list(play(broken, 1))


def test_without_node_there_is_a_sentence(attacks: Attacks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no node on PATH"):
        generate(Job("duels", 1, 1, 1), tmp_path, attacks, workers=1)


def test_the_generator_is_a_source_that_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PDX_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ticks: list[int] = []
    found = duels("generator:rows=20,shards=2,seed=4", tick=ticks.append)
    assert (len(found), sum(ticks)) == (40, 40)
    assert duels("generator:rows=20,shards=2,seed=4", tick=ticks.append).digest == found.digest
    assert sum(ticks) == 40
    capsys.readouterr()
    assert duels("generator:rows=20,shards=2,seed=5").digest != found.digest
    assert "2 of 2 shards: 40 of 40 duels played (100 %)" in capsys.readouterr().err.splitlines()


def test_the_dex_that_ships_is_the_engines() -> None:
    assert extract_dex() == (DATA / "dex.json").read_bytes()
