"""A folder is the old one or the new one, whenever the process that replaces it is killed."""

from pathlib import Path

import pytest

from tests import killed
from training.folder import recover, replacing

MARK = "mark.txt"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "1"
    folder.mkdir()
    (folder / MARK).write_text("old")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("renames", [0, 1])
def test_a_killed_replacement_leaves_the_old_folder(renames: int, out: Path) -> None:
    killed.while_replacing(out, MARK, renames)
    assert out.exists() == (renames == 0)
    recover(out)
    assert (out / MARK).read_text() == "old"
    assert names(out.parent) == ["1"]


def test_the_next_replacement_finds_what_the_killed_one_moved(out: Path) -> None:
    killed.while_replacing(out, MARK)
    with pytest.raises(ValueError, match="interrupted"), replacing(out, MARK, ValueError):
        raise ValueError("interrupted")
    assert (out / MARK).read_text() == "old"
    with replacing(out, MARK, ValueError) as folder:
        (folder / MARK).write_text("new")
    assert (out / MARK).read_text() == "new"
    assert names(out.parent) == ["1"]


def test_what_was_made_meanwhile_stays(out: Path) -> None:
    killed.while_replacing(out, MARK)
    out.mkdir()
    (out / MARK).write_text("newer")
    recover(out)
    assert (out / MARK).read_text() == "newer"
    assert names(out.parent) == ["1"]


def test_a_living_process_keeps_what_it_has_in_work(out: Path) -> None:
    with replacing(out, MARK, ValueError) as folder:
        recover(out)
        (folder / MARK).write_text("new")
    assert (out / MARK).read_text() == "new"


def test_the_folder_comes_back_where_the_new_one_cannot_take_its_name(out: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(out, MARK, ValueError) as folder:
        folder.rmdir()
    assert (out / MARK).read_text() == "old"
    assert names(out.parent) == ["1"]


def test_folders_of_a_longer_name_are_not_taken(out: Path) -> None:
    longer = out.rename(out.with_name("1-canary"))
    killed.while_replacing(longer, MARK)
    recover(out)
    assert not out.exists()
    recover(longer)
    assert (longer / MARK).read_text() == "old"
