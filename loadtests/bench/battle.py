"""The flagship's own figure: ``POST /predict/battle`` with every legal attack of both sides."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from loadtests.bench.catalogue import PRODUCT_VARIABLES
from loadtests.bench.load import Generators, Load
from loadtests.bench.payloads import Payload
from loadtests.bench.places import ROOT, SERVING_PYTHON, STATE, Cores, environment
from loadtests.bench.servers import ServerError, free_ports, start

PAIRS: Final = 200
SEED: Final = 20240229
MEW: Final = "mew"
PATH: Final = "/predict/battle"
_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Battle:
    """Duels asked one at a time.

    Attributes:
        duels: of 200 pairs of species drawn at random, each with all attacks, in turn.
        pairings: mean number of pairs of attacks that one of them scores.
        mew: Mew against Mew, the longest answer there is.
        mew_pairings: pairs of attacks of that one.
    """

    duels: Load
    pairings: float
    mew: Load
    mew_pairings: int


def newest_bundle(folder: Path) -> Path | None:
    """The folder in `folder` whose contract is the youngest; None where there is none."""
    contracts = sorted(folder.glob("*/contract.json"), key=lambda path: path.stat().st_mtime)
    return contracts[-1].parent if contracts else None


def species(bundle: Path) -> list[str]:
    """Ids of all Pokémon a battle bundle knows, sorted.

    Raises:
        ServerError: it is no battle bundle.
    """
    tables = bundle / "dex.json"
    if not tables.is_file():
        raise ServerError("The bundle holds no dex; it is not one of the battle adapter.")
    return sorted(entry["id"] for entry in json.loads(tables.read_text())["species"])


def _duel(ours: str, theirs: str) -> dict[str, str]:
    return {"pokemon_a": ours, "pokemon_b": theirs}


_MIRROR: Final = _duel(MEW, MEW)
_JSON: Final = {"Content-Type": "application/json"}


def answers(address: str) -> bool:
    """Whether a server answers at `address` for Mew against Mew."""
    try:
        return httpx.post(address, json=_MIRROR, timeout=_SECONDS).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _attacks(address: str, names: list[str]) -> dict[str, int]:
    """How many attacks of each Pokémon are scored; those that have none are left out."""
    counts = {}
    with httpx.Client(timeout=_SECONDS) as client:
        for name in names:
            answer = client.post(address, json=_duel(name, MEW))
            if answer.status_code == httpx.codes.OK:
                body: dict[str, Any] = answer.json()
                counts[name] = len(body["all_moves"])
    if MEW not in counts:
        raise ServerError("The server does not answer for Mew.")
    return counts


@dataclass(frozen=True)
class Drawn:
    """Duels to ask for.

    Attributes:
        payload: one a line.
        pairings: mean number of pairs of attacks that one of them scores.
        mew_pairings: pairs of attacks of Mew against Mew.
    """

    payload: Payload
    pairings: float
    mew_pairings: int


def draw(address: str, names: list[str]) -> Drawn:
    """200 pairs of the Pokémon in `names` that the server at `address` knows attacks of, the same in every run.

    Raises:
        ServerError: the server does not answer for Mew.
    """
    attacks = _attacks(address, names)
    drawn = random.Random(SEED)  # noqa: S311  the same duels in every run
    able = sorted(attacks)
    pairs = [(drawn.choice(able), drawn.choice(able)) for _ in range(PAIRS)]
    lines = b"\n".join(json.dumps(_duel(*pair)).encode() for pair in pairs)
    pairings = sum(attacks[ours] * attacks[theirs] for ours, theirs in pairs) / len(pairs)
    return Drawn(Payload(lines, _JSON), pairings, attacks[MEW] ** 2)


def measure(bundle: Path, generators: Generators, cores: Cores, seconds: float) -> Battle:
    """Serve the bundle and ask it for duels on one connection.

    Raises:
        ServerError: the bundle is none of the battle adapter's, or the server does not answer.
        LoadError: an answer was an error.
    """
    names = species(bundle)
    ports = free_ports()
    address = f"http://127.0.0.1:{ports.http}{PATH}"
    options = ["--bundle", str(bundle.resolve()), "--host", "127.0.0.1", "--port", str(ports.http)]
    options += ["--grpc-port", str(ports.grpc), "--admin-port", str(ports.admin)]
    command = cores.pin_server([str(SERVING_PYTHON), "-m", "bentos", *options])
    env = environment(**PRODUCT_VARIABLES)
    with start(command, ports, ROOT / STATE / "battle/server.log", cwd=ROOT, env=env) as server:
        server.wait(lambda: answers(address))
        drawn = draw(address, names)
        generators.http(address, drawn.payload, connections=1, seconds=1, lines=True)
        duels = generators.http(address, drawn.payload, connections=1, seconds=seconds, lines=True)
        longest = Payload(json.dumps(_MIRROR).encode(), _JSON)
        mew = generators.http(address, longest, connections=1, seconds=seconds)
        server.check_alive()
    return Battle(duels, drawn.pairings, mew, drawn.mew_pairings)
