"""Each lack of a machine is one sentence."""

import socket
from pathlib import Path

import pytest

from k8s.local import packages, require
from k8s.local.errors import Missing
from tests.k8s.local.conftest import Program


def test_another_user_than_root_is_told() -> None:
    require.root(0)
    with pytest.raises(Missing, match=r"needs root: .*CLUSTER=current\.$"):
        require.root(1000)


def test_a_machine_without_apt_is_told(program: Program) -> None:
    folder = program("dnf", "").parent
    with pytest.raises(Missing, match="apt-get"):
        require.apt(str(folder))
    program("apt-get", "")
    require.apt(str(folder))


def test_cgroups_of_either_version_do(tmp_path: Path) -> None:
    first, second = tmp_path / "v1", tmp_path / "v2"
    for name in require.CONTROLLERS:
        (first / name).mkdir(parents=True)
    second.mkdir()
    (second / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
    require.cgroups(first)
    require.cgroups(second)


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io pids\n")
    with pytest.raises(Missing, match="controllers cpuset, memory are not under"):
        require.cgroups(tmp_path)
    (tmp_path / "cgroup.controllers").unlink()
    (tmp_path / "memory").mkdir()
    with pytest.raises(Missing, match="controllers cpu, cpuset, pids are not under"):
        require.cgroups(tmp_path)


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setitem(require.PORTS, port, "the API server")
        with pytest.raises(Missing, match=f"^Port {port} is taken, and the API server needs it"):
            require.free_ports([port])
    require.free_ports([port])


def test_packages_are_asked_for_once_each(program: Program) -> None:
    program("etcd", "")
    lacking = packages.missing("etcd", "containerd", "ctr", "runc")
    assert lacking == ["containerd", "runc"]
    assert "etcd-server" not in packages.missing()
    with pytest.raises(Missing, match="no apt-get; install by other means: containerd"):
        packages.ensure("ctr")


def test_packages_are_installed_without_starting(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    # The first try fails, as with lists that were never fetched.
    fresh = tmp_path / "fresh"
    refuses_to_start = f"{policy} && exit 3"
    needs_lists = f"[ $1 = update ] && touch {fresh}; [ -f {fresh} ]"
    program("apt-get", f'echo "$@" >> {tmp_path}/said\n{refuses_to_start}\n{needs_lists}')
    packages.ensure("socat")
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.split()[0] for line in said] == ["install", "update", "install"]
    assert said[0].endswith("--no-install-recommends socat")
    assert not policy.exists()


def test_packages_that_are_not_to_be_had_are_named(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    program("apt-get", "echo E: Unable to locate >&2; exit 100")
    with pytest.raises(Missing, match=r"apt-get could not install socat: .*Unable to locate"):
        packages.ensure("socat")
    assert not (tmp_path / "policy-rc.d").exists()
