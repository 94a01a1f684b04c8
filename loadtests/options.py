"""The options of ``python -m loadtests``, and whether the doors that they name are open."""

import argparse
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loadtests.requests import SEED
from loadtests.shapes import SHAPES
from loadtests.slo import NotMeasured

DOORS: Final = ("battle", "oip-json", "oip-binary", "grpc")
GRPC_PORT: Final = 3001
_CONNECT_SECONDS: Final = 5.0


def parser() -> argparse.ArgumentParser:
    """What the command line may hold."""
    made = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Load a running server and hold it against its objectives. Exit code: 0 all met, 1 one missed, "
        "2 not measured.",
    )
    add = made.add_argument
    add("--host", default="http://127.0.0.1:3000", help="URL of the REST door (default %(default)s)")
    add("--grpc", help=f"HOST:PORT of the gRPC door (default port {GRPC_PORT} of --host)")
    add("--doors", type=_doors, default=list(DOORS), help=f"some of {','.join(DOORS)} (default all)")
    add("--shape", choices=sorted(SHAPES), default="steady", help="users over time (default %(default)s)")
    add("--users", type=_whole, default=16, help="most users at a time (default %(default)s)")
    add("--seconds", type=_positive, help="length of the run (default 60, soak 600)")
    add("--pace", type=_pace, default=0.0, help="requests a second of a user; 0 (default) is one after another")
    add("--feedback", type=_share, default=0.05, help="share of battle answers that get an outcome (default 0.05)")
    add("--model", default="battle", help="name of the model (default %(default)s)")
    add("--seed", type=int, default=SEED, help="of the requests (default %(default)s)")
    add("--slo", type=Path, help="values file with a block slo (default helm/serving/values.yaml)")
    add("--out", type=Path, help="folder for the report (default loadtests/results/load/SHAPE)")
    return made


def reach(given: argparse.Namespace) -> str:
    """Host and port of the gRPC door; raises NotMeasured where a door that is asked for is shut."""
    try:
        rest, rpc = urlsplit(given.host), urlsplit(f"//{given.grpc or ''}")
        rest_port, rpc_port = rest.port, rpc.port
    except ValueError as error:
        raise NotMeasured(f"An address cannot be read: {error}.") from error
    if rest.scheme not in {"http", "https"} or not rest.hostname:
        raise NotMeasured(f"--host is a URL such as http://127.0.0.1:3000, and not {given.host!r}.")
    if given.users < len(given.doors):
        raise NotMeasured(f"{len(given.doors)} doors need at least as many users, and --users is {given.users}.")
    rpc_host, rpc_port = rpc.hostname or rest.hostname, rpc_port or GRPC_PORT
    if set(given.doors) != {"grpc"}:
        _require(rest.hostname, rest_port or (443 if rest.scheme == "https" else 80), "REST")
    if "grpc" in given.doors:
        _require(rpc_host, rpc_port, "gRPC")
    return f"[{rpc_host}]:{rpc_port}" if ":" in rpc_host else f"{rpc_host}:{rpc_port}"


def _require(host: str, port: int, door: str) -> None:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise NotMeasured(
            f"Nobody answers at {host}:{port} ({door}): {error.strerror or error}. Start a server first, for example "
            "with `make serve`."
        ) from error


def _doors(text: str) -> list[str]:
    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in DOORS]:
        raise argparse.ArgumentTypeError(f"there is no door {unknown[0]!r}; there are {', '.join(DOORS)}")
    return names


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 10000")
    return int(text)


def _positive(text: str) -> float:
    return _within(text, 1e-3, 1e6)


def _pace(text: str) -> float:
    return _within(text, 0, 1e6)


def _share(text: str) -> float:
    return _within(text, 0, 1)


def _within(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least:g} to {most:g}")
    return value
