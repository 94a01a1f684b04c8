"""Pictures hold every panel of the dashboards that there are, with what a Prometheus said of it."""

import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from matplotlib.axes import Axes
from PIL import Image

from monitoring.pictures import __main__ as command
from monitoring.pictures.draw import figure, silent
from monitoring.pictures.panels import dashboard, names
from monitoring.pictures.recording import MOST_BYTES, Recording, RecordingError, Series, Span
from monitoring.pictures.series import Line, lines, named, short
from monitoring.pictures.units import shown

DOCUMENT = Path(__file__).parents[3] / "docs/monitoring.md"
MOST_PICTURE_BYTES = 250_000
EVERY = {
    "alertname": "ModelInputDrift", "bin": "[0.1,0.2)", "class": "ok", "code": "internal", "column": "type_a",
    "le": "0.5", "pod": "battle-stable-1", "result": "correct", "route": "/predict/battle", "sloth_slo": "latency",
    "track": "stable", "transport": "rest", "version": "1", "window": "1h",
}  # fmt: skip
"""What a series is labelled with, whatever is asked."""


class Prometheus:
    """Answers query_range as Prometheus does, and keeps what it was asked.

    Attributes:
        lacks: words of the expressions that have no series.
        refuses: whether expressions are no PromQL to it.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.lacks: tuple[str, ...] = ()
        self.refuses = False

    def answer(self, path: str) -> dict[str, Any]:
        parts = urlsplit(path)
        assert parts.path == "/api/v1/query_range"
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(asked)
        if self.refuses:
            return {"status": "error", "error": "parse error"}
        start, end, step = float(asked["start"]), float(asked["end"]), float(asked["step"])
        # The first moment has no value, and the second one is no number.
        times = [start + number * step for number in range(1, int((end - start) / step) + 1)]
        values = [[time, "NaN" if number == 0 else f"{number}.123456789"] for number, time in enumerate(times)]
        result = [] if any(word in asked["query"] for word in self.lacks) else [{"metric": EVERY, "values": values}]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    @contextmanager
    def serving(self) -> Iterator[str]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answer(self.path)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


def record(prometheus: Prometheus, out: Path, *more: str) -> int:
    with prometheus.serving() as url:
        given = ["--url", url, "--namespace", "models", "--release", "battle", "--minutes", "2", "--out", str(out)]
        return command.main(["record", *given, *more])


def titles(drawn: Recording) -> dict[str, Axes]:
    """The card of each panel by its title."""
    return {axes.texts[0].get_text(): axes for axes in figure(drawn).axes if axes.texts}


def test_every_query_of_every_panel_is_asked_of_the_release(tmp_path: Path) -> None:
    prometheus = Prometheus()
    assert record(prometheus, tmp_path) == 0
    queries = {(name, query.expr) for name in names() for panel in dashboard(name).panels for query in panel.queries}
    assert len(prometheus.asked) == len(queries) > 50
    for asked in prometheus.asked:
        assert 'namespace="models"' in asked["query"]
        assert "$" not in asked["query"]
    assert {asked["step"] for asked in prometheus.asked} == {"15"}
    assert any("[60s]" in asked["query"] for asked in prometheus.asked)


def test_every_panel_is_drawn_with_its_series(tmp_path: Path) -> None:
    record(Prometheus(), tmp_path)
    for name in names():
        recording = Recording.read(tmp_path / f"{name}.json.gz")
        assert silent(recording) == []
        drawn = titles(recording)
        panels = [panel for panel in dashboard(name).panels if panel.kind != "row"]
        assert list(drawn) == [panel.title for panel in panels]
        assert not [text for card in drawn.values() for text in card.texts if text.get_text() == "no data"]
        for panel in panels:
            for line in lines(panel, recording):
                assert [value for value in line.values if not math.isnan(value)] == [
                    pytest.approx(number + 0.123456789, rel=1e-5) for number in range(1, 8)
                ]


def test_names_and_limits_are_those_of_the_dashboard(tmp_path: Path) -> None:
    record(Prometheus(), tmp_path, "--dashboard", "model", "service")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json.gz", "service.json.gz"]
    (drift,) = [panel for panel in dashboard("model").panels if panel.title == "Inputs, over an hour"]
    found = lines(drift, Recording.read(tmp_path / "model.json.gz"))
    assert [(line.name, line.dashed) for line in found] == [
        ("type_a (1)", False), ("bound by chance (1)", True), ("floor", True), ("ceiling", True),
    ]  # fmt: skip
    assert [panel.title for panel in dashboard("model").panels if panel.stacked] == [
        "Score, by bin", "Score, by bin, in the reference",
    ]  # fmt: skip
    assert {panel.kind for name in names() for panel in dashboard(name).panels} == {
        "row", "timeseries", "stat", "heatmap",
    }  # fmt: skip


def test_pictures_are_small_and_what_has_no_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prometheus = Prometheus()
    prometheus.lacks = ("model_brier", "model_offline_accuracy_ratio")
    record(prometheus, tmp_path, "--dashboard", "model", "resources")
    assert command.main(["draw", str(tmp_path), "--out", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(tmp_path / "model.png"), str(tmp_path / "resources.png")]
    assert [line.split(": ")[1] for line in told.err.splitlines()] == ["model, Live accuracy", "model, Brier score"]
    drawn = titles(Recording.read(tmp_path / "model.json.gz"))
    silent_cards = [title for title, card in drawn.items() if "no data" in [text.get_text() for text in card.texts]]
    assert silent_cards == ["Brier score"]
    for name in ("model", "resources"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert (picture.format, picture.mode, picture.width) == ("PNG", "P", 1760)


def test_the_pictures_of_the_documentation_are_of_the_dashboards_that_there_are() -> None:
    shown_there = set(re.findall(r"!\[[^]]+\]\(pictures/(\w+)\.png\)", DOCUMENT.read_text()))
    assert shown_there == set(names())
    for name in names():
        recording = command.RECORDINGS / f"{name}.json.gz"
        queries = {query.expr for panel in dashboard(name).panels for query in panel.queries}
        # After a change `make e2e K=monitoring` records them anew, and `python -m monitoring.pictures draw` draws them.
        assert Recording.read(recording).answers.keys() == queries
        assert recording.stat().st_size <= MOST_BYTES
        assert (command.PICTURES / f"{name}.png").stat().st_size <= MOST_PICTURE_BYTES


def test_what_does_not_do_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prometheus = Prometheus()
    prometheus.refuses = True
    assert record(prometheus, tmp_path) == 1
    assert capsys.readouterr().err == "Prometheus refuses a query of Alerts that fire: parse error\n"
    nobody = ["record", "--url", "http://127.0.0.1:1", "--namespace", "models", "--release", "battle"]
    assert command.main([*nobody, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("There is no Prometheus at http://127.0.0.1:1: ")
    assert command.main(["draw", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path} has no recordings.\n"
    (tmp_path / "model.json.gz").write_bytes(b"{}")
    assert command.main(["draw", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path / 'model.json.gz'} is no recording of a dashboard.\n"


def test_equal_recordings_are_equal_files(tmp_path: Path) -> None:
    recording = Recording("model", "a test", Span(0, 60, 15, 60), {"up": [({"pod": "a"}, [None, 1.0, 2.0, 3.0, 4.0])]})
    once = recording.write(tmp_path).read_bytes()
    again = Recording.read(tmp_path / "model.json.gz")
    assert again == recording
    assert again.write(tmp_path).read_bytes() == once
    with pytest.raises(RecordingError):
        Recording.read(tmp_path / "none.json.gz")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.123, "percentunit", "12.3%"), (0.0042, "s", "4.2 ms"), (2.5, "s", "2.5 s"), (0, "s", "0 s"),
        (300 * 2**20, "bytes", "300 MiB"), (12_345, "short", "12.3 K"), (7, "reqps", "7 req/s"), (180, "d", "180 d"),
        (-500.4, "percentunit", "-50,040%"),
    ],
)  # fmt: skip
def test_numbers_have_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_legend_names_limits_and_what_moves_where_there_are_many() -> None:
    made = [Line(f"route {number}", [0.0, float(number)], dashed=False) for number in range(5)]
    made.append(Line("limit", [1.0, 1.0], dashed=True))
    assert [line.name for line in named(made, 6)] == [line.name for line in made]
    assert [line.name for line in named(made, 5)] == ["route 1", "route 2", "route 3", "route 4", "limit"]
    assert [line.name for line in named(made, 3)] == ["route 3", "route 4", "limit"]
    assert short("[0.00067051591216310,0.9)", 24) == "[0.000671,0.9)"
    assert short("battle-stable-7c9d8b5f4-x2lqp", 24) == "battle-stable-7c9d8b5f4…"


def test_bars_on_top_of_each_other_have_room() -> None:
    span = Span(0, 60, 15, 60)
    expr = next(panel for panel in dashboard("model").panels if panel.title == "Score, by bin").queries[0].expr
    halves: list[Series] = [({"bin": name}, [None, 0.5, 0.5, 0.5, 0.5]) for name in ("[-Inf,0.5)", "[0.5,+Inf]")]
    drawn = figure(Recording("model", "a test", span, {expr: halves}))
    (bars,) = [axes for axes in drawn.axes if axes.containers]
    assert bars.get_ylim()[1] >= 1
