"""Numbers as Grafana's units write them."""

from typing import Final

_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_SHORT: Final = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_AFTER: Final = {"reqps": " req/s", "d": " d", "cores": ""}


def shown(value: float, unit: str) -> str:
    """A number with its unit, in three digits."""
    if unit == "percentunit":
        return f"{value * 100:,.0f}%" if abs(value) >= 10 else f"{value * 100:.3g}%"
    if unit == "s":
        return f"{value * 1e3:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    if unit == "bytes":
        place = 0
        while abs(value) >= 1024 and place + 1 < len(_BYTES):
            value, place = value / 1024, place + 1
        return f"{value:.3g} {_BYTES[place]}"
    for least, word in _SHORT:
        if abs(value) >= least:
            return f"{value / least:.3g}{word}{_AFTER.get(unit, '')}"
    return f"{value:.3g}{_AFTER.get(unit, '')}"
