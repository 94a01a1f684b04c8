"""What metrics cost: both servers are the real one, of which one counts; nothing here is timed."""

from pathlib import Path

import httpx
import pytest

from loadtests.bench import battle, overhead
from loadtests.bench.load import Generators, Load
from loadtests.bench.overhead import Cost, Overhead, Pair
from loadtests.bench.places import Cores, default_cores
from loadtests.bench.servers import Ports, ServerError
from tests import bundles, tabular

ASKED = 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle") / "battle")


@pytest.fixture
def both(tmp_path: Path) -> Overhead:
    cores: Cores = default_cores()
    return Overhead(Generators("unused", None, cores, tmp_path), cores, seconds=1, pairs=2)


def address(ports: Ports) -> str:
    return f"http://127.0.0.1:{ports.http}{battle.PATH}"


def answers(ports: Ports) -> bool:
    return battle.answers(address(ports))


def ready(ports: Ports) -> bool:
    """Asks the admin port, which counts nothing."""
    try:
        return httpx.get(f"http://127.0.0.1:{ports.admin}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_the_same_requests_are_counted_by_one_and_answered_by_both(both: Overhead, bundle: Path) -> None:
    said: dict[int, list[float]] = {}
    duel = {"pokemon_a": "mew", "pokemon_b": "onix", "available_moves_a": ["surf"], "available_moves_b": ["tackle"]}

    def load(ports: Ports, _: float) -> Load:
        with httpx.Client() as client:
            for _ in range(ASKED):
                answer = client.post(address(ports), json=duel).json()
                said.setdefault(ports.http, []).append(answer["win_probability"])
        return Load(100.0, 1.0, 1.0, ASKED)

    pairs = both.measure(bundle, answers, load)
    assert len(pairs) == 2
    # Both servers warm up once and answer in each pair.
    assert [len(each) for each in said.values()] == [3 * ASKED] * 2
    assert len({value for each in said.values() for value in each}) == 1


def test_servers_that_both_count_nothing_are_no_measurement(both: Overhead, bundle: Path) -> None:
    with pytest.raises(ServerError, match="counted nothing"):
        both.measure(bundle, ready, lambda _, __: Load(100.0, 1.0, 1.0, ASKED))


def test_ratios_within_pairs_are_compared_and_the_least_times_told() -> None:
    pairs = [Pair(Cost(52, 90), Cost(50, 100)), Pair(Cost(110, 45), Cost(100, 50)), Pair(Cost(99, 45), Cost(100, 50))]
    written = overhead.summary("a door", pairs)
    assert (written["counting_us"], written["silent_us"]) == (52, 50)
    assert (written["ratio"], written["low"], written["high"], written["most"]) == (1.04, 0.99, 1.1, 1.05)
    assert written["rps_ratio"] == 0.9
    assert written["pairs"][0] == {
        "counting": {"microseconds": 52, "rps": 90}, "silent": {"microseconds": 50, "rps": 100},
    }  # fmt: skip


@pytest.mark.parametrize(("count", "places"), [(1, (0, 0)), (5, (0, 4)), (6, (0, 5)), (10, (1, 8)), (60, (21, 38))])
def test_the_interval_of_a_median_is_that_of_the_sign_test(count: int, places: tuple[int, int]) -> None:
    """As tables of it have the ranks, which count from 1: 2 and 9 of 10, 22 and 39 of 60."""
    assert overhead.median_interval(count) == places


def test_the_call_alone_is_measured_on_a_matrix_or_said_not_to_be(tmp_path: Path) -> None:
    folder = tabular.write("classifier", tmp_path / "classifier")
    assert overhead.alone(folder) > 0
    with pytest.raises(ServerError, match="not measured"):
        overhead.alone(tmp_path / "nowhere")
