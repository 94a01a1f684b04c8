"""The published generator of battle requests, for load tests and wherever traffic is needed that has no users yet.

It draws as the shipped replay set was drawn: species pairs of the gate's part, which no model was fitted on, and
attacks uniformly among the legal ones. A request has one of three forms:

    FOUR     four different attacks a side, of species that have four. Of seed 1 the first 300 of them are the requests
             of ``training/data/requests.parquet``, in its order.
    SINGLE   one attack a side. Of seed 1 the first 4,000 are the pairings of ``training/data/gate.parquet``.
    FULL     both lists left out: every legal attack, 18 a side on average and 50 at most.

The same seed and mix give the same requests for ever, without an end: only ``random.Random(text)`` and ``.random()``
are used, whose values Python promises to keep across versions.

``python -m loadtests.requests --count 3`` writes them as lines of JSON.
"""

import argparse
import hashlib
import itertools
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

DEX: Final = Path(__file__).resolve().parents[1] / "training/data/dex.json"
SEED: Final = 1
"""That of the shipped replay set."""
FOUR_ATTACKS: Final = 4
# What follows is the data card's; other values would give another set than the shipped one.
_SHARD_ROWS: Final = {"requests": 50, "gate": 500, "full": 500}
_SALT: Final = "predictiondex-split-v1"
_GATE_FROM: Final = 0.88

Attacks: TypeAlias = Mapping[str, Sequence[str]]
"""Engine ids of the damaging attacks of each species that has one, by its engine id."""


class Form(StrEnum):
    """How a request says which attacks there are to choose from."""

    FOUR = "four"
    FULL = "full"
    SINGLE = "single"


Mix: TypeAlias = Mapping[Form, float]
"""Share of each form; they sum to 1."""
# A Pokémon knows four attacks, so that is what players ask; who does not know the other side leaves the lists out, and
# those are the requests that cost; one attack a side is what tools ask that compare two.
BATTLE_MIX: Final[Mix] = MappingProxyType({Form.FOUR: 0.6, Form.FULL: 0.3, Form.SINGLE: 0.1})
# Of the Open Inference Protocol a row is a pairing: mostly single rows, some batches of 16, a few of hundreds.
OIP_MIX: Final[Mix] = MappingProxyType({Form.SINGLE: 0.7, Form.FOUR: 0.25, Form.FULL: 0.05})


class Pairing(NamedTuple):
    """One row: an attack of one species against an attack of another, by engine ids."""

    pokemon_a: str
    move_a: str
    pokemon_b: str
    move_b: str


class Battle(NamedTuple):
    """One request.

    Attributes:
        pokemon_a: engine id.
        moves_a: attacks that A chooses from; in the form FULL all it has.
        pokemon_b: engine id.
        moves_b: attacks that B may answer with.
        form: whether the lists are left out of the body.
    """

    pokemon_a: str
    moves_a: tuple[str, ...]
    pokemon_b: str
    moves_b: tuple[str, ...]
    form: Form

    def body(self) -> dict[str, Any]:
        """The JSON body of ``POST /predict/battle``."""
        names: dict[str, Any] = {"pokemon_a": self.pokemon_a, "pokemon_b": self.pokemon_b}
        if self.form is Form.FULL:
            return names
        return {**names, "available_moves_a": list(self.moves_a), "available_moves_b": list(self.moves_b)}

    def rows(self) -> list[Pairing]:
        """Every pairing of it, A's attacks outermost: what the server scores, and an OIP request's rows."""
        pairs = itertools.product(self.moves_a, self.moves_b)
        return [Pairing(self.pokemon_a, ours, self.pokemon_b, theirs) for ours, theirs in pairs]


def load_attacks(dex: Path = DEX) -> Attacks:
    """Read which species has which attacks.

    Raises:
        OSError: the file cannot be read.
    """
    species = json.loads(dex.read_bytes())["species"]
    return {row["id"]: tuple(row["attacks"]) for row in species if row["attacks"]}


def battles(attacks: Attacks, seed: int = SEED, mix: Mix = BATTLE_MIX) -> Iterator[Battle]:
    """Yield requests without an end.

    Args:
        attacks: of ``load_attacks``.
        seed: another one gives other requests.
        mix: share of each form.

    Raises:
        ValueError: the shares do not sum to 1.
    """
    if abs(sum(mix.values()) - 1) > 1e-9:
        raise ValueError(f"The shares of a mix sum to {sum(mix.values()):g}, and not to 1.")
    streams = {form: stream(attacks, form, seed) for form in mix}
    forms, upto = list(mix), list(itertools.accumulate(mix.values()))
    rng = _rng("mix", seed, 0)
    return (next(streams[_at(forms, upto, rng.random())]) for _ in itertools.repeat(None))


def stream(attacks: Attacks, form: Form, seed: int = SEED) -> Iterator[Battle]:
    """Yield requests of one form without an end."""
    kind = {Form.FOUR: "requests", Form.SINGLE: "gate", Form.FULL: "full"}[form]
    least = FOUR_ATTACKS if form is Form.FOUR else 1
    species = sorted(name for name, known in attacks.items() if len(known) >= least)
    for shard in itertools.count():
        rng = _rng(kind, seed, shard)
        for _ in range(_SHARD_ROWS[kind]):
            a, b = _pair(rng, species)
            ours, theirs = _choose(rng, attacks[a], form), _choose(rng, attacks[b], form)
            yield Battle(a, ours, b, theirs, form)


def _rng(kind: str, seed: int, shard: int) -> random.Random:
    return random.Random(f"{kind}|{seed}|{shard}")  # noqa: S311  reproducible draws, not secrets


def _at(forms: list[Form], upto: list[float], position: float) -> Form:
    return next((form for form, bound in zip(forms, upto, strict=True) if position < bound), forms[-1])


def _pair(rng: random.Random, species: list[str]) -> tuple[str, str]:
    while True:
        a, b = (species[int(rng.random() * len(species))] for _ in "ab")
        if of_gate(a, b):
            return a, b


@cache
def of_gate(pokemon_a: str, pokemon_b: str) -> bool:
    """Whether no model was fitted on duels of the two: they are of the gate's part in the data card's split."""
    first, second = sorted((pokemon_a, pokemon_b))
    digest = hashlib.sha256(f"{_SALT}|{first}|{second}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 >= _GATE_FROM


def _choose(rng: random.Random, attacks: Sequence[str], form: Form) -> tuple[str, ...]:
    if form is Form.FULL:
        return tuple(attacks)
    left = list(attacks)
    count = FOUR_ATTACKS if form is Form.FOUR else 1
    return tuple(left.pop(int(rng.random() * len(left))) for _ in range(count))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write requests to standard output."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.requests", description="Write requests as JSON lines.")
    parser.add_argument("--seed", type=int, default=SEED, help="another one gives other requests (default %(default)s)")
    parser.add_argument("--count", type=int, default=10, help="how many (default %(default)s)")
    parser.add_argument("--form", choices=[form.value for form in Form], help="only this form (default the mix)")
    parser.add_argument("--dex", type=Path, default=DEX, help="species and attacks (default the shipped ones)")
    given = parser.parse_args(arguments)
    attacks = load_attacks(given.dex)
    source = battles(attacks, given.seed) if given.form is None else stream(attacks, Form(given.form), given.seed)
    for battle in itertools.islice(source, given.count):
        sys.stdout.write(json.dumps(battle.body()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
