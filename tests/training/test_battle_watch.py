"""The reference for drift is made as serving observes, and a pod of the flagship stays within its series."""

from pathlib import Path

import numpy as np
import pytest

from bentos.adapter import Rows, Scores
from bentos.battle import features
from bentos.battle.watch import COLUMNS, NUMBERS, TYPES
from bentos.contract import LiveReference
from bentos.core import Core
from bentos.errors import BundleError
from bentos.metrics import Metrics
from tests import bundles, exports
from training import battle_watch
from training.battle_watch import Seen, observe, reference
from training.bundle import assemble
from training.expectation import draw_requests
from training.export import Watched

MOST_SERIES = 600
COUNT = 300
LIVE = LiveReference(accuracy=0.94, brier=0.05, from_outcomes=18_000, described_as="recommended attacks")


def seen_by(core: Core, count: int = COUNT) -> Seen:
    def answer(rows: features.Matrix) -> Scores:
        return features.restore(core.scores(Rows(len(rows.x), rows.x)), rows)

    return observe(core.duels.dex, answer, count)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    folder = tmp_path_factory.mktemp("watched")
    fitted = exports.fitted_small("xgboost")
    plain = exports.export_small(fitted, folder / "plain", grid=(1,))
    first = Core.open(assemble(plain.folder, "1", None, folder / "first"))
    watched = Watched(*reference(first.duels.dex, seen_by(first)), LIVE)
    exported = exports.export_small(fitted, folder / "export", grid=(1,), watched=watched)
    return Core.open(assemble(exported.folder, "2", None, folder / "bundle"))


def test_serving_observes_what_the_reference_was_made_of(core: Core) -> None:
    seen = seen_by(core)
    requests = draw_requests(core.duels.dex, COUNT, battle_watch.SEED)
    for values, score, request in zip(seen.values, seen.scores, requests, strict=True):
        said = core.rank(core.duel(*request))
        assert said.observe is not None
        assert said.observe().tolist() == values.tolist()
        assert said.score == pytest.approx(score, abs=1e-6)


def test_a_row_of_tensors_is_observed_as_the_duel_that_it_is(core: Core) -> None:
    row = {"pokemon_a": ["mew"], "move_a": ["surf"], "pokemon_b": ["onix"], "move_b": ["tackle"]}
    rows = core.adapter.columns(row)
    duel = core.rank(core.duel("mew", "onix", ["surf"], ["tackle"]))
    assert duel.observe is not None
    assert core.adapter.observation(rows, 0).tolist() == duel.observe().tolist()
    named = dict(zip(COLUMNS, duel.observe().tolist(), strict=True))
    types = core.duels.dex.type_names
    assert [types[int(named[name])] for name in TYPES] == ["Psychic", "Rock", "Water"]
    assert [named[name] for name in NUMBERS][:2] == [600, 385]


def test_shares_are_of_all_requests(core: Core) -> None:
    assert [column.name for column in core.contract.monitored] == list(COLUMNS)
    for column in core.contract.monitored:
        assert sum(column.shares) == pytest.approx(1)
    assert core.contract.score_bins is not None
    assert sum(core.contract.score_bins.shares) == pytest.approx(1)


def test_a_pod_of_the_flagship_has_no_more_series_than_stated(core: Core) -> None:
    metrics = Metrics()
    metrics.bind(core.contract)
    lines = [line for line in metrics.expose()[0].decode().splitlines() if not line.startswith("#")]
    assert any(line.startswith("model_offline_accuracy_ratio") for line in lines)
    assert len(lines) <= MOST_SERIES, len(lines)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ({"name": "weather", "edges": [0.5], "shares": [0.5, 0.5]}, r"cannot watch weather; it can watch type_a"),
        (
            {"name": "type_a", "edges": [0.5], "shares": [0.5, 0.5]},
            r"type_a of a battle bundle is binned by categories",
        ),
        (
            {"name": "faster_by", "categories": ["1"], "shares": [1.0]},
            r"faster_by of a battle bundle is binned by edges",
        ),
    ],
)
def test_columns_that_nobody_can_compute_are_refused(column: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=sentence):
        Core.open(bundles.write(tmp_path / "bundle", monitored=[column]))


def test_references_of_two_seeds_differ_by_chance_alone(core: Core) -> None:
    first, second = (seen_by(core, 200), observe(core.duels.dex, lambda rows: np.full(len(rows.x), 0.5), 200, seed=9))
    assert first.values.shape == second.values.shape == (200, len(COLUMNS))
    assert (first.values != second.values).any()
