"""Names to codes, and which part of the split each pair belongs to, as tables that rows are judged by indexing."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bentos.battle.dex import Dex
from bentos.errors import UnknownName
from training.dataset.errors import SourceError
from training.dataset.split import Part, part_of

NULL, WRONG_TYPE, UNKNOWN = -1, -2, -3  # what stands in place of a code or a number that a value has not
PARTS = tuple(Part)
_MOST_UNKNOWN = 1000


class Codes(dict[str, int]):
    """A spelling's code, or ``UNKNOWN``; each distinct spelling is looked up once.

    Attributes:
        reasons: unknown spelling -> a clause with the nearest names.

    Raises:
        SourceError: so many spellings are unknown that the source cannot be a dataset.
    """

    def __init__(self, find: Callable[[str], int]) -> None:
        super().__init__()
        self._find = find
        self.reasons: dict[str, str] = {}

    def __missing__(self, name: str) -> int:
        try:
            code = self._find(name)
        except UnknownName as error:
            code = UNKNOWN
            self.reasons[name] = str(error).rstrip(".?")
            # Finding the nearest names takes milliseconds, which a column of unique keys would turn into hours.
            if len(self.reasons) > _MOST_UNKNOWN:
                raise SourceError(
                    f"More than {_MOST_UNKNOWN} different names are unknown, so this is no table of duels; "
                    f"the last: {self.reasons[name]}."
                ) from None
        self[name] = code
        return code


class Names:
    """The dex as the dataset needs it.

    Attributes:
        species: spelling -> code; engine ids, English and French names, as the dex understands them.
        attacks: the same for attacks.
        part: uint8[species, species], the place in ``PARTS`` of the part the pair belongs to; symmetric.
    """

    def __init__(self, dex: Dex) -> None:
        self.dex = dex
        self.species = Codes(dex.species)
        self.attacks = Codes(dex.attack)
        count = len(dex.species_ids)
        self.part: NDArray[np.uint8] = np.zeros((count, count), np.uint8)
        for a, name in enumerate(dex.species_ids):
            for b in range(a + 1):
                self.part[a, b] = self.part[b, a] = PARTS.index(part_of(name, dex.species_ids[b]))
