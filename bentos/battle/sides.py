"""One side of a duel: an attack of one species used against another, as numbers.

A side knows nothing of the other side's attack. A request of i against j attacks has i + j sides but i * j pairings,
so whatever can be said of a side alone is computed here, once.

The damage formula is that of the game's seventh generation as the engine implements it, in the same integer
arithmetic: base damage, critical hit, random factor of 85 to 100 percent, same-type bonus, type effectiveness.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import LEVEL, STATS, Dex

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]

TURNS: Final = 10
"""Turns the race between two sides is followed exactly; what is undecided after that goes by the damage rates."""

_HP, _ATK, _DEF, _SPA, _SPD, _SPE = range(6)
_ROLLS: Final = np.arange(85, 101)
_CRIT_CHANCE: Final = {1: 1 / 24, 2: 1 / 8, 3: 1 / 2}
_CRIT_FACTOR = 1.5
_BASE = 2 * LEVEL // 5 + 2
_LOW_KICK_KG: Final = np.array([10.0, 25.0, 50.0, 100.0, 200.0])
_LOW_KICK_POWER: Final = np.array([20, 40, 60, 80, 100, 120])
# By least and most hits.
_HITS_SHARE: Final = {(1, 1): {1: 1.0}, (2, 2): {2: 1.0}, (2, 5): {2: 0.35, 3: 0.35, 4: 0.15, 5: 0.15}}
_STATUS_IMMUNE: Final = {"brn": ("Fire",), "par": ("Electric",), "frz": ("Ice",), "psn": ("Poison", "Steel")}
_STATUSES: Final = tuple(_STATUS_IMMUNE)
_DROPS: Final = ("atk", "def", "spa", "spd", "spe")

# What an attack does beyond its row in the dex, by engine id: the engine has it as code, not as data.
_ONLY_FIRST_TURN: Final = {"fakeout"}
_NEVER_WORKS: Final = {"dreameater"}  # needs a sleeping target, and nobody sleeps in a duel of damaging attacks
_HALVES_HP: Final = {"superfang"}
_SPREAD_AROUND_LEVEL: Final = {"psywave"}  # 0.5 to 1.5 times the level
_BY_WEIGHT: Final = {"lowkick"}
_RETURNS_DAMAGE: Final = {"counter": "Physical", "mirrorcoat": "Special", "bide": "both"}
_OUT_OF_REACH: Final = {"dig": 1.0, "fly": 2.0}  # while it charges
_REACHES: Final = {"earthquake": 1.0, "thunder": 2.0, "gust": 2.0}
_FLAGS: Final = ("suckerpunch", "facade", "rage", "sappyseed", "superfang", "psywave")

ATTACK_FEATURES: Final = (
    "power", "accuracy", "priority", "physical", "crit_chance", "mean_hits", "drain", "recoil", "charges", "recharges",
    "self_destructs", "crash_on_miss", "fixed_damage", "one_hit_ko", "locks", "traps", "out_of_reach",
    "reaches", "first_turn_only", "never_works", "returns_physical", "returns_special", "self_atk", "self_def",
    "reflect", "light_screen", "pp", *_FLAGS,
)  # fmt: skip
EFFECT_FEATURES: Final = (*(f"chance_{s}" for s in _STATUSES), "chance_flinch", "chance_confusion",
                          *(f"drop_{s}" for s in _DROPS))  # fmt: skip
SIDE_FEATURES: Final = (
    "hp", "speed", "attack_over_defence", "stab", "effectiveness", "damage_mean", "damage_min", "damage_max",
    "damage_rate", "ko_1", "ko_2", "ko_3", "ko_4", "ko_6", "ko_last", "drain_per_use", "recoil_per_use",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _AttackTables:
    """Everything that depends on the attack alone; the first axis is the attack's code."""

    static: Floats  # [attacks, ATTACK_FEATURES]
    effects: Floats  # [attacks, EFFECT_FEATURES], chance or expected stages a use that hits
    hits: Floats  # [attacks, 2]: mean and variance of the number of hits a use
    uses_by_turn: NDArray[np.int64]  # [attacks, 3, TURNS]: uses completed by the end of each turn; every, odd, even
    binomial: Floats  # [attacks, TURNS, TURNS]: P(n + 1 hits in k + 1 uses)
    immune_types: NDArray[np.bool_]  # [EFFECT_FEATURES, types + 1]
    by_weight: NDArray[np.bool_]  # [attacks]: power goes by the target's weight
    uses_target_attack: NDArray[np.bool_]  # [attacks]


class Sides(NamedTuple):
    """Numbers of n sides.

    Attributes:
        features: float64 [n, SIDE_FEATURES + ATTACK_FEATURES + EFFECT_FEATURES].
        ends: float64 [n, 3, TURNS], P(the target faints in turn k + 1) if only this side acted: in every turn, in
            odd turns, in even turns (the last two are for a target that is out of reach every other turn).
        alive: float64 [n, 3, TURNS], P(the target is still standing after turn k + 1), likewise.
        identity: int64 [n], a number of species and attack that orders sides.
    """

    features: Floats
    ends: Floats
    alive: Floats
    identity: NDArray[np.int64]


def _row(attack: dict[str, Any]) -> dict[str, float]:
    name, accuracy = attack["id"], attack["accuracy"]
    crit = 1.0 if attack["always_crits"] else _CRIT_CHANCE[attack["crit_stage"]]
    hits = _HITS_SHARE[tuple(attack["hits"])]
    row = {
        "power": attack["power"],
        "accuracy": 1.0 if accuracy is None else accuracy / 100,
        "physical": attack["category"] == "Physical",
        "crit_chance": crit,
        "mean_hits": sum(n * share for n, share in hits.items()),
        "fixed_damage": attack["fixed_damage"] or (LEVEL if name in _SPREAD_AROUND_LEVEL else 0),
        "locks": attack["self_volatile_status"] == "lockedmove",
        "traps": attack["volatile_status"] == "partiallytrapped",
        "out_of_reach": _OUT_OF_REACH.get(name, 0),
        "reaches": _REACHES.get(name, 0),
        "first_turn_only": name in _ONLY_FIRST_TURN,
        "never_works": name in _NEVER_WORKS,
        "returns_physical": _RETURNS_DAMAGE.get(name) in ("Physical", "both"),
        "returns_special": _RETURNS_DAMAGE.get(name) in ("Special", "both"),
        "self_atk": attack["self_boosts"].get("atk", 0),
        "self_def": attack["self_boosts"].get("def", 0),
        "reflect": attack["self_side_condition"] == "reflect",
        "light_screen": attack["self_side_condition"] == "lightscreen",
        **{flag: name == flag for flag in _FLAGS},
    }
    return {key: float(row[key] if key in row else attack[key]) for key in ATTACK_FEATURES}


def _effects(attack: dict[str, Any]) -> list[float]:
    chance = dict.fromkeys(EFFECT_FEATURES, 0.0)
    uses = attack["hits"][0]
    for effect in attack["secondaries"]:
        once = 1 - (1 - effect["chance"]) ** uses
        if effect["status"]:
            chance[f"chance_{effect['status']}"] += once
        if effect["volatile_status"] in ("flinch", "confusion"):
            chance[f"chance_{effect['volatile_status']}"] += once
        for stat, stages in effect["boosts"].items():
            if f"drop_{stat}" in chance:
                chance[f"drop_{stat}"] -= once * stages
    if attack["id"] == "triattack":  # one of three statuses, which the engine picks in code
        for status in ("brn", "par", "frz"):
            chance[f"chance_{status}"] = attack["secondaries"][0]["chance"] / 3
    return list(chance.values())


def _uses_by_turn(attack: dict[str, Any]) -> list[list[int]]:
    turns = range(1, TURNS + 1)
    even, odd = [turn // 2 for turn in turns], [(turn + 1) // 2 for turn in turns]
    if attack["charges"]:
        return [even] * 3
    if attack["recharges"]:
        return [odd, odd, even]
    if attack["id"] in _ONLY_FIRST_TURN:
        return [[1] * TURNS, [1] * TURNS, [0] * TURNS]
    if attack["id"] in _NEVER_WORKS:
        return [[0] * TURNS] * 3
    return [list(turns), odd, even]


def _binomial(chance: float) -> Floats:
    """Matrix [k, n] of P(n + 1 successes in k + 1 trials)."""
    table = np.zeros((TURNS + 1, TURNS + 1))
    table[0, 0] = 1.0
    for trial in range(1, TURNS + 1):
        table[trial] = table[trial - 1] * (1 - chance)
        table[trial, 1:] += table[trial - 1, :-1] * chance
    return table[1:, 1:]


@lru_cache(maxsize=4)
def _tables(dex: Dex) -> _AttackTables:
    rows = dex.attack_rows
    static = np.array([list(_row(row).values()) for row in rows])
    hits = []
    for row in rows:
        share = _HITS_SHARE[tuple(row["hits"])]
        mean = sum(n * p for n, p in share.items())
        hits.append((mean, sum(n * n * p for n, p in share.items()) - mean**2))
    accuracy = static[:, ATTACK_FEATURES.index("accuracy")]
    immune = np.zeros((len(EFFECT_FEATURES), len(dex.type_names) + 1), bool)
    for status, types in _STATUS_IMMUNE.items():
        for name in types:
            immune[EFFECT_FEATURES.index(f"chance_{status}"), dex.type_names.index(name)] = True
    return _AttackTables(
        static=static,
        effects=np.array([_effects(row) for row in rows]),
        hits=np.array(hits),
        uses_by_turn=np.array([_uses_by_turn(row) for row in rows]),
        binomial=np.array([_binomial(chance) for chance in accuracy]),
        immune_types=immune,
        by_weight=np.array([row["id"] in _BY_WEIGHT for row in rows]),
        uses_target_attack=np.array([row["uses_target_attack"] for row in rows]),
    )


def _normal_cdf(z: Floats) -> Floats:
    """Page's approximation of the normal distribution function (1977), largest error 1.4e-4; needs no scipy."""
    return 1 / (1 + np.exp(np.clip(-2 * z * (0.7988 + 0.03567 * z * z), -60, 60)))


def _column(static: Floats, name: str) -> Floats:
    return static[:, ATTACK_FEATURES.index(name)]


def _attack_and_defence(
    dex: Dex, physical: NDArray[np.bool_], borrowed: NDArray[np.bool_], user: Codes, target: Codes
) -> tuple[Codes, Codes]:
    ours, theirs = dex.stats[user], dex.stats[target]
    offence = np.where(borrowed, theirs[:, _ATK], np.where(physical, ours[:, _ATK], ours[:, _SPA]))
    return offence, np.where(physical, theirs[:, _DEF], theirs[:, _SPD])


def _apply(damage: Codes, stab: NDArray[np.bool_], effectiveness: Floats) -> Codes:
    """Random factor, same-type bonus and effectiveness on damage [n] before them; returns [n, 16] points."""
    rolled = damage[:, None] * _ROLLS // 100
    rolled = np.where(stab[:, None], (rolled * 6144 + 2047) // 4096, rolled)
    # Halving floors after each of the two types, which two shifts do as well; doubling is exact.
    shift = np.where(effectiveness > 0, np.log2(np.maximum(effectiveness, 0.25)), 0).astype(np.int64)[:, None]
    rolled = np.where(shift >= 0, rolled << np.maximum(shift, 0), rolled >> np.maximum(-shift, 0))
    return np.where(effectiveness[:, None] > 0, np.maximum(rolled, 1), 0)


def sides(dex: Dex, user: Codes, attack: Codes, target: Codes) -> Sides:
    """Numbers of n sides from species, attack and target codes, each an integer array [n]."""
    tables = _tables(dex)
    static = tables.static[attack]
    hp = dex.stats[target, _HP]
    physical = _column(static, "physical") > 0
    offence, defence = _attack_and_defence(dex, physical, tables.uses_target_attack[attack], user, target)
    kind = dex.attack_type[attack]
    effectiveness = dex.chart[kind, dex.types[target, 0]] * dex.chart[kind, dex.types[target, 1]]
    stab = (dex.types[user] == kind[:, None]).any(axis=1)
    power = _column(static, "power").astype(np.int64)
    weighed = _LOW_KICK_POWER[np.searchsorted(_LOW_KICK_KG, dex.weight_kg[target], "right")]
    power = np.where(tables.by_weight[attack], weighed, power)

    before = _BASE * power * offence // defence // 50 + 2
    before = np.where(power > 0, before, 0)
    plain = _apply(before, stab, np.where(power > 0, effectiveness, 0))
    crit = _apply((before * 3) // 2, stab, np.where(power > 0, effectiveness, 0))
    after_hits, mean, low, high = _knock_out(tables, attack, hp, plain=plain, crit=crit, works=effectiveness > 0)

    by_use = np.einsum("ukn,un->uk", tables.binomial[attack], after_hits)
    by_use = np.concatenate([np.zeros((len(hp), 1)), by_use], axis=1)
    uses_by_turn = tables.uses_by_turn[attack]
    by_turn = np.take_along_axis(by_use[:, None, :], uses_by_turn, axis=2)
    ends = np.diff(by_turn, axis=2, prepend=0.0)
    accuracy = _column(static, "accuracy")
    rate = mean / hp * accuracy * uses_by_turn[:, 0, -1] / TURNS
    own_hp = dex.stats[user, _HP]
    effects = np.where(_immune(dex, tables, target), 0.0, tables.effects[attack])
    effects = np.where(effectiveness[:, None] > 0, effects, 0.0)
    own = np.column_stack(
        [
            own_hp, dex.stats[user, _SPE], offence / defence, stab, effectiveness, mean / hp, low / hp, high / hp, rate,
            *by_turn[:, 0, [0, 1, 2, 3, 5, -1]].T,
            np.minimum(mean, hp) * _column(static, "drain") / own_hp,
            np.minimum(mean, hp) * _column(static, "recoil") / own_hp,
        ]
    )  # fmt: skip
    identity = user.astype(np.int64) * len(dex.attack_ids) + attack
    return Sides(np.concatenate([own, static, effects], axis=1), ends, 1 - by_turn, identity)


def _immune(dex: Dex, tables: _AttackTables, target: Codes) -> NDArray[np.bool_]:
    both = dex.types[target]
    return (tables.immune_types[:, both[:, 0]] | tables.immune_types[:, both[:, 1]]).T


def _knock_out(
    tables: _AttackTables, attack: Codes, hp: Codes, *, plain: Codes, crit: Codes, works: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats, Floats]:
    """P(n + 1 uses that hit knock out), [n sides, TURNS], with mean, least and greatest damage of one in points."""
    static = tables.static[attack]
    chance = _column(static, "crit_chance")
    mean_hits, var_hits = tables.hits[attack].T
    plain_mean, crit_mean = plain.mean(axis=1), crit.mean(axis=1)
    plain_var, crit_var = plain.var(axis=1), crit.var(axis=1)
    hit_mean = (1 - chance) * plain_mean + chance * crit_mean
    hit_var = (1 - chance) * plain_var + chance * crit_var + chance * (1 - chance) * (crit_mean - plain_mean) ** 2
    mean = mean_hits * hit_mean
    variance = mean_hits * hit_var + var_hits * hit_mean**2

    uses = np.arange(1, TURNS + 1)
    need = hp - 0.5
    chances = np.zeros((len(hp), TURNS))
    # The number of critical hits decides most of the spread, so the sum is normal given none, one, or more of them.
    weight_0, weight_1 = (1 - chance)[:, None] ** uses, uses * chance[:, None] * (1 - chance)[:, None] ** (uses - 1)
    for crits, weight in ((0, weight_0), (1, weight_1), (2, 1 - weight_0 - weight_1)):
        sure = np.maximum(uses - crits, 0)
        total = sure * plain_mean[:, None] + (uses - sure) * crit_mean[:, None]
        spread = np.sqrt(sure * plain_var[:, None] + (uses - sure) * crit_var[:, None] + 1e-6)
        chances += np.clip(weight, 0, 1) * _normal_cdf((total - need[:, None]) / spread)
    several = mean_hits > 1
    rough = _normal_cdf((uses * mean[:, None] - need[:, None]) / np.sqrt(uses * variance[:, None] + 1e-6))
    chances = np.where(several[:, None], rough, chances)
    exact = (1 - chance) * (plain >= hp[:, None]).mean(axis=1) + chance * (crit >= hp[:, None]).mean(axis=1)
    chances[:, 0] = np.where(several, chances[:, 0], exact)
    low, high = plain.min(axis=1) * mean_hits, plain.max(axis=1) * mean_hits

    fixed = _column(static, "fixed_damage")
    halves, one_hit = _column(static, "superfang") > 0, _column(static, "one_hit_ko") > 0
    sure_uses = np.where(fixed > 0, np.ceil(hp / np.maximum(fixed, 1)), np.where(halves, np.floor(np.log2(hp)) + 1, 1))
    certain = (fixed > 0) | halves | one_hit
    chances = np.where(certain[:, None], uses >= sure_uses[:, None], chances)
    constant = np.where(one_hit, hp, np.where(halves, hp / sure_uses, fixed))
    mean, low, high = (np.where(certain, np.where(works, constant, 0), value) for value in (mean, low, high))
    return np.where(works[:, None], chances, 0.0), mean, low, high


FEATURES: Final = (*SIDE_FEATURES, *ATTACK_FEATURES, *EFFECT_FEATURES)
assert len(STATS) == 6  # noqa: S101  (the column numbers above count on it)
