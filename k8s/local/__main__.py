"""``python -m k8s.local``: up, down, status, smoke, prove, snapshot, compare, load, tools.

Exit status 0: done; 1: not, with one sentence on standard error; 130: interrupted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from k8s.local import choose, current, down, images, kind, node, packages, paths, progress, prove, require, tools, up
from k8s.local.choose import Mode
from k8s.local.errors import CheckFailed, ClusterError, Missing
from k8s.local.kubectl import Kubectl
from k8s.local.smoke import smoke

_UP: Final[dict[Mode, Callable[[bool], None]]] = {
    Mode.CURRENT: current.use,
    Mode.KIND: kind.up_in_kind,
    Mode.NODE: up.up,
}


def _up(arguments: argparse.Namespace) -> None:
    mode, start = choose.mode(), time.monotonic()
    progress.say(f"Cluster: {mode}")
    _UP[mode](arguments.bare)
    choose.remember(mode)
    progress.say(f"Ready after {time.monotonic() - start:.0f} s:\n\nexport KUBECONFIG={paths.KUBECONFIG}")


def _down(_: argparse.Namespace) -> None:
    if kind.is_there():
        kind.down()
    if down.is_there():
        require.root()
        with up.machine_lock():
            down.clean()
    choose.forget()
    progress.say("No cluster of ours is left.")


def _status(_: argparse.Namespace) -> None:
    mode = choose.running()
    if mode is None:
        raise Missing("There is no cluster; `make cluster` brings one up.")
    progress.say(f"Cluster: {mode}")
    if mode == Mode.NODE:
        for process in node.everyone(require.address()):
            progress.say(f"  {process.name:<26} {'runs' if process.alive() else 'does not run'}")
    progress.say(Kubectl(paths.KUBECONFIG)("get", "nodes,pods", "--all-namespaces"))


def _smoke(_: argparse.Namespace) -> None:
    smoke(Kubectl(paths.KUBECONFIG))


def _prove(_: argparse.Namespace) -> None:
    if down.is_there() or choose.running() is not None:
        raise Missing("The proof needs a machine without a cluster; `make cluster-down` takes this one down.")
    require.machine()
    packages.ensure()
    before = prove.snapshot()
    for command in (_up, _up, _smoke, _down):
        command(_)
    _as_before(before)
    progress.say("Up, up again, checked and down; the machine is as it was.")


def _snapshot(arguments: argparse.Namespace) -> None:
    packages.ensure()
    prove.write(prove.snapshot(), arguments.file)


def _compare(arguments: argparse.Namespace) -> None:
    _as_before(prove.read(arguments.file))
    progress.say("The machine is as it was.")


def _as_before(before: prove.Snapshot) -> None:
    left = prove.differences(before, prove.snapshot())
    if left:
        raise CheckFailed("The cluster changed the machine:\n" + "\n".join(left))


def _load(arguments: argparse.Namespace) -> None:
    archive: Path = arguments.archive
    mode = choose.running()
    if mode not in {Mode.NODE, Mode.KIND}:
        raise Missing("There is no cluster of ours that an image could be given to; `make cluster` brings one up.")
    with progress.part(f"image {archive.name}"):
        if mode == Mode.KIND:
            kind.load(str(archive))
        else:
            images.load([archive])


def _tools(_: argparse.Namespace) -> None:
    tools.ensure()
    for tool in tools.TOOLS:
        progress.say(f"{tool.name:<9} {tools.path(tool.name).resolve()}")
    progress.say(f'\nexport PATH="{paths.PROGRAMS}:$PATH"')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m k8s.local", description="The Kubernetes that tests run on.")
    parser.set_defaults(bare=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, told in (
        ("up", _up, f"bring the cluster up, or mend it; {choose.VARIABLE}={'|'.join(Mode)} names which"),
        ("down", _down, "take it down and leave nothing behind"),
        ("status", _status, "say what runs"),
        ("smoke", _smoke, "check that it does what a cluster should"),
        ("prove", _prove, "up, up again, smoke, down, and compare the machine with what it was"),
        ("snapshot", _snapshot, "write down what of the machine a cluster could change"),
        ("compare", _compare, "say what has changed since"),
        ("load", _load, "give it the images of an archive"),
        ("tools", _tools, "have helm, kubectl and promtool in .pdx/bin"),
    ):
        one = commands.add_parser(name, help=told, description=told)
        one.set_defaults(command=command)
        if command is _up:
            without = "without addons: no custom resource, no metrics, no gateway, no storage"
            one.add_argument("--bare", action="store_true", help=without)
        if command is _load:
            one.add_argument("archive", type=Path, help="docker-archive or OCI archive")
        if command in (_snapshot, _compare):
            one.add_argument("file", type=Path, help="where it is written down")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = _parser().parse_args(words)
    try:
        arguments.command(arguments)
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
