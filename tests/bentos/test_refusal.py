from pathlib import Path

from bentos.errors import SettingsError
from bentos.refusal import EXIT_REFUSED, refuse


def test_odd_text_is_reported_on_one_line_and_breaks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "termination.log"
    assert refuse(SettingsError("There is no setting PDX_\udcff\nFAKE\x1b[31m, Pokémon."), file) == EXIT_REFUSED
    assert file.read_bytes() == "There is no setting PDX_\\udcff\\nFAKE\\x1b[31m, Pokémon.\n".encode()


def test_a_termination_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    assert refuse(SettingsError("No."), tmp_path) == EXIT_REFUSED
