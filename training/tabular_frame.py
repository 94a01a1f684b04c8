"""Sample rows as columns of the contract, and rows drawn from them that lie close to theirs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from bentos.contract import Column, MissingRule, Scalar
from training.export import ExportError
from training.tabular_model import Model
from training.tabular_onnx import Precision

_MOST_CATEGORIES: Final = 1_000
_SHUFFLED: Final = 0.3  # share of the drawn rows whose columns come from different rows
_JITTERED: Final = 0.3  # share whose numbers are moved
_JITTER: Final = 0.05  # by this share of their standard deviation
_MISSING: Final = 0.02  # share of the values left out where one may be
_UNKNOWN: Final = "a word that is in no list"


class Told(NamedTuple):
    """What the caller says of columns, by their names; see ``training.tabular.export``."""

    dtypes: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    categories: Mapping[str, Sequence[str] | None]
    units: Mapping[str, str]
    missing: Mapping[str, str]
    optional: Sequence[str]


class Schema(NamedTuple):
    """The contract's columns of a frame, and the precision of its floats."""

    columns: list[Column]
    precision: Precision = "float32"

    @classmethod
    def of(cls, frame: pd.DataFrame, model: Model, told: Told) -> "Schema":
        """Describe a frame's columns; raises ExportError for what serving could not take."""
        for argument, names in told._asdict().items():
            unknown = next((name for name in names if name not in frame.columns), None)
            if unknown is not None:
                raise ExportError(f"{argument} names the column {unknown}, which the frame lacks.")
        model.check_columns(list(frame.columns))
        encoded = _encoded(model.model)
        return cls([_column(frame[name], told, encoded.get(name, [])) for name in frame.columns])

    def with_precision(self, precision: Precision) -> "Schema":
        """The same with floats of a graph's precision."""
        floats = {"float32", "float64"}
        columns = [c.model_copy(update={"dtype": precision}) if c.dtype in floats else c for c in self.columns]
        return Schema(columns, precision)


def _column(values: "pd.Series[Any]", told: Told, encoded: Sequence[str]) -> Column:
    name = str(values.name)
    dtype = told.dtypes.get(name) or _dtype(values)
    gaps = bool(values.isna().any())
    rule = told.missing.get(name) or ("nan" if gaps or name in told.optional else "refuse")
    if dtype == "string" and (gaps or rule == "nan"):
        raise ExportError(f"The column {name} holds text, and text cannot be missing; name what stands for it.")
    if gaps and rule == "refuse":
        raise ExportError(f"The column {name} is to refuse missing values, and the frame has some.")
    listed = told.categories[name] if name in told.categories else _categories(values, dtype, encoded)
    described = {
        "name": name,
        "dtype": dtype,
        "unit": told.units.get(name),
        "range": told.ranges.get(name),
        "categories": None if listed is None else list(listed),
        "missing": rule,
        "optional": name in told.optional,
    }
    try:
        return Column.model_validate(described)
    except ValidationError as error:
        first = error.errors()[0]
        raise ExportError(
            f"The column {name} cannot be described: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
        ) from error


def typed(schema: Schema, frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Columns as serving sees them: text as objects, whole numbers as int64, floats, and NaN where one is missing."""
    columns = {}
    for column in schema.columns:
        values = frame[column.name]
        if column.dtype == "string":
            columns[column.name] = np.array([str(value) for value in values], np.object_)
            continue
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        if column.dtype in {"int64", "bool"} and not np.isnan(numbers).any():
            columns[column.name] = values.to_numpy(np.int64 if column.dtype == "int64" else np.bool_)
        else:
            columns[column.name] = numbers.astype(np.float32) if column.dtype == "float32" else numbers
    return columns


def draw(schema: Schema, frame: pd.DataFrame, rows: int, seed: int) -> dict[str, NDArray[Any]]:
    """Draw rows from a frame: as they are, with columns of different rows, or with numbers moved a little."""
    rng = np.random.default_rng(seed)
    source = typed(schema, frame)
    whole = rng.integers(len(frame), size=rows)
    whole[: min(rows, len(frame))] = np.arange(min(rows, len(frame)))
    kind = rng.random(rows)
    kind[: min(rows // 3, len(frame))] = 1.0  # rows of the frame itself, where thresholds of trees lie
    columns = {}
    for column in schema.columns:
        places = np.where(kind < _SHUFFLED, rng.integers(len(frame), size=rows), whole)
        values = source[column.name][places]
        if column.dtype == "string":
            if column.categories is None:
                values[rng.random(rows) < _MISSING] = _UNKNOWN
        else:
            if column.dtype in {"float32", "float64"}:
                values = _moved(column, values, (kind >= _SHUFFLED) & (kind < _SHUFFLED + _JITTERED), rng)
            if column.missing is MissingRule.NAN:
                values = values.astype(np.float32 if column.dtype == "float32" else np.float64)
                values[rng.random(rows) < _MISSING] = np.nan
        columns[column.name] = values
    return columns


def _moved(column: Column, values: NDArray[Any], which: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    low, high = column.range or (np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf))
    noise = rng.normal(scale=_JITTER, size=len(values)) * np.nan_to_num(np.nanstd(values.astype(np.float64)))
    moved = np.clip(values + np.where(which, noise, 0.0), low, high)
    return np.where(which, moved, values).astype(values.dtype)


def rebuilt(columns: Mapping[str, NDArray[Any]], frame: pd.DataFrame) -> pd.DataFrame:
    """Columns as a frame of the data types that the model was given."""
    made = {}
    for name, dtype in frame.dtypes.items():
        values = columns[str(name)]
        # A frame of whole numbers cannot hold what is missing; a model that takes it does so as a float.
        gaps = values.dtype.kind == "f" and bool(np.isnan(values).any())
        keep = gaps and dtype.kind in "iub"
        made[name] = pd.Series(values) if keep else pd.Series(values).astype(dtype)
    return pd.DataFrame(made)


def _dtype(values: "pd.Series[Any]") -> str:
    if pd.api.types.is_bool_dtype(values):
        return "bool"
    if pd.api.types.is_integer_dtype(values):
        return "int64"
    if pd.api.types.is_float_dtype(values):
        return "float32"
    text = isinstance(values.dtype, pd.CategoricalDtype) or all(
        isinstance(value, str) for value in values.dropna().head(1000)
    )
    if text and not pd.api.types.is_datetime64_any_dtype(values):
        return "string"
    raise ExportError(f"The column {values.name} holds {values.dtype}, which is neither a number nor text.")


def _categories(values: "pd.Series[Any]", dtype: str, known: Sequence[str]) -> list[str] | None:
    if dtype != "string":
        return None
    found = sorted({*known, *(str(value) for value in values.unique())})
    return found if len(found) <= _MOST_CATEGORIES else None


def _encoded(model: Any) -> dict[str, list[str]]:
    """Text categories that encoders of a pipeline know, by column."""
    known: dict[str, list[str]] = {}
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    for transformer in (step for step in steps if isinstance(step, ColumnTransformer)):
        for _, part, names in transformer.transformers_:
            encoder = part.steps[-1][1] if isinstance(part, Pipeline) else part
            lists = getattr(encoder, "categories_", None)
            if lists is None or isinstance(names, str | slice) or len(lists) != len(names):
                continue
            for name, values in zip(names, lists, strict=True):
                if isinstance(name, str):
                    known[name] = [value for value in values.tolist() if isinstance(value, str)]
    return known


def records(schema: Schema, columns: Mapping[str, NDArray[Any]], places: Iterable[int]) -> list[dict[str, Any]]:
    """Rows of ``typed`` columns as JSON objects; None where a number is missing."""
    return [
        {column.name: _scalar(column, columns[column.name][place]) for column in schema.columns} for place in places
    ]


def _scalar(column: Column, value: Any) -> Scalar:
    if column.dtype != "string" and np.isnan(value):
        return None
    kinds: dict[str, Any] = {"string": str, "int64": int, "bool": bool}
    made: Scalar = kinds.get(column.dtype, float)(value)
    return made
