"""The model card, after Mitchell et al. (2019): what a model is for, what it was measured to do, and where it fails.

It is made from the contract and from the same figures that MLflow gets, so the three cannot disagree. The same input
gives the same text: nothing is read from a clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bentos.contract import Calibration, Contract
from training.breakdown import Group, Miss
from training.evaluate import REACHES, Figures, Reach


@dataclass(frozen=True, slots=True)
class Rival:
    """One candidate of the run, the chosen one included.

    Attributes:
        algorithm: its name.
        rows: training duels it saw.
        rank_loss: what candidates are chosen by: log loss on the calibration part, in nats a replay.
        figures: on the gate's replays.
        seconds: wall time of the fit; None when it was not taken.
    """

    algorithm: str
    rows: int
    rank_loss: float
    figures: Figures
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What the card tells beyond the contract.

    Attributes:
        figures: of the exported model on the gate's replays.
        params: what it was trained with.
        matchups: figures by type matchup.
        closeness: figures by closeness of the duel.
        misses: worst errors, largest first.
        misses_from: which replays the worst errors were looked for in.
        candidates: all candidates of the run, the chosen one first.
        timings: what was timed, in words, and the result with its unit.
    """

    figures: Figures
    params: Mapping[str, Any] = field(default_factory=dict)
    matchups: Sequence[Group] = ()
    closeness: Sequence[Group] = ()
    misses: Sequence[Miss] = ()
    misses_from: str = "calibration part"
    candidates: Sequence[Rival] = ()
    timings: Mapping[str, str] = field(default_factory=dict)


_USE = """\
It answers with which probability side A wins a one-move duel: two Pokémon of level 50, individual values 31, no effort
or awakening values, neutral nature, no ability, no item, each using one damaging attack throughout, and Struggle when
its uses run out. From all pairings of the attacks of both sides it recommends the attack with the highest win
probability against the opponent's best reply.

It is meant for choosing attacks in such duels and as the flagship of a serving platform. It is not meant for battles
with switches, status moves, items, abilities or changing attacks: nothing of those is in its data."""

_DATA = """\
Every duel was played by the duel engine; outcomes are what the engine's rules gave, not opinions. A fixed hash of the
unordered species pair keeps three parts apart: training (80 %), calibration (8 %) and gate (12 %). The model learns
from the training part and is calibrated and chosen on the calibration part. Nothing is fitted on the gate's part: its
pairings, each replayed {replays} times, gave the figures below, and no species pair of it was seen before."""

_ATTACK_LIMITS = """\
- Only the species and damaging attacks of the dex are known; others are refused, not guessed.
- Its figures rest on {replays} replays a pairing: what happens less than once in {replays} is not told from never.
- The figures are means over pairings drawn uniformly from species, not over what players meet.
- Duels near even are called right hardly more often than not, by any model: see the figures by closeness."""


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = ["---"] + ["---:"] * (len(head) - 1)
    # A vertical bar would end the cell.
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (head, right, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _reach(reach: Reach, figures: Figures) -> list[str]:
    met = {None: "", True: "reached", False: "not reached"}[reach.met(figures)]
    sign = "≥" if reach.at_least else "≤"
    perfect = reach.perfect(figures)
    return [
        reach.title,
        _number(reach.of(figures)),
        f"{sign} {reach.bound:g}",
        "" if perfect is None else _number(perfect),
        met,
    ]


def _others(figures: Figures) -> list[list[str]]:
    measured = [
        ("precision", figures.precision, None),
        ("recall", figures.recall, None),
        ("F1", figures.f1, None),
        ("ROC AUC", figures.roc_auc, None),
        ("log loss, nats a replay", figures.log_loss, figures.ceiling.log_loss),
        ("Brier score", figures.brier, figures.ceiling.brier),
    ]
    if figures.regret:
        measured.append(("regret against a reply drawn evenly", figures.regret.mean_reply, 0.0))
        measured.append(("regret against the best reply, upper estimate", figures.regret.best_reply_upper, None))
    return [[name, _number(value), "" if best is None else _number(best)] for name, value, best in measured]


def _uncertainty(figures: Figures) -> str:
    known = [
        ("expected accuracy", figures.accuracy_se),
        ("share of the ceiling", figures.share_se),
        ("mean absolute error", figures.mae_se),
        ("regret", figures.regret.best_reply_se if figures.regret else float("nan")),
    ]
    told = [f"{name} {error:.4f}" for name, error in known if error == error]  # noqa: PLR0124  (NaN is unequal)
    return f"Standard errors, clustered by species pair: {', '.join(told)}." if told else ""


def _calibration(calibration: Calibration, figures: Figures) -> str:
    how = {
        "none": "The model's probabilities are answered as they are.",
        "logistic": f"Answers pass through sigmoid({calibration.slope:.4f} · logit(p) {calibration.intercept:+.4f}).",
        "isotonic": f"Answers pass through a rising line of {len(calibration.x)} points.",
    }[calibration.method]
    return (
        f"{how} The expected calibration error is {figures.ece:.4f}; a perfectly calibrated model would show about "
        f"{figures.ece_perfect:.4f} on as many replays."
    )


def _ceiling(figures: Figures) -> str:
    best = figures.ceiling
    return (
        f"A model that knew every win probability would be right on {best.accuracy:.4f} of the replays, since chance "
        "decides as well. This is an estimate by nonparametric maximum likelihood of how win probabilities "
        f"are distributed; it lies between {best.lower:.4f}, which is biased down, and {best.upper:.4f}, which is "
        f"biased up. The model reaches {figures.share:.4f} of it."
    )


def _groups(groups: Sequence[Group], what: str) -> str:
    rows = [
        [group.name, f"{group.pairings:,}", f"{group.accuracy:.4f}", f"{group.best:.4f}", f"{group.mae:.4f}"]
        for group in groups
    ]
    return _table([what, "pairings", "accuracy", "replays' own favourite", "mean absolute error"], rows)


def _misses(misses: Sequence[Miss]) -> str:
    rows = [
        [f"{m.pokemon_a}: {m.move_a}", f"{m.pokemon_b}: {m.move_b}", f"{m.answer:.3f}", f"{m.frequency:.3f}"]
        for m in misses
    ]
    return _table(["A", "B", "answered", "replays"], rows)


def _rivals(candidates: Sequence[Rival]) -> str:
    rows = [
        [
            rival.algorithm,
            f"{rival.rows:,}",
            f"{rival.rank_loss:.4f}",
            f"{rival.figures.accuracy:.4f}",
            f"{rival.figures.mae:.4f}",
            f"{rival.figures.ece:.4f}",
            "" if rival.seconds is None else f"{rival.seconds:.0f} s",
        ]
        for rival in candidates
    ]
    head = ["candidate", "duels", "log loss (calibration part)", "accuracy", "mean absolute error", "ECE", "fit"]
    return _table(head, rows)


def _provenance(contract: Contract) -> str:
    source = contract.provenance
    rows = [
        ["MLflow run", f"`{source.run_id}`"],
        ["git commit", f"`{source.git_commit}`"],
        ["training data", f"{source.dataset_rows:,} duels, digest `{source.dataset_digest}`"],
        ["dex", f"sha256 `{source.tables_digest}`" if source.tables_digest else "none"],
        ["features", f"{len(contract.features)}, digest `{contract.features_digest or 'none'}`"],
        ["libraries", ", ".join(f"{name} {version}" for name, version in sorted(source.libraries.items()))],
        ["created", source.created.isoformat(timespec="seconds")],
    ]
    return _table(["", ""], rows).replace("---:", "---")


def card(contract: Contract, story: Story) -> str:
    """Write the model card.

    Args:
        contract: of the export; its version is not known yet and not told.
        story: figures, breakdown and whatever else was measured; empty parts are left out.

    Returns:
        Markdown, ending in a newline.
    """
    figures = story.figures
    replays = figures.replays // figures.pairings
    plan = contract.runtime
    params = ", ".join(f"{name} = {value}" for name, value in sorted(story.params.items()))
    served = "ONNX Runtime serves every batch."
    if plan.crossover_rows:
        served = f"ONNX Runtime serves batches below {plan.crossover_rows} rows, XGBoost larger ones."
    parity = (
        f"The runtimes were compared with the training model on {contract.parity.compared_rows:,} rows; the largest "
        f"difference of a probability was {contract.parity.max_difference:.1e}."
    )
    sections: list[tuple[str, list[str]]] = [
        (
            "What it is",
            [
                f"A model of the kind `{contract.provenance.algorithm}` on {len(contract.features)} features.",
                f"Trained with {params}." if params else "",
                served,
                parity if contract.parity.compared_rows else "",
            ],
        ),
        ("Intended use", [_USE]),
        ("Data and split", [_DATA.format(replays=replays)]),
        (
            "What it reaches",
            [
                f"On {figures.pairings:,} pairings of the gate's part, {figures.replays:,} replays. Accuracy is the "
                "share of replays won by the side the model bets on, a draw counting half. The last but one column is "
                "what a perfect model would show on the same replays.",
                _table(
                    ["figure", "value", "reach", "perfect model", ""], [_reach(reach, figures) for reach in REACHES]
                ),
                _table(["further figures", "value", "perfect model"], _others(figures)),
                _uncertainty(figures),
            ],
        ),
        ("Ceiling", [_ceiling(figures)]),
        ("Calibration", [_calibration(contract.calibration, figures)]),
        ("Candidates", [_rivals(story.candidates)] if story.candidates else []),
        ("By type matchup", [_groups(story.matchups, "type effect")] if story.matchups else []),
        ("By closeness", [_groups(story.closeness, "replay frequency")] if story.closeness else []),
        (
            "Limits and worst errors",
            [
                _ATTACK_LIMITS.format(replays=replays),
                *([f"Its worst errors in the {story.misses_from}:", _misses(story.misses)] if story.misses else []),
            ],
        ),
        ("Timings", [_table(["what", "time"], list(story.timings.items()))] if story.timings else []),
        ("Provenance", [_provenance(contract)]),
    ]
    blocks = [f"# Model card: {contract.name}"]
    for title, paragraphs in sections:
        filled = [paragraph for paragraph in paragraphs if paragraph]
        blocks += [f"## {title}", *filled] if filled else []
    return "\n\n".join(blocks) + "\n"
