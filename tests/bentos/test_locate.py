from pathlib import Path

import pytest

from bentos.errors import SettingsError
from bentos.locate import bundle_folder
from bentos.settings import Settings

SETTINGS = Settings.model_construct(bundle=None)


def bento(folder: Path, *tags: str) -> Path:
    """A bento's manifest; returns where the code would lie."""
    code = folder / "src" / "bentos"
    code.mkdir(parents=True)
    models = "".join(f"\n- tag: {tag}\n  module: ''" for tag in tags) or " []"
    (folder / "bento.yaml").write_text(f"service: bentos.service:PredictionDex\nmodels:{models}\n")
    return code


def test_a_named_folder_comes_first(tmp_path: Path) -> None:
    code = bento(tmp_path / "bento", "battle:1")
    assert bundle_folder(Settings.model_construct(bundle=tmp_path), code) == tmp_path


def test_an_exported_bento_carries_the_model_of_its_tag(tmp_path: Path) -> None:
    code = bento(tmp_path / "bento", "battle:2-abc")
    for version in ("1-aaa", "2-abc"):
        (tmp_path / "bento" / "models" / "battle" / version).mkdir(parents=True)
    assert bundle_folder(SETTINGS, code) == tmp_path / "bento" / "models" / "battle" / "2-abc"


def test_a_stored_bento_finds_it_in_the_model_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    code = bento(tmp_path / "home" / "bentos" / "predictiondex" / "1", "battle:1-abc")
    stored = tmp_path / "home" / "models" / "battle" / "1-abc"
    stored.mkdir(parents=True)
    assert bundle_folder(SETTINGS, code) == stored


@pytest.mark.parametrize("tags", [(), ("battle:1", "battle:2")])
def test_a_bento_with_no_or_two_models_is_refused(tmp_path: Path, tags: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=rf"^The bento has {len(tags)} models, and exactly one is served\.$"):
        bundle_folder(SETTINGS, bento(tmp_path, *tags))


def test_a_bento_whose_model_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    with pytest.raises(SettingsError, match=r"^The bento's model battle:1 is neither in the bento nor"):
        bundle_folder(SETTINGS, bento(tmp_path, "battle:1"))


def test_outside_a_bento_a_folder_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^No bundle is named: set PDX_BUNDLE or --bundle to its folder\.$"):
        bundle_folder(SETTINGS, tmp_path / "src" / "bentos")
