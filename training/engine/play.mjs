// Plays one-move duels. One request a line on stdin, one answer a line on stdout, in the same order.
//
//   request  species_a attack_a species_b attack_b seed first count
//   answer   one "<winner><turns>" for each duel, separated by spaces; winner is a, b or d (draw)
//
// `seed` is 28 hexadecimal digits; duel number k of a request (first <= k < first + count) runs on the engine's
// ChaCha20 generator seeded with `seed` and k as four more digits, so duels are independent and each can be replayed.
//
// Rules: level 50, individual values 31, no effort or awakening values, neutral nature, no ability, no item,
// no gender; each side has one species with one attack. No clause of any format applies. When the attack has no PP
// left the engine plays Struggle. A duel still open after TURN_LIMIT turns is a draw, as is one the engine ties.
import { createInterface } from 'node:readline';
import { Battle, Dex } from './engine.mjs';

const TURN_LIMIT = 1000;
const LEVEL = 50;

const letsGo = Dex.formats.get('gen7letsgoou');
const format = Object.assign(Object.create(Object.getPrototypeOf(letsGo)), letsGo, {
  id: 'predictiondexduel',
  name: 'PredictionDex duel',
  ruleset: [],
  baseRuleset: [],
  banlist: [],
  unbanlist: [],
  restricted: [],
  ruleTable: null, // or the engine would reuse the clauses of the format this one is derived from
});

const spread = (value) => ({ hp: value, atk: value, def: value, spa: value, spd: value, spe: value });

function team(species, attack) {
  return [
    {
      name: species,
      species,
      item: '',
      ability: 'No Ability',
      moves: [attack],
      nature: 'Serious',
      gender: 'N',
      evs: spread(0),
      ivs: spread(31),
      level: LEVEL,
    },
  ];
}

export function duel(speciesA, attackA, speciesB, attackB, seed) {
  const battle = new Battle({ formatid: format.id, format, seed });
  battle.setPlayer('p1', { name: 'a', team: team(speciesA, attackA) });
  battle.setPlayer('p2', { name: 'b', team: team(speciesB, attackB) });
  while (!battle.ended && battle.turn <= TURN_LIMIT) battle.makeChoices('default', 'default');
  const outcome = { winner: battle.winner || 'd', turns: battle.turn };
  battle.destroy();
  return outcome;
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!line) continue;
  const [speciesA, attackA, speciesB, attackB, seed, first, count] = line.split(' ');
  const results = [];
  for (let k = Number(first); k < Number(first) + Number(count); k++) {
    const { winner, turns } = duel(speciesA, attackA, speciesB, attackB, `sodium,${seed}${k.toString(16).padStart(4, '0')}`);
    results.push(`${winner}${turns}`);
  }
  process.stdout.write(`${results.join(' ')}\n`);
}
