"""The duel adapter: names to codes, codes to rows, and scored pairings to a ranking."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bentos.adapter import Rows
from bentos.battle import features
from bentos.battle.dex import Dex
from bentos.battle.features import Matrix
from bentos.battle.schemas import MOST_MOVES, RankedMove
from bentos.battle.watch import Watch
from bentos.bundle import Bundle
from bentos.errors import ContractError, InvalidInput, UnknownName
from bentos.tensor import Tensor, TensorSpec, bind

DEX_FILE = "dex.json"
COLUMNS = ("pokemon_a", "move_a", "pokemon_b", "move_b")

Codes = NDArray[np.int32]
Names = Sequence[str] | NDArray[Any]


class Duel(NamedTuple):
    """A request in codes.

    Attributes:
        pokemon_a: species code.
        moves_a: attack codes [i], ascending.
        pokemon_b: species code.
        moves_b: attack codes [j], ascending.
    """

    pokemon_a: int
    moves_a: Codes
    pokemon_b: int
    moves_b: Codes


class BattleAdapter:
    """Everything about duels that a bundle needs beside its model.

    Raises:
        ContractError: the bundle was made with other features or columns than this code computes.
    """

    def __init__(self, bundle: Bundle) -> None:
        if tuple(bundle.contract.features) != features.FEATURES:
            raise ContractError("The model was trained on other features than this server computes.")
        if tuple(column.name for column in bundle.contract.columns) != COLUMNS:
            raise ContractError(f"A battle bundle has the columns {', '.join(COLUMNS)}.")
        self.dex = Dex.load(bundle.path(DEX_FILE))
        self.inputs = tuple(TensorSpec(name, "BYTES", (-1, 1)) for name in COLUMNS)
        self._watch = Watch(self.dex, bundle.contract.monitored)
        self._canonical = bundle.contract.symmetrisation == "canonical_order"

    def columns(self, values: Mapping[str, Names]) -> Rows:
        """Rows for the model from the four columns [n], each of names or of codes; raises as ``matrix`` does."""
        codes = self._coded(values)
        return self._rows(features.rows(self.dex, *codes), codes)

    def tensors(self, given: Sequence[Tensor]) -> Rows:
        """Rows from four BYTES tensors [n, 1]; raises InvalidInput, naming the tensor."""
        return self.columns({tensor.name: tensor.data[:, 0] for tensor in bind(given, self.inputs)})

    def observation(self, rows: Rows, row: int) -> NDArray[np.float64]:
        """What is watched of a row of ``columns`` or ``tensors``, whose attack of A is the one that is asked about."""
        a, move_a, b, _ = rows.source
        return self._watch.one(int(a[row]), int(b[row]), int(move_a[row]))

    def pick(self, rows: Rows, row: int) -> list[Any]:
        """Codes of one row."""
        return [codes[row] for codes in rows.source]

    def record(self, picked: list[Any]) -> dict[str, Any]:
        """A row that was picked, as names by column."""
        known = (self.dex.species_ids, self.dex.attack_ids) * 2
        return {column: names[code] for column, names, code in zip(COLUMNS, known, picked, strict=True)}

    def named(self, duel: Duel) -> dict[str, Any]:
        """A duel as the battle route takes it, every attack named."""
        attacks = [[self.dex.attack_ids[code] for code in codes] for codes in (duel.moves_a, duel.moves_b)]
        names = [self.dex.species_ids[code] for code in (duel.pokemon_a, duel.pokemon_b)]
        fields = ("pokemon_a", "pokemon_b", "available_moves_a", "available_moves_b")
        return dict(zip(fields, (*names, *attacks), strict=True))

    def duel_observation(self, duel: Duel, recommended: str) -> NDArray[np.float64]:
        """What is watched of a duel whose recommended attack has this engine id."""
        return self._watch.one(duel.pokemon_a, duel.pokemon_b, self.dex.attack(recommended))

    def matrix(self, columns: Mapping[str, Names]) -> Matrix:
        """Features of the four columns [n], each of names or of codes.

        Raises:
            InvalidInput: a column is missing or of another length, or a species cannot learn its attack.
            UnknownName: a name is in neither of its lists.
        """
        return features.rows(self.dex, *self._coded(columns))

    def _coded(self, columns: Mapping[str, Names]) -> list[Codes]:
        for name in COLUMNS:
            if name not in columns:
                raise InvalidInput(f"The column {name} is missing.", [{"field": name}])
        if len({len(columns[name]) for name in COLUMNS}) != 1:
            raise InvalidInput("The columns differ in their number of rows.")
        find = {
            "pokemon": (self.dex.species, len(self.dex.species_ids)),
            "move": (self.dex.attack, len(self.dex.attack_ids)),
        }
        codes = [_codes(name, columns[name], *find[name.partition("_")[0]]) for name in COLUMNS]
        for side in (0, 2):
            illegal = np.flatnonzero(~self.dex.legal[codes[side], codes[side + 1]])
            if len(illegal):
                row = int(illegal[0])
                user = self.dex.species_names[codes[side][row]]
                attack = self.dex.attack_ids[codes[side + 1][row]]
                raise InvalidInput(
                    f"{user} cannot learn {attack} (row {row}).",
                    [{"field": COLUMNS[side + 1], "row": row, "value": attack}],
                )
        return codes

    def duel(
        self, pokemon_a: str, pokemon_b: str, moves_a: Sequence[str] | None, moves_b: Sequence[str] | None
    ) -> Duel:
        """Resolve the names of a request; raises InvalidInput and UnknownName, with the field in their details."""
        a, b = self._species("pokemon_a", pokemon_a), self._species("pokemon_b", pokemon_b)
        return Duel(a, self._moves("available_moves_a", a, moves_a), b, self._moves("available_moves_b", b, moves_b))

    def pairings(self, duel: Duel) -> Rows:
        """All i * j rows of a duel, A's attack outermost."""
        return self._rows(features.pairings(self.dex, *duel))

    def _rows(self, matrix: Matrix, codes: Sequence[Codes] | None = None) -> Rows:
        finish = partial(features.restore, matrix=matrix) if self._canonical else None
        return Rows(len(matrix.x), matrix.x, finish, codes)

    def rank(self, duel: Duel, p: NDArray[np.float64]) -> list[RankedMove]:
        """Attacks of A from P(A wins) [i, j], the recommended one first."""
        replies = p.argmin(axis=1)
        worst, mean = p.min(axis=1), p.mean(axis=1)
        return [
            self._ranked(duel, int(i), float(worst[i]), float(mean[i]), int(duel.moves_b[replies[i]]))
            for i in preference(duel.moves_a, p)
        ]

    def _ranked(self, duel: Duel, i: int, worst: float, mean: float, reply: int) -> RankedMove:
        attack = int(duel.moves_a[i])
        row, kind, dex = self.dex.attack_rows[attack], self.dex.attack_type[attack], self.dex
        return RankedMove(
            move=dex.attack_ids[attack],
            win_probability=worst,
            mean_win_probability=min(max(mean, 0.0), 1.0),
            best_reply=dex.attack_ids[reply],
            power=row["power"],
            stab=row["type"] in dex.species_rows[duel.pokemon_a]["types"],
            type_multiplier=float(dex.chart[kind, dex.types[duel.pokemon_b]].prod()),
            priority=row["priority"],
        )

    def _species(self, field: str, name: str) -> int:
        try:
            code = self.dex.species(name)
        except UnknownName as unknown:
            raise _in_field(unknown, field) from None
        if not len(self.dex.attacks_of(code)):
            shown = self.dex.species_names[code]
            raise InvalidInput(
                f"{shown} has no damaging attack, so it cannot be scored.", [{"field": field, "value": name}]
            )
        return code

    def _moves(self, field: str, species: int, names: Sequence[str] | None) -> Codes:
        legal = self.dex.attacks_of(species)
        if names is None:
            return np.sort(legal)
        if not 1 <= len(names) <= MOST_MOVES:
            raise InvalidInput(
                f"{field} holds {len(names)} attacks, and 1 to {MOST_MOVES} are accepted.", [{"field": field}]
            )
        codes: dict[int, str] = {}
        for name in names:
            try:
                code = self.dex.attack(name)
            except UnknownName as unknown:
                raise _in_field(unknown, field) from None
            if not self.dex.legal[species, code]:
                raise self._illegal(field, species, code)
            if code in codes:
                raise InvalidInput(
                    f"{field} names {self.dex.attack_ids[code]} twice.", [{"field": field, "value": name}]
                )
            codes[code] = name
        # In one order, so that the order of a request cannot decide a tie.
        return np.sort(np.fromiter(codes, np.int32, len(codes)))

    def _illegal(self, field: str, species: int, code: int) -> InvalidInput:
        attack = self.dex.attack_ids[code]
        legal = [self.dex.attack_ids[legal] for legal in self.dex.attacks_of(species)]
        return InvalidInput(
            f"{self.dex.species_names[species]} cannot learn {attack}.",
            [{"field": field, "value": attack, "legal": legal}],
        )


def preference(moves_a: Codes, p: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places [i] of A's attacks, the recommended one first, from P(A wins) [i, j].

    By the worst case, then by the mean, then by engine id.
    """
    return np.lexsort((moves_a, -p.mean(axis=1), -p.min(axis=1)))


def _in_field(unknown: UnknownName, field: str) -> UnknownName:
    return UnknownName(str(unknown), [{"field": field, **detail} for detail in unknown.details])


def _codes(field: str, values: Names, find: Any, known: int) -> Codes:
    given = np.asarray(values)
    if given.ndim != 1:
        raise InvalidInput(f"The column {field} is not one-dimensional.", [{"field": field}])
    if np.issubdtype(given.dtype, np.integer):
        if len(given) and not 0 <= int(given.min()) <= int(given.max()) < known:
            raise InvalidInput(f"The column {field} holds a code outside 0 to {known - 1}.", [{"field": field}])
        return given.astype(np.int32)
    names = [str(name) for name in given.tolist()]
    try:
        # Each name is looked for once. NumPy's text would be as wide in every row as the longest one.
        found = {name: find(name) for name in dict.fromkeys(names)}
    except UnknownName as unknown:
        raise _in_field(unknown, field) from None
    return np.array([found[name] for name in names], np.int32)
