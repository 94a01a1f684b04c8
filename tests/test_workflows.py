"""The workflow of deployments: its steps in a shell, with a program in kubectl's place, and commands that exist."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from training.cli import app as pdx

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())


def step(job: str, name: str) -> str:
    found: str = next(each["run"] for each in DEPLOY["jobs"][job]["steps"] if each.get("name") == name)
    return found


def run(text: str, folder: Path, *, kubectl: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does with ``shell: bash``; the program stands in for gh too."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{folder}/calls"\n{kubectl}\n')
    (programs / "kubectl").chmod(0o755)
    (programs / "gh").symlink_to("kubectl")
    (programs / "python3").symlink_to(sys.executable)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        env={"PATH": path, "RELEASE": "battle", "NAMESPACE": "models", **variables},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def holds(condition: str, values: dict[str, str]) -> bool:
    """Whether a job's condition of comparisons holds; a value that is not there is empty, as GitHub has it."""
    words = {"&&": "and", "||": "or"}
    tokens = re.findall(r"&&|\|\||[!=]=|[()]|'[^']*'|[\w.]+", condition)
    text = " ".join(words.get(each) or (repr(values.get(each, "")) if each[0].isalpha() else each) for each in tokens)
    return bool(eval(text))  # noqa: S307  the repository's own


RUN = "github.event.workflow_run."
OURS = {
    "vars.RELEASE": "battle",
    "github.repository": "us/predictiondex",
    "github.event_name": "workflow_run",
    f"{RUN}conclusion": "success",
    f"{RUN}event": "push",
    f"{RUN}head_repository.full_name": "us/predictiondex",
}


@pytest.mark.parametrize(
    ("changed", "deployed"),
    [
        ({}, True),
        ({"github.event_name": "workflow_dispatch", f"{RUN}conclusion": "", f"{RUN}event": ""}, True),
        ({"vars.RELEASE": ""}, False),
        ({f"{RUN}conclusion": "failure"}, False),
        # The filter by branch goes by the head's name, and a fork's branch may be called main.
        ({f"{RUN}event": "pull_request", f"{RUN}head_repository.full_name": "fork/predictiondex"}, False),
        ({f"{RUN}event": "pull_request"}, False),
        ({f"{RUN}head_repository.full_name": "fork/predictiondex"}, False),
    ],
)
def test_only_a_push_to_this_repository_is_deployed(changed: dict[str, str], deployed: bool) -> None:
    assert holds(DEPLOY["jobs"]["image"]["if"], OURS | changed) == deployed


@pytest.mark.parametrize("runs", [0, 1])
def test_a_commit_that_ci_did_not_pass_on_main_is_refused(runs: int, tmp_path: Path) -> None:
    text = step("image", "Ask whether CI passed on this commit")
    repository = "us/predictiondex"
    done = run(text, tmp_path, kubectl=f"echo {runs}", COMMIT="0abc", GITHUB_REPOSITORY=repository)
    assert (done.returncode == 0) == bool(runs), done.stderr
    assert (tmp_path / "calls").read_text() == (
        f"run list --repo {repository} --workflow ci.yml --commit 0abc --status success "
        "--event push --branch main --json databaseId --jq length\n"
    )


@pytest.mark.parametrize("job", ["image", "production"])
@pytest.mark.parametrize(
    ("states", "open_"),
    [
        ((), ""),
        (("promoted", "rolled back"), ""),
        (("promoted", "running"), "battle-1"),
        (("held",), "battle-0"),
    ],
)
def test_a_deploy_during_a_rollout_is_refused(job: str, states: tuple[str, ...], open_: str, tmp_path: Path) -> None:
    told = json.dumps([{"name": f"battle-{number}", "state": state} for number, state in enumerate(states)])
    done = run(step(job, "Refuse a deploy during a rollout"), tmp_path, kubectl=f"echo '{told}'")
    assert done.returncode == (1 if open_ else 0), done.stderr
    assert (f"The rollout {open_} is under way" in done.stderr) == bool(open_)
    assert (tmp_path / "calls").read_text() == "canary history battle --namespace models --output json\n"


@pytest.mark.parametrize("kubectl", ["exit 1", "echo hello"])
def test_a_cluster_that_does_not_answer_is_no_leave_to_deploy(kubectl: str, tmp_path: Path) -> None:
    assert run(step("image", "Refuse a deploy during a rollout"), tmp_path, kubectl=kubectl).returncode


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (0, "registry.invalid/serving@sha256:0 has all requests."),
        (2, "was refused"),
        (3, "was held, and no person waits for it"),
        (4, "was taken back"),
        (5, "Another driver"),
        (1, "stopped with status 1, and is taken back"),
        (130, "stopped with status 130, and is taken back"),
    ],
)
def test_the_rollouts_end_is_the_jobs(status: int, sentence: str, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    done = run(
        step("production", "Canary, promoted or taken back"),
        tmp_path,
        kubectl=f"echo '{{}}'; exit {status}",
        IMAGE="registry.invalid/serving@sha256:0",
        CANARY="--steps 5,50 --prometheus monitoring/prometheus:9090",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(tmp_path / "output"),
    )
    assert done.returncode == status
    assert sentence in summary.read_text()
    assert (tmp_path / "output").read_text() == f"status={status}\n"
    assert (tmp_path / "rollout.json").read_text() == "{}\n"
    assert (tmp_path / "calls").read_text() == (
        "canary start battle --image registry.invalid/serving@sha256:0 --namespace models --output json "
        "--on-timeout abort --max-minutes 70 --keep-minutes 0 --steps 5,50 --prometheus monitoring/prometheus:9090\n"
    )


@pytest.mark.parametrize(
    ("end", "outcome", "status", "taken"),
    [
        ("success", "success", 0, False),
        *(("failure", "failure", status, status in {1, 3, 130}) for status in (1, 2, 3, 4, 5, 130)),
        ("cancelled", "cancelled", "", True),
        ("cancelled", "skipped", "", False),
        ("failure", "skipped", "", False),
    ],
)
def test_what_did_not_end_is_taken_back(end: str, outcome: str, status: int | str, taken: bool, tmp_path: Path) -> None:
    steps = DEPLOY["jobs"]["production"]["steps"]
    condition = next(each["if"] for each in steps if each.get("name") == "Take back what did not end")
    failed = r"failure\(\) && contains\(fromJSON\('(.*)'\), (steps\.canary\.outputs\.status)\)"
    listed = re.fullmatch(rf"\(cancelled\(\) && (.*)\) \|\| \({failed}\)", condition)
    assert listed is not None
    values = {"steps.canary.outcome": outcome, "steps.canary.outputs.status": str(status)}
    back = end == "cancelled" and holds(listed[1], values)
    assert (back or (end == "failure" and values[listed[3]] in json.loads(listed[2]))) == taken
    done = run(step("production", "Take back what did not end"), tmp_path, kubectl="exit 2")
    assert done.returncode == 2
    assert (tmp_path / "calls").read_text() == "canary abort battle --namespace models --output json\n"


def test_production_waits_for_staging_and_for_a_person() -> None:
    jobs: dict[str, Any] = DEPLOY["jobs"]
    assert jobs["production"]["needs"] == ["image", "staging"]
    assert jobs["production"]["environment"] == "production"
    assert DEPLOY["concurrency"] == {"group": "${{ github.workflow }}", "cancel-in-progress": False}


def used(program: str) -> list[tuple[str, set[str]]]:
    """Each command of a program that the workflow calls, with its options."""
    texts = [
        each["run"].replace("\\\n", " ") for job in DEPLOY["jobs"].values() for each in job["steps"] if "run" in each
    ]
    calls = re.findall(rf"(?:^|[(\s]){program} ([a-z]+)([^|>\n]*)", "\n".join(texts), re.MULTILINE)
    return [(command, set(re.findall(r"(?<!\S)--[a-z-]+", words))) for command, words in calls]


def options(app: typer.Typer, command: str) -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {name for parameter in group.commands[command].params for name in parameter.opts}


def test_the_options_of_pdx_are_there() -> None:
    calls = used("pdx")
    assert [command for command, _ in calls] == ["release"]
    for command, given in calls:
        assert given <= options(pdx, command)


def test_the_options_of_kubectl_canary_are_there() -> None:
    module = importlib.import_module("k8s.rollout.cli")
    calls = used("kubectl canary")
    assert {"history", "start", "abort"} <= {command for command, _ in calls}
    for command, given in calls:
        assert given <= options(module.app, command)
