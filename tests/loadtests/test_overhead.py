"""What metrics cost: both servers are the real one, of which one counts; nothing here is timed."""

from pathlib import Path

import httpx
import pytest

from loadtests.bench import battle, overhead
from loadtests.bench.load import Generators, Load
from loadtests.bench.overhead import Cost, Overhead, Pair
from loadtests.bench.places import Cores, default_cores
from loadtests.bench.servers import Ports, ServerError
from tests import bundles

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


def test_the_least_times_are_compared_and_pairs_tell_the_spread() -> None:
    pairs = [Pair(Cost(52, 90), Cost(50, 100)), Pair(Cost(110, 45), Cost(100, 50)), Pair(Cost(99, 45), Cost(100, 50))]
    written = overhead.summary("a door", pairs)
    assert (written["counting_us"], written["silent_us"], written["ratio"], written["most"]) == (52, 50, 1.04, 1.05)
    assert written["within_pairs"] == {"median": 1.04, "least": 0.99, "greatest": 1.1}
    assert written["rps_ratio"] == 0.9
    assert written["pairs"][0] == {
        "counting": {"microseconds": 52, "rps": 90}, "silent": {"microseconds": 50, "rps": 100},
    }  # fmt: skip
