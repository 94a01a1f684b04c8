"""The dex as numpy tables, and the names people type for its entries."""

import difflib
import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bentos.errors import ContractError, UnknownName

LEVEL: Final = 50
_FRIENDSHIP: Final = 102  # percent: floor((70 / 255 / 10 + 1) * 100), friendship 70 as the engine sets it
_INDIVIDUAL_VALUE: Final = 31
STATS: Final = ("hp", "atk", "def", "spa", "spd", "spe")
_SUGGESTIONS = 3


def _normal(name: str) -> str:
    """Fold case, accents and punctuation away; the two Nidoran differ only in a sign, which becomes a letter.

    Nothing else is dropped: with a foreign letter, an emoji or a control character it is another name.
    """
    spelled = name.replace("♀", "f").replace("♂", "m").casefold().replace("œ", "oe")
    decomposed = unicodedata.normalize("NFKD", spelled)
    return "".join(c for c in decomposed if not _is_dropped(c))


def _is_dropped(character: str) -> bool:
    category = unicodedata.category(character)
    ascii_symbol = category[0] == "S" and character.isascii()
    return category[0] in "MPZ" or category == "Sk" or ascii_symbol


def level_stats(base: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stats at level 50 from base stats, both of shape [n, 6] in the order of ``STATS``.

    The formula is the engine's for this mod: individual values 31, neutral nature, friendship 70, nothing added.
    """
    hp = (2 * base[:, :1] + _INDIVIDUAL_VALUE + 100) * LEVEL // 100 + 10
    rest = (2 * base[:, 1:] + _INDIVIDUAL_VALUE) * LEVEL // 100 + 5
    return np.concatenate([hp, rest * _FRIENDSHIP // 100], axis=1)


class _Names:
    """Finds the code of a name, or says which names come close."""

    def __init__(self, what: str, spellings: Iterable[tuple[int, str]]) -> None:
        self._what = what
        self._code: dict[str, int] = {}
        self._shown: dict[str, str] = {}
        for code, spelling in spellings:
            self._code.setdefault(_normal(spelling), code)
            self._shown.setdefault(_normal(spelling), spelling)

    def find(self, name: str) -> int:
        code = self._code.get(name)
        if code is None:
            code = self._code.get(_normal(name))
        if code is None:
            raise self.unknown(name)
        return code

    def unknown(self, name: str) -> UnknownName:
        near = difflib.get_close_matches(_normal(name)[:64], list(self._code), n=_SUGGESTIONS, cutoff=0.5)
        nearest = [self._shown[key] for key in near]
        hint = f" Did you mean {', '.join(nearest)}?" if nearest else ""
        shown = name if len(name) <= 40 else f"{name[:40]}…"
        return UnknownName(
            f"There is no {self._what} called {shown!r}.{hint}", [{"value": shown, "did_you_mean": nearest}]
        )


class Dex:
    """Immutable tables of species and attacks; a code is the row number, rows are sorted by engine id.

    Attributes:
        species_ids: engine ids, by species code.
        attack_ids: engine ids, by attack code.
        stats: int64 [species, 6], level-50 stats in points, in the order of ``STATS``.
        types: int64 [species, 2], type codes; a species with one type has the neutral code twice removed (see chart).
        chart: float64 [types + 1, types + 1], multiplier of attacking type (row) on defending type (column); the
            last row and column are neutral.
        weight_kg: float64 [species].
    """

    def __init__(self, table: dict[str, Any]) -> None:
        self.species_rows: list[dict[str, Any]] = table["species"]
        self.attack_rows: list[dict[str, Any]] = table["attacks"]
        self.engine: str = table["engine"]
        self.species_ids = [row["id"] for row in self.species_rows]
        self.attack_ids = [row["id"] for row in self.attack_rows]
        self.species_names = [row["name"] for row in self.species_rows]
        self.attack_names = [row["name"] for row in self.attack_rows]
        for ids in (self.species_ids, self.attack_ids):
            if ids != sorted(set(ids)):
                raise ContractError("The dex is not sorted by engine id, or names an entry twice.")
        self._species_names = _Names("Pokémon", self._spellings(self.species_rows))
        self._attack_names = _Names("attack", self._spellings(self.attack_rows))

        self.type_names = sorted(table["type_chart"])
        code = {name: number for number, name in enumerate(self.type_names)}
        neutral = len(self.type_names)
        self.chart = np.ones((neutral + 1, neutral + 1))
        for attacking, row in table["type_chart"].items():
            for defending, multiplier in row.items():
                self.chart[code[attacking], code[defending]] = multiplier
        self.types = np.array(
            [[code[t] for t in row["types"]] + [neutral] * (2 - len(row["types"])) for row in self.species_rows]
        )
        self.base_stats = np.array([[row["base_stats"][stat] for stat in STATS] for row in self.species_rows])
        self.stats = level_stats(self.base_stats)
        self.weight_kg = np.array([row["weight_kg"] for row in self.species_rows], float)
        attack_code = {name: number for number, name in enumerate(self.attack_ids)}
        self._attacks_of = [np.array([attack_code[a] for a in row["attacks"]], np.int32) for row in self.species_rows]
        self.legal = np.zeros((len(self.species_ids), len(self.attack_ids)), bool)
        for species, attacks in enumerate(self._attacks_of):
            self.legal[species, attacks] = True
        self.attack_type = np.array([code[row["type"]] for row in self.attack_rows])

    @staticmethod
    def _spellings(rows: list[dict[str, Any]]) -> Iterable[tuple[int, str]]:
        """Engine ids first, so that no French name can hide one."""
        for field in ("id", "name", "name_fr"):
            yield from ((number, row[field]) for number, row in enumerate(rows) if row.get(field))

    @classmethod
    def parse(cls, text: bytes) -> "Dex":
        """Read the JSON text of ``dex.json``.

        Raises:
            ContractError: it is not a dex.
        """
        try:
            return cls(json.loads(text))
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"The dex cannot be read: {type(error).__name__}.") from error

    @classmethod
    def load(cls, path: Path) -> "Dex":
        """Read ``dex.json``; raises as ``parse`` does."""
        return cls.parse(path.read_bytes())

    def species(self, name: str) -> int:
        """Code of a species by engine id, English or French name; raises UnknownName with the nearest names."""
        return self._species_names.find(name)

    def attack(self, name: str) -> int:
        """Code of an attack by engine id or English name; raises UnknownName with the nearest names."""
        return self._attack_names.find(name)

    def attacks_of(self, species: int) -> NDArray[np.int32]:
        """Codes of the damaging attacks the species can learn; empty for Ditto, 50 for Mew."""
        return self._attacks_of[species]
