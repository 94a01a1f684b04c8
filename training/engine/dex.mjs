// Prints the dex as JSON: species, attacks, type chart. Usage: node dex.mjs > dex.json
import { allSpecies, attacksOf, dex, engineVersion, frenchNames, MOD } from './engine.mjs';

const TYPE_RELATION = [1, 2, 0.5, 0]; // the engine's damageTaken code -> multiplier

function typeChart() {
  const types = dex.types.names().filter((name) => !dex.types.get(name).isNonstandard && name !== 'Stellar');
  const chart = {};
  for (const attacking of types) {
    chart[attacking] = {};
    for (const defending of types) {
      chart[attacking][defending] = TYPE_RELATION[dex.types.get(defending).damageTaken[attacking]];
    }
  }
  return chart;
}

function speciesRow(species) {
  return {
    id: species.id,
    name: species.name,
    // The French table lists base species by national number; forms have no entry of their own.
    name_fr: species.forme ? null : (frenchNames[species.num - 1] ?? null),
    number: species.num,
    form: species.forme || null,
    types: species.types,
    base_stats: species.baseStats,
    weight_kg: species.weightkg,
    attacks: attacksOf(species),
  };
}

function attackRow(id) {
  const move = dex.moves.get(id);
  const hits = move.multihit ?? 1;
  return {
    id: move.id,
    name: move.name,
    type: move.type,
    category: move.category,
    power: move.basePower,
    accuracy: move.accuracy === true ? null : move.accuracy, // null: never misses
    pp: move.noPPBoosts ? move.pp : Math.floor((move.pp * 8) / 5), // with three PP Ups, as the engine plays it
    priority: move.priority,
    crit_stage: move.critRatio ?? 1,
    always_crits: Boolean(move.willCrit),
    hits: Array.isArray(hits) ? hits : [hits, hits],
    drain: move.drain ? move.drain[0] / move.drain[1] : 0,
    recoil: move.recoil ? move.recoil[0] / move.recoil[1] : 0,
    fixed_damage: move.damage === 'level' ? 50 : (move.damage ?? null),
    one_hit_ko: Boolean(move.ohko),
    self_destructs: Boolean(move.selfdestruct),
    crash_on_miss: Boolean(move.hasCrashDamage),
    charges: Boolean(move.flags.charge),
    recharges: Boolean(move.flags.recharge),
    contact: Boolean(move.flags.contact),
    forces_switch: Boolean(move.forceSwitch),
    user_switches: Boolean(move.selfSwitch),
    uses_target_attack: move.overrideOffensivePokemon === 'target',
    volatile_status: move.volatileStatus ?? null,
    self_volatile_status: move.self?.volatileStatus ?? null,
    self_side_condition: move.self?.sideCondition ?? null,
    self_boosts: move.self?.boosts ?? {},
    secondaries: (move.secondaries ?? []).map((effect) => ({
      chance: (effect.chance ?? 100) / 100,
      status: effect.status ?? null,
      volatile_status: effect.volatileStatus ?? null,
      boosts: effect.boosts ?? {},
      self_boosts: effect.self?.boosts ?? {},
    })),
  };
}

const species = allSpecies().map(speciesRow);
const attackIds = [...new Set(species.flatMap((row) => row.attacks))].sort();
const table = {
  engine: `pokemon-showdown ${engineVersion}`,
  mod: MOD,
  level: 50,
  type_chart: typeChart(),
  species,
  attacks: attackIds.map(attackRow),
};
process.stdout.write(`${JSON.stringify(table, null, 1)}\n`);
