"""The figures as Markdown; a figure without a run is not shown."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from k8s.rollout.simulate import figures
from k8s.rollout.simulate.figures import OURS

MISSING: Final = "not shown"
INDEPENDENT: Final = tuple(list(figures.HEALTHY)[:4])
STALLS: Final = tuple(name for name in figures.HEALTHY if "stalled" in name)
COLD: Final = "1,000 a minute, first minute of new pods cold"
INCIDENTS: Final = tuple(name for name in figures.HEALTHY if "incident" in name)


def _shown(figure: Callable[[], str]) -> str:
    """A cell, or that there is no run."""
    try:
        return figure()
    except (KeyError, ValueError):
        return MISSING


def _minutes(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _reached(value: float, reach: float, *, most: bool) -> str:
    fits = value <= reach if most else value >= reach
    return f"{value:.2%} | {'yes' if fits else 'no'}"


def targets(results: dict[str, Any]) -> Iterator[str]:
    """Rows of what was to be reached."""
    healthy = results.get("healthy", {})

    def back(*names: str) -> Callable[[], str]:
        return lambda: _reached(max(healthy[name][OURS]["rolled_back"] for name in names), 0.01, most=True)

    def promoted() -> str:
        told = healthy["1,000 requests a minute"][OURS]
        fits = told["promoted"] >= 0.99 and told["minutes"] is not None and told["minutes"] <= 45
        return f"{told['promoted']:.2%} in {_minutes(told['minutes'])} minutes | {'yes' if fits else 'no'}"

    def least(of: str, *keys: str) -> Callable[[], str]:
        def figure() -> str:
            values = [results[of][key] for key in keys or results[of]]
            return _reached(min(each[OURS] if isinstance(each, dict) else each for each in values), 0.9, most=False)

        return figure

    rows: dict[str, tuple[str, Callable[[], str]]] = {
        "healthy version rolled back, independent requests, 10 to 10,000 a minute": ("≤ 1%", back(*INDEPENDENT)),
        "the same, 1 % of pod-intervals stalled": ("≤ 1%", back(*STALLS)),
        "the same, cold first minute": ("≤ 1%", back(COLD)),
        "the same, shared incident": ("≤ 1%", back(*INCIDENTS)),
        "healthy version promoted, 1,000 a minute, default steps": ("≥ 99%, median ≤ 45 minutes", promoted),
        "errors 0.1 % to 5 % within 300 canary requests or 12 intervals, weights to 25 %": ("≥ 90%", least("errors")),
        "slow 1 % to 2 % within 10,000 canary requests and 40 intervals": ("≥ 90%", least("slow")),
        "flips 1 point over an expected rate to 1 %, within 5,000 pairs": ("≥ 90%", least("flips")),
        "score distribution, total variation 0.03 over ten bins, within 20,000 requests": (
            "≥ 90%",
            least("scores", *figures.SHAPES[:2]),
        ),
    }
    yield "| figure | reach | worst case shown | reached |"
    yield "| --- | --- | --- | --- |"
    for name, (reach, figure) in rows.items():
        cell = _shown(figure)
        yield f"| {name} | {reach} | {cell if cell != MISSING else f'{MISSING} | –'} |"


def rollouts(results: dict[str, Any], kind: str, scenarios: dict[str, Any]) -> Iterator[str]:
    """One row a kind of rollout, with every judge."""
    rivals = [name for name in figures.JUDGES if name != OURS]
    heads = ["rollout", "rolled back", "promoted", "held without verdict", "median minutes"]
    yield f"| {' | '.join(heads + [f'{name}: rolled back, median minutes' for name in rivals])} |"
    yield "| --- |" + " ---: |" * (len(heads) - 1 + len(rivals))
    for name in scenarios:

        def cells(name: str = name) -> str:
            told = results[kind][name]
            own = told[OURS]
            shares = [f"{own[key]:.2%}" for key in ("rolled_back", "promoted", "held")]
            others = [f"{told[each]['rolled_back']:.2%}, {_minutes(told[each]['minutes'])}" for each in rivals]
            return " | ".join([*shares, _minutes(own["minutes"]), *others])

        cell = _shown(cells)
        yield f"| {name} | {cell if cell != MISSING else ' | '.join([MISSING] * (len(heads) - 1 + len(rivals)))} |"


def _share(results: dict[str, Any], *keys: str) -> str:
    """A share at some place of the results."""

    def cell() -> str:
        found: Any = results
        for key in keys:
            found = found[key]
        return f"{found:.2%}"

    return _shown(cell)


def budgets(results: dict[str, Any]) -> Iterator[str]:
    """What is caught in time, case by case."""
    rivals = [name for name in figures.JUDGES if name != OURS]
    yield f"| fault | case | caught in time | {' | '.join(rivals)} |"
    yield "| --- | --- | ---: |" + " ---: |" * len(rivals)
    for of, title, cases in (
        ("errors", "errors 0.1 % to 5 %", figures.ERRORS),
        ("slow", "slow 1 % to 2 %", figures.SLOW),
    ):
        for weight, count in cases:
            shares = [_share(results, of, f"{weight:g}/{count:g}", name) for name in (OURS, *rivals)]
            yield f"| {title} | weight {weight:.0%}, {count:g} canary requests an interval | {' | '.join(shares)} |"
    none = " – |" * len(rivals)
    for expected, count in figures.PAIRS:
        share = _share(results, "flips", f"{expected:g}/{count:g}")
        yield f"| flips 1 point over | {expected:.1%} expected, {count:g} pairs an interval | {share} |{none}"
    for name in figures.SHAPES:
        yield f"| scores, total variation 0.03 | {name} | {_share(results, 'scores', name)} |{none}"
    yield f"| none, flips as expected | 50,000 pairs | {_share(results, 'flips_quiet')} |{none}"
    yield f"| none, scores alike | 20,000 requests | {_share(results, 'scores_quiet')} |{none}"


def curve(results: dict[str, Any]) -> Iterator[str]:
    """Rolled back and promoted by the excess of errors."""
    yield "| errors over stable's 0.1 %, points | rolled back | promoted |"
    yield "| ---: | ---: | ---: |"
    for excess in figures.CURVE:

        def cells(key: str = f"{excess:g}") -> str:
            told = results["curve"][key]
            return f"{told['rolled_back']:.1%} | {told['promoted']:.1%}"

        cell = _shown(cells)
        yield f"| {100 * excess:.1f} | {cell if cell != MISSING else f'{MISSING} | {MISSING}'} |"


def tables(results: dict[str, Any]) -> str:
    """All of them."""
    blocks = (
        ("", targets(results)),
        ("A healthy version:", rollouts(results, "healthy", figures.HEALTHY)),
        ("A version with a fault:", rollouts(results, "faults", figures.FAULTS)),
        ("What is caught in time:", budgets(results)),
        ("The errors check alone, 1,000 requests a minute, two hours:", curve(results)),
    )
    count = results.get("rollouts")
    lines = [f"Of {count:,} simulated rollouts a row (a fifth of them for the last table)." if count else MISSING, ""]
    for title, rows in blocks:
        lines += [title, ""] if title else []
        lines += [*rows, ""]
    return "\n".join(lines[:-1])
