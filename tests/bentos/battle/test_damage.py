"""The damage formula against the engine itself: what it deals must be what ``sides`` says it can deal."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bentos.battle import sides
from bentos.battle.dex import Dex
from tests.bundles import DEX

_ENGINE = Path(__file__).parents[3] / "training" / "engine"
_SIDES = 60
_SEEDS = 40
# Attacks whose one use is one hit of plain damage, so that a log line of damage is a roll of the formula.
_SCRIPT = """
import { Battle, Dex } from './engine.mjs';
const format = Object.assign(Object.create(Object.getPrototypeOf(Dex.formats.get('gen7letsgoou'))),
  Dex.formats.get('gen7letsgoou'),
  { id: 'damage', ruleset: [], baseRuleset: [], banlist: [], unbanlist: [], restricted: [], ruleTable: null });
const spread = (v) => ({ hp: v, atk: v, def: v, spa: v, spd: v, spe: v });
const team = (species, move) => [{ name: species, species, item: '', ability: 'No Ability', moves: [move],
  nature: 'Serious', gender: 'N', evs: spread(0), ivs: spread(31), level: 50 }];
const out = [];
for (const [user, move, target] of JSON.parse(process.argv[1])) {
  const seen = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const battle = new Battle({ formatid: format.id, format, seed: `sodium,${seed.toString(16).padStart(32, '0')}` });
    battle.setPlayer('p1', { name: 'a', team: team(user, move) });
    battle.setPlayer('p2', { name: 'b', team: team(target, 'splash') });
    const [a, b] = [battle.p1.active[0], battle.p2.active[0]];
    const damage = battle.actions.getDamage(a, b, battle.dex.getActiveMove(move));
    if (typeof damage === 'number') seen.push(damage);
  }
  out.push(seen);
}
console.log(JSON.stringify(out));
""".replace("SEEDS", str(_SEEDS))


@pytest.mark.node
def test_the_engine_deals_what_the_formula_says() -> None:
    if shutil.which("node") is None or not (_ENGINE / "node_modules" / "pokemon-showdown").is_dir():
        pytest.skip("Node.js or the battle engine is not installed")
    dex = Dex.load(DEX)
    rng = np.random.default_rng(11)
    plain = [
        code
        for code, row in enumerate(dex.attack_rows)
        if row["power"] and row["hits"] == [1, 1] and row["fixed_damage"] is None and not row["volatile_status"]
        and row["id"] not in ("facade", "rage", "dreameater", "solarbeam")
    ]  # fmt: skip
    users, attacks = np.nonzero(dex.legal[:, plain])
    chosen = rng.choice(len(users), _SIDES, replace=False)
    user, attack = users[chosen], np.array(plain)[attacks[chosen]]
    target = rng.integers(0, len(dex.species_ids), _SIDES)
    made = sides.sides(dex, user, attack, target).features
    hp = dex.stats[target, 0]
    low, high = (made[:, sides.FEATURES.index(name)] * hp for name in ("damage_min", "damage_max"))
    asked = [
        [dex.species_ids[u], dex.attack_ids[m], dex.species_ids[t]]
        for u, m, t in zip(user.tolist(), attack.tolist(), target.tolist(), strict=True)
    ]
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", _SCRIPT, json.dumps(asked)],
        cwd=_ENGINE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name, dealt, least, most in zip(asked, json.loads(ran.stdout), low.round(), high.round(), strict=True):
        if not dealt:
            assert most == 0, name
            continue
        rolls = [points for points in dealt if points <= most]
        assert min(dealt) >= least, name
        assert len(rolls) >= _SEEDS * 0.6, name  # the rest are critical hits
        assert max(dealt) <= most * 1.5 + 2, name
