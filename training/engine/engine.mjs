// The one place that knows the battle engine: which mod, which species, which attacks.
//
// The engine is used as published: nothing of it is patched, so that its results stay the ground truth.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
export const { Battle, Dex, toID } = require('pokemon-showdown');
export const frenchNames = require('pokemon/data/fr.json');
export const engineVersion = require('pokemon-showdown/package.json').version;

export const MOD = 'gen7letsgo';
export const dex = Dex.mod(MOD);

/** Obtainable species and forms of the mod, in the order of their engine ids. */
export function allSpecies() {
  return dex.species
    .all()
    .filter((species) => species.num > 0 && !species.isNonstandard)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Engine ids of the damaging attacks a species can learn, sorted. */
export function attacksOf(species) {
  return [...dex.species.getMovePool(species.id)]
    .map((id) => dex.moves.get(id))
    .filter((move) => move.category !== 'Status' && !move.isNonstandard)
    .map((move) => move.id)
    .sort();
}
