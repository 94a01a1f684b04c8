"""The columns of every dataset file, and the digest that says two tables hold the same rows."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

NAME = pa.dictionary(pa.int16(), pa.string())
PAIRING = ("pokemon_a", "move_a", "pokemon_b", "move_b")
_DIGEST_ROWS = 1 << 16
WINNERS = ("b", "draw", "a")  # a winner's place here, halved, is its label

_PAIRING_FIELDS = [(name, NAME) for name in PAIRING]
DUEL_SCHEMA = pa.schema([*_PAIRING_FIELDS, ("winner", NAME), ("turns", pa.int16())])
REPLAY_SCHEMA = pa.schema(
    [
        *_PAIRING_FIELDS,
        # Two halves of 30 replays each, so that what is chosen by one half can be valued by the other.
        *((f"{what}_{half}", pa.int16()) for half in (1, 2) for what in ("wins", "draws")),
        ("replays", pa.int16()),
        ("mean_turns", pa.float32()),
    ]
)
REQUEST_SCHEMA = pa.schema([("request", pa.int32()), *REPLAY_SCHEMA])


def digest(table: pa.Table) -> str:
    """SHA-256 over the rows as text, in order; independent of Parquet's encoding and of the file's split."""
    sha = hashlib.sha256("\t".join(table.column_names).encode())
    for batch in table.combine_chunks().to_batches(_DIGEST_ROWS):
        rows = pc.binary_join_element_wise(*map(_texts, batch.columns), "\t").to_pylist()
        sha.update("".join(f"{row}\n" for row in rows).encode())
    return sha.hexdigest()


def _texts(column: pa.Array) -> pa.Array:
    """Python's ``repr`` of each value, without making a Python object of it where there is a shorter way."""
    if pa.types.is_dictionary(column.type):
        values = pa.array([repr(value) for value in column.dictionary.to_pylist()], pa.string())
        return values.take(column.indices).fill_null("None")
    if pa.types.is_integer(column.type):
        return column.cast(pa.string()).fill_null("None")
    return pa.array([repr(value) for value in column.to_pylist()], pa.string())
