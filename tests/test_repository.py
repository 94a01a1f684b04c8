"""The project's habits: locks, Makefile, workflow, hooks and what tracked files may say."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("serving", "training", "dev")
NPM_LOCK = "training/engine/package-lock.json"
# Container paths that BentoML's images have.
CONTAINER_PATHS = ("/home/bentoml/",)
MACHINE_PATH = re.compile(r"(?<![\w.$})-])/(?:tmp|root|work|home)/[a-z][\w./-]*")


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Path and text of each file that git knows or would take."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data[:8192]:
            yield name, data.decode("utf-8", errors="replace")


def pins(group: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / f"requirements/{group}.txt").read_text(), re.MULTILINE
    ):
        found.setdefault(name, set()).add(version)
    return found


def copy_of_locks(folder: Path) -> Path:
    """What tools/lock.py reads, in a folder where a test may break it."""
    for name in ("pyproject.toml", "tools/lock.py", NPM_LOCK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    return folder


def check_locks(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/lock.py", "--check"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def make_help() -> list[str]:
    shown = subprocess.run(
        ["make"], cwd=ROOT, check=True, capture_output=True, text=True, env=plain_environment()
    ).stdout
    return [line.split()[1] for line in shown.splitlines()]


def plain_environment() -> dict[str, str]:
    """The environment without what an outer `make` hands down."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def test_locks_are_sound(tmp_path: Path) -> None:
    outcome = check_locks(copy_of_locks(tmp_path))
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "sentence"),
    [
        ("requirements/dev.txt", r"\A", "--index-url https://packages.example/simple\n", "names a host"),
        ("requirements/serving.txt", r"\A", "--find-links wheels\n", "is no pinned version"),
        ("requirements/serving.txt", r"(?m)^orjson==\S+ \\\n(    --hash.*\n)+", "orjson==1.0 \\\n", "has no hash"),
        ("requirements/serving.txt", r"(?m)^xgboost==\S+", "xgboost==3.1.0", "is not what its group asks"),
        ("requirements/serving.txt", r"(?m)^xgboost-cpu==\S+", "xgboost-cpu==3.1.0",
         "xgboost differs from that of xgboost-cpu in requirements/serving.txt"),
        ("requirements/serving.txt", r"(?m)^(xgboost==\S+) ; .+ \\", "xgboost==3.2.0 \\",
         "xgboost-cpu and xgboost are one module, and both would be on linux"),
        ("requirements/training.txt", r"(?m)^xgboost==", "xgboost-cpu==", "xgboost is in only one"),
        ("requirements/training.txt", r"(?m)^uvicorn==\S+", "uvicorn==0.1.0", "uvicorn differs from"),
        ("requirements/dev.txt", r"(?m)^pandas==\S+", "pandas==1.0.0", "pandas differs from"),
        ("requirements/serving.txt", r"(?m)^rich==", "pandas==", "pandas must not be in it"),
        ("requirements/training.txt", r"(?m)^rich==", "nvidia-nccl-cu12==", "nvidia-nccl-cu12 must not be in it"),
        ("pyproject.toml", r'"optuna",', '"optuna", "polars",', "polars is in only one"),
        ("pyproject.toml", r'    "optuna",\n', "", "optuna is in only one"),
        ("pyproject.toml", r"(?m)^uv = ", 'docs = ["sphinx"]\nuv = ', "group docs has no lock"),
        (NPM_LOCK, r'"integrity"', '"resolved": "https://packages.example/x.tgz", "integrity"', "names a host"),
        (NPM_LOCK, r'"integrity"', '"engine"', "has no hash"),
    ],
)  # fmt: skip
def test_a_broken_lock_is_named(tmp_path: Path, name: str, pattern: str, replacement: str, sentence: str) -> None:
    folder = copy_of_locks(tmp_path)
    broken, count = re.subn(pattern, lambda _: replacement, (folder / name).read_text(), count=1)
    assert count == 1
    (folder / name).write_text(broken)
    outcome = check_locks(folder)
    assert outcome.returncode == 1
    assert sentence in outcome.stdout


def test_a_missing_lock_is_named(tmp_path: Path) -> None:
    folder = copy_of_locks(tmp_path)
    (folder / "requirements/serving.txt").unlink()
    outcome = check_locks(folder)
    assert outcome.returncode == 1
    assert "requirements/serving.txt is missing" in outcome.stdout


def test_groups_agree_on_every_version() -> None:
    locks = [pins(group) for group in GROUPS]
    assert all(len(lock) > 30 for lock in locks)
    # The one package that has another name in serving.
    assert locks[0].pop("xgboost-cpu") == locks[1]["xgboost"]
    for smaller, larger in itertools.pairwise(locks):
        assert {name: larger.get(name) for name in smaller} == smaller


def test_locks_name_no_host() -> None:
    for lock in sorted(ROOT.glob("requirements/*.txt")):
        assert "://" not in lock.read_text(), lock.name


def test_no_tracked_file_holds_a_path_of_a_machine() -> None:
    found = [
        f"{name}: {path}"
        for name, text in tracked_texts()
        for path in MACHINE_PATH.findall(text)
        if not path.startswith(CONTAINER_PATHS)
    ]
    assert found == []


def test_machine_paths_are_recognised() -> None:
    folder = "/" + "home"
    assert MACHINE_PATH.findall(f"open('{folder}/someone/model.ubj')") == [f"{folder}/someone/model.ubj"]
    assert MACHINE_PATH.findall(f"https://site.example{folder}/page and var{folder}/x") == []


def test_make_documents_at_most_15_targets() -> None:
    targets = make_help()
    assert {"help", "demo", "test", "lint", "fmt", "train", "serve", "clean"} <= set(targets)
    assert len(targets) <= 15
    assert len(set(targets)) == len(targets)


def workflow_steps(name: str) -> list[dict[str, Any]]:
    workflow = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / ".github/workflows").iterdir()))
def test_workflows_pin_their_actions_and_call_targets_that_are_there(name: str) -> None:
    targets = make_help()
    for step in workflow_steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
        for target in re.findall(r"^make ([a-z0-9-]+)", step.get("run", ""), re.MULTILINE):
            assert target in targets


def test_what_is_checked_is_what_make_checks() -> None:
    """But for system packages, CI runs targets and .ci/run, which runs them itself."""
    install = r"(sudo )?apt-get update -q && (sudo )?apt-get install -q -y --no-install-recommends [a-z -]+"
    for step in workflow_steps("ci.yml"):
        if "run" in step:
            command = rf"{install}|\.ci/run check|make [a-z0-9-]+( [A-Z]+=(\w+|'[\w ]+'))*"
            assert re.fullmatch(command, step["run"]), step["run"]


def test_pre_commit_runs_make_lint_and_nothing_remote() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert [hook["entry"] for hook in config["repos"][0]["hooks"]] == ["make lint"]


@pytest.mark.parametrize(
    ("commands", "sentence"), [((), "git is missing"), (("git",), "Python 3.11 or 3.12 is missing")]
)
def test_a_bare_machine_is_told_what_to_install(tmp_path: Path, commands: tuple[str, ...], sentence: str) -> None:
    for command in commands:
        (tmp_path / command).symlink_to(shutil.which(command) or command)
    outcome = subprocess.run(
        ["/bin/sh", ROOT / "tools/find-python.sh"],
        env={"PATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 1
    assert sentence in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_the_python_found_is_one_the_locks_are_made_for() -> None:
    environment = plain_environment() | {"PYTHON": sys.executable}
    outcome = subprocess.run(
        ["/bin/sh", ROOT / "tools/find-python.sh", "--with-venv"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(outcome.stdout.strip()).samefile(sys.executable)


@pytest.mark.parametrize("where", ["in a test", "in a module"])
@pytest.mark.parametrize(("setting", "status", "word"), [("1", 1, "needs a tool"), ("0", 0, "skipped")])
def test_a_skip_fails_where_ci_asks_for_it(tmp_path: Path, where: str, setting: str, status: int, word: str) -> None:
    skip = "import pytest\ndef test_skips(): pytest.skip('needs a tool')\n"
    if where == "in a module":
        skip = "import pytest\npytest.skip('needs a tool', allow_module_level=True)\n"
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_one.py").write_text(skip)
    (tmp_path / "test_two.py").write_text(
        "import pytest\ndef test_runs(): pass\n@pytest.mark.xfail\ndef test_known(): raise ValueError\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", tmp_path],
        cwd=tmp_path,
        env=plain_environment() | {"PDX_FAIL_ON_SKIP": setting},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (outcome.returncode != 0) == bool(status), outcome.stdout
    assert word in outcome.stdout
    assert "1 xfailed" in outcome.stdout
