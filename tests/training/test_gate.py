"""The gate on real bundles: models trained on a known truth, whole and worsened, judged on replays of that truth."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import xgboost as xgb
from typer.testing import CliRunner

from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.contract import Calibration
from bentos.errors import BundleError
from tests.tracking import log_run, model_name
from training.bundle import assemble
from training.candidates import Fitted
from training.contender import Contender, fair_ms, largest_request, request_ms, show, usual_request
from training.dataset.draw import draw
from training.dataset.schema import REPLAY_SCHEMA
from training.expectation import REQUESTS, answers, draw_requests, expectation, requests_wanted
from training.export import Origin, export, random_pairings
from training.gate import Bounds, compare, judge, run
from training.promote import promote
from training.registry import PromotionRefused, Registry, UnknownVersion
from training.replays import GateError, Replays
from training.settings import DATA, MODEL_NAME
from training.statistics import clustered_mean
from training.verdict import FILE, Stamp, Verdict

RACE = features.FEATURES.index("race")
# Tests run beside others on a busy machine; that the gate does measure time has a test of its own.
BOUNDS = Bounds(usual_ms=1_000, largest_ms=1_000)


@pytest.fixture(scope="session")
def dex() -> Dex:
    return Dex.load(DATA / "dex.json")


@pytest.fixture(scope="session")
def replay_file(dex: Dex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 pairings of the gate part, replayed 60 times by a truth that models can learn: the damage race."""
    attacks = {name: [dex.attack_ids[a] for a in dex.attacks_of(s)] for s, name in enumerate(dex.species_ids)}
    drawn = list(draw("gate", {name: known for name, known in attacks.items() if known}, 7, 0, 1_500))
    names: dict[str, list[Any]] = {
        name: [getattr(pairing, name) for pairing in drawn] for name in ("pokemon_a", "move_a", "pokemon_b", "move_b")
    }
    codes = [
        np.array([(dex.attack if "move" in name else dex.species)(one) for one in column], np.int32)
        for name, column in names.items()
    ]
    matrix = features.rows(dex, *codes)
    truth = features.restore(matrix.x[:, RACE], matrix)
    rng = np.random.default_rng(3)
    counts = {f"wins_{half}": rng.binomial(30, truth) for half in (1, 2)}
    nothing = np.zeros(len(drawn), int)
    rest = {"draws_1": nothing, "draws_2": nothing, "replays": nothing + 60, "mean_turns": nothing + 3.0}
    table = pa.table({**names, **counts, **rest}).select(REPLAY_SCHEMA.names).cast(REPLAY_SCHEMA)
    file = tmp_path_factory.mktemp("replays") / "gate.parquet"
    pq.write_table(table, file)
    return file


@pytest.fixture(scope="session")
def replays(replay_file: Path) -> Replays:
    return Replays.read(replay_file)


@pytest.fixture(scope="session")
def exports(dex: Dex, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of a good model, of the same cut to five trees, and of one trained on labels that are partly shuffled."""
    matrix = features.rows(dex, *random_pairings(dex, 20_000, seed=5))
    label = matrix.x[:, RACE]
    rng = np.random.default_rng(4)
    some = rng.permutation(len(label))[: len(label) // 2]
    shuffled = label.copy()
    shuffled[some] = 1 - label[rng.permutation(some)]
    params = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "nthread": 1, "seed": 1}
    good = xgb.train(params, xgb.DMatrix(matrix.x, label), 80)
    models = {"good": good, "cut": good[:5], "shuffled": xgb.train(params, xgb.DMatrix(matrix.x, shuffled), 80)}
    golden = [{"request": {"pokemon_a": "pikachu", "pokemon_b": "blastoise"}, "truth": {}}]
    folder = tmp_path_factory.mktemp("exports")
    return {
        name: export(
            Fitted("xgboost", booster, {}, len(label)),
            folder / name,
            dex=DATA / "dex.json",
            calibration=Calibration(),
            golden=golden,
            metrics={},
            origin=Origin("0" * 32, "0" * 40, "0" * 64, len(label)),
            card=lambda _: "# A model for tests\n",
            rows=10_000,
        ).folder
        for name, booster in models.items()
    }


@pytest.fixture(scope="session")
def contender(exports: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Contender]:
    folder = tmp_path_factory.mktemp("bundles")

    def opened(name: str, version: str) -> Contender:
        return Contender.open(version, assemble(exports[name], version, None, folder / version))

    return opened


@pytest.fixture
def registry(tracking_database: str, exports: dict[str, Path]) -> Registry:
    """Versions 1 and 2 are the good model, 3 the one cut to five trees."""
    registry = Registry(tracking_database, model_name())
    for name in ("good", "good", "cut"):
        registry.register(log_run(tracking_database, exports[name]))
    return registry


def refused(verdict: Verdict) -> set[str]:
    return {criterion.name for criterion in verdict.criteria if not criterion.passed}


def test_replays_are_read_by_name_and_exchanged(replays: Replays) -> None:
    assert len(replays.outcomes) == len(replays.clusters) == 1_500
    assert 1_000 < len(np.unique(replays.clusters)) < 1_500
    assert replays.exchanged()["pokemon_a"] == replays.columns["pokemon_b"]
    assert replays.exchanged()["move_b"] == replays.columns["move_a"]


def test_replays_of_one_species_pair_cannot_tell_noise(replay_file: Path, tmp_path: Path) -> None:
    table = pq.read_table(replay_file)
    pq.write_table(table.take([0] * 20), tmp_path / "one.parquet")
    with pytest.raises(GateError, match="one species pair"):
        Replays.read(tmp_path / "one.parquet")


def test_same_model_passes(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    verdict = judge("battle", contender("good", "2"), contender("good", "1"), replays, BOUNDS)
    assert refused(verdict) == set()
    figures = {criterion.name: criterion for criterion in verdict.criteria}
    assert figures["accuracy not worse"].judged == 0
    assert figures["flipped decisions"].judged == 0
    assert figures["asymmetry"].judged < 1e-4  # the two orders are one row but for rounding
    assert verdict.expectation is not None
    assert verdict.expectation.flip_rate == 0
    assert verdict.expectation.against_version == "1"


@pytest.mark.parametrize("name", ["cut", "shuffled"])
def test_worsened_model_does_not_pass(name: str, contender: Callable[[str, str], Contender], replays: Replays) -> None:
    verdict = judge("battle", contender(name, "2"), contender("good", "1"), replays, BOUNDS)
    assert not verdict.passed
    assert {"log loss not worse, nats", "calibration error"} <= refused(verdict)
    assert (
        f"No: version 2 fails on {', '.join(c.name for c in verdict.criteria if not c.passed)}." == verdict.sentence()
    )


def test_better_model_passes(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    bounds = dataclasses.replace(BOUNDS, flips=1.0)
    verdict = judge("battle", contender("good", "2"), contender("shuffled", "1"), replays, bounds)
    assert refused(verdict) == set()
    assert verdict.expectation is not None
    assert verdict.expectation.score_shift_variance > 0


def test_without_a_champion_only_floors_are_asked(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    verdict = judge("battle", contender("good", "1"), None, replays, BOUNDS)
    assert verdict.passed
    assert verdict.expectation is None
    assert all(criterion.champion is None for criterion in verdict.criteria)
    assert {"expected accuracy", "error of win probability", "calibration error"} <= {c.name for c in verdict.criteria}
    assert not judge("battle", contender("shuffled", "1"), None, replays, BOUNDS).passed


def test_every_criterion_can_say_no(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    """Each bound, tightened past what the good model shows against itself, is the one that refuses."""
    shown = show(contender("good", "1"), replays)
    tightened = {
        "accuracy_floor": 1.1,
        "accuracy_margin": -0.001,
        "log_loss_margin": -0.001,
        "mae": 0.0,
        "ece_margin": -0.001,
        "flips": -0.1,
        "antisymmetry": -0.1,
        "mebibytes": 0.001,
        "usual_ms": 1e-6,
        "largest_ms": 1e-6,
    }
    told = set()
    for field, bound in tightened.items():
        criteria = compare(shown, shown, replays.clusters, dataclasses.replace(BOUNDS, **{field: bound}))
        names = [criterion.name for criterion in criteria if not criterion.passed]
        assert len(names) == 1, field
        told.add(names[0])
    off = dataclasses.replace(shown, ece=0.02)
    criteria = compare(off, shown, replays.clusters, BOUNDS)
    told |= {criterion.name for criterion in criteria if not criterion.passed}
    assert told == {criterion.name for criterion in criteria}


def test_differences_are_judged_by_their_clustered_bounds(
    contender: Callable[[str, str], Contender], replays: Replays
) -> None:
    old = show(contender("good", "1"), replays)
    turned = np.arange(len(old.p)) % 20 == 0
    new = dataclasses.replace(
        old,
        p=np.where(turned, 1 - old.p, old.p),
        right=np.where(turned, 1 - old.right, old.right),
        loss=old.loss + turned,
    )
    criteria = {c.name: c for c in compare(new, old, replays.clusters, BOUNDS)}
    accuracy = clustered_mean(new.right - old.right, replays.clusters)
    loss = clustered_mean(new.loss - old.loss, replays.clusters)
    assert criteria["accuracy not worse"].judged == accuracy.lower < accuracy.mean
    assert criteria["log loss not worse, nats"].judged == loss.upper > loss.mean
    assert criteria["flipped decisions"].judged == pytest.approx(0.05, abs=0.001)


def test_calibration_may_be_worse_than_the_champions_by_a_margin_only(
    contender: Callable[[str, str], Contender], replays: Replays
) -> None:
    shown = show(contender("good", "1"), replays)
    champion = dataclasses.replace(shown, ece=0.004)
    for ece, passes in ((0.0059, True), (0.0061, False)):
        criteria = compare(dataclasses.replace(shown, ece=ece), champion, replays.clusters, BOUNDS)
        failed = [criterion.name for criterion in criteria if not criterion.passed]
        assert failed == ([] if passes else ["calibration not worse"])


def test_not_a_number_never_passes(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    shown = dataclasses.replace(show(contender("good", "1"), replays), ece=float("nan"))
    assert [c.name for c in compare(shown, None, replays.clusters, BOUNDS) if not c.passed] == ["calibration error"]


def test_timed_requests_are_the_stated_ones(dex: Dex, contender: Callable[[str, str], Contender]) -> None:
    a, b = (len(dex.attacks_of(dex.species(name))) for name in usual_request(dex))
    assert a * b == 312
    assert largest_request(dex) == ("mew", "mew")
    core = contender("good", "1").core
    usual, largest = request_ms(core, [usual_request(dex), ("mew", "mew")])
    assert 0 < usual < largest


def test_a_slow_machine_gets_more_time_and_a_fast_one_no_less() -> None:
    assert fair_ms(1.5, yardstick=0.6) == 1.5
    assert fair_ms(6.0, yardstick=7.5) == pytest.approx(2.0)


def test_a_no_for_time_alone_names_the_way_out(contender: Callable[[str, str], Contender], replays: Replays) -> None:
    for changed, named in (({"usual_ms": 1e-9}, True), ({"usual_ms": 1e-9, "mae": 0.0}, False)):
        bounds = dataclasses.replace(BOUNDS, **changed)
        verdict = judge("battle", contender("good", "2"), contender("good", "1"), replays, bounds)
        assert ("PDX_GATE_SLOWDOWN=3" in verdict.sentence()) is named


def test_requests_are_the_same_for_ever(dex: Dex) -> None:
    requests = draw_requests(dex, 200)
    assert requests == draw_requests(dex, 200)
    assert requests != draw_requests(dex, 200, seed=2)
    for request in requests:
        for species, moves in ((request.pokemon_a, request.moves_a), (request.pokemon_b, request.moves_b)):
            legal = {dex.attack_ids[code] for code in dex.attacks_of(dex.species(species))}
            assert moves is None or (len(set(moves)) == len(moves) in {1, 4} and set(moves) <= legal)
    assert {request.moves_a is None for request in requests} == {True, False}


def test_expectation_counts_flips_and_shifts(dex: Dex, contender: Callable[[str, str], Contender]) -> None:
    new, old = contender("cut", "2").core, contender("good", "1").core
    # Enough that pairs of species come again, some with all attacks and some with a few.
    requests = draw_requests(dex, 400)
    assert len({request[:2] for request in requests}) < 400
    pairs = [(new.battle(*request), old.battle(*request)) for request in requests]
    shifts = [n.win_probability - o.win_probability for n, o in pairs]
    found = expectation(new, old, requests)
    for core, said in ((new, [pair[0] for pair in pairs]), (old, [pair[1] for pair in pairs])):
        given = answers(core, requests)
        assert given.moves == [answer.recommended_move for answer in said]
        assert given.scores == pytest.approx([answer.win_probability for answer in said], abs=1e-6)
    assert found.pairs == 400
    assert found.flip_rate == sum(n.recommended_move != o.recommended_move for n, o in pairs) / 400 > 0
    assert found.mean_score_shift == pytest.approx(np.mean(shifts), abs=1e-6)
    assert found.score_shift_variance == pytest.approx(np.var(shifts, ddof=1), rel=1e-4)
    with pytest.raises(ValueError, match="at least two"):
        expectation(new, old, requests[:1])


@pytest.mark.parametrize("given", ["1", "0", "-5", "many", "1e4", "²"])
def test_a_number_of_requests_that_is_none_is_refused(
    given: str, contender: Callable[[str, str], Contender], replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDX_GATE_REQUESTS", given)
    with pytest.raises(GateError, match=f"PDX_GATE_REQUESTS is a whole number from 2 on, not '{given}'"):
        judge("battle", contender("good", "2"), contender("good", "1"), replays, BOUNDS)


def test_a_release_asks_fifty_thousand_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDX_GATE_REQUESTS")
    assert requests_wanted() == REQUESTS == 50_000


def test_verdict_is_logged_and_opens_promotion(registry: Registry, replays: Replays, tmp_path: Path) -> None:
    first = run(registry, replays, tmp_path, version="1", bounds=BOUNDS)
    assert first.against is None
    promote(registry, "1", replays.digest)
    second = run(registry, replays, tmp_path, version="2", bounds=BOUNDS)
    assert (second.passed, second.against) == (True, "1")
    logged = Verdict.parse(registry.read_artifact("2", FILE, tmp_path) or b"")
    assert logged == second
    stamp = Stamp.of(registry.version("2").tags)
    assert stamp is not None
    assert (stamp.passed, stamp.against, stamp.dataset_digest) == (True, "1", replays.digest)
    assert stamp.reasons == ()
    assert promote(registry, "2", replays.digest).moved


def test_newest_is_judged_and_a_no_closes_promotion(registry: Registry, replays: Replays, tmp_path: Path) -> None:
    promote(registry, "1", replays.digest, why="start")
    verdict = run(registry, replays, tmp_path, bounds=BOUNDS)
    assert (verdict.version, verdict.against, verdict.passed) == ("3", "1", False)
    stamp = Stamp.of(registry.version("3").tags)
    assert stamp is not None
    assert not stamp.passed
    failed = [criterion for criterion in verdict.criteria if not criterion.passed]
    assert [reason.partition(":")[0] for reason in stamp.reasons] == [criterion.name for criterion in failed]
    assert any(reason.endswith(f"asked {failed[0].relation} {failed[0].bound:.4f}") for reason in stamp.reasons)
    with pytest.raises(PromotionRefused, match="said no"):
        promote(registry, "3", replays.digest)
    assert registry.champion() == "1"


def test_judging_again_withdraws_the_old_yes_first(registry: Registry, replays: Replays, tmp_path: Path) -> None:
    run(registry, replays, tmp_path, version="1", bounds=BOUNDS)
    broken = tmp_path / registry.version("1").run_id / "export" / "model.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(BundleError):
        run(registry, replays, tmp_path, version="1", bounds=BOUNDS)
    with pytest.raises(PromotionRefused, match="has not judged"):
        promote(registry, "1", replays.digest)


def test_nothing_to_judge(tracking_database: str, registry: Registry, replays: Replays, tmp_path: Path) -> None:
    with pytest.raises(GateError, match="nothing to judge"):
        run(Registry(tracking_database, model_name()), replays, tmp_path)
    with pytest.raises(UnknownVersion):
        run(registry, replays, tmp_path, version="1", against="7")
    assert "gate.verdict" not in registry.version("1").tags


@pytest.mark.parametrize("text", ["{}", "[]", "no", '{"passed": true, "criteria": []}'])
def test_what_is_no_verdict_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (JSON's and pydantic's own sentences)
        Verdict.parse(text.encode())


@pytest.fixture
def pdx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The two commands on an embedded store of their own."""
    monkeypatch.setenv("PDX_HOME", str(tmp_path / "home"))
    for variable in ("BENTOML_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    from training.cli import app

    return app


@pytest.mark.slow
def test_commands_from_no_champion_to_a_no_and_back(
    pdx: typer.Typer, tracking_database: str, exports: dict[str, Path], replay_file: Path
) -> None:
    registry = Registry(tracking_database, MODEL_NAME)
    for name in ("good", "cut"):
        registry.register(log_run(tracking_database, exports[name]))

    def pdx_says(*words: str) -> tuple[int, str, str]:
        where = ["--tracking-uri", tracking_database]
        if words[0] == "gate":
            where += ["--replays", str(replay_file)]
        result = CliRunner(env={"COLUMNS": "200"}).invoke(pdx, [*words, *where])
        return result.exit_code, result.stdout, result.stderr

    code, _, sentence = pdx_says("promote", "1")
    assert (code, sentence) == (2, "The gate has not judged version 1; run `pdx gate 1`.\n")
    code, said, _ = pdx_says("promote", "1", "--force", "--why", "first of all")
    assert (code, said) == (0, "Version 1 is the champion now.\n")
    assert pdx_says("promote", "1", "--force", "--why", "again")[1].startswith("Version 1 is the champion already")

    code, said, _ = pdx_says("gate")
    assert code == 1
    assert "battle: version 2 against version 1" in said
    assert "No: version 2 fails on" in said
    code, said, _ = pdx_says("gate", "2", "--against", "1", "--json")
    document = json.loads(said)
    assert code == 1
    assert document["passed"] is False
    assert {c["name"]: c["passed"] for c in document["criteria"]}["log loss not worse, nats"] is False

    code, _, sentence = pdx_says("promote", "2")
    assert code == 2
    assert sentence.startswith("The gate said no to version 2")
    code, said, _ = pdx_says("promote", "2", "--force", "--why", "to see it fail")
    assert "It replaced version 1." in said
    assert pdx_says("promote", "previous", "--force", "--why", "it failed")[0] == 0
    assert registry.champion() == "1"


def test_forcing_needs_a_reason_and_a_reason_needs_force(pdx: typer.Typer) -> None:
    for words in (["--force"], ["--why", "because"], ["--force", "--why", " "]):
        result = CliRunner().invoke(pdx, ["promote", "1", *words])
        assert result.exit_code == 2
        assert "go together" in result.stderr


def test_unknown_version_is_one_sentence(pdx: typer.Typer, registry: Registry, replay_file: Path) -> None:
    where = ["--tracking-uri", registry.tracking_uri, "--replays", str(replay_file)]
    result = CliRunner().invoke(pdx, ["gate", "99", *where])
    assert result.exit_code == 2
    assert result.stderr.startswith("There is no version 99 of battle")
    assert result.stdout == ""


@pytest.mark.parametrize("given", ["0.5", "fast", "inf", "nan"])
def test_a_slowdown_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("PDX_GATE_SLOWDOWN", given)
    with pytest.raises(GateError, match=f"PDX_GATE_SLOWDOWN is a number from 1 on, not '{given}'"):
        Bounds.here()


def test_a_slow_machine_has_wider_bounds_of_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDX_GATE_SLOWDOWN", raising=False)
    assert Bounds.here() == Bounds()
    monkeypatch.setenv("PDX_GATE_SLOWDOWN", "3")
    assert Bounds.here() == Bounds(usual_ms=7.5, largest_ms=30.0)
