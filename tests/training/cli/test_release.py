"""``pdx release``: a registry, a server that runs one of its versions, and programs in docker's and kubectl's place."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.bundle import Bundle
from bentos.contract import Contract
from tests import bundles, commands, servers
from tests.commands import Pdx
from tests.exports import export_small, fitted_small
from tests.tracking import log_run
from tests.training.cli.test_image import docker
from training import settings
from training.registry import Registry
from training.settings import MODEL_NAME

pytestmark = pytest.mark.slow

DIGEST = f"sha256:{'0' * 64}"
IMAGE = f"registry.invalid/team/serving@{DIGEST}"
PUSH = ("--registry", "registry.invalid/team", "--push")
KUBECTL = """#!{python}
import json, sys, urllib.request
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
if words[0] == "canary":
    sys.exit({status})
if "--raw" in words:
    print(urllib.request.urlopen({admin!r} + "/contract").read().decode())
elif "pods" in words:
    print(json.dumps({{"items": {pods}}}))
"""


def pod(name: str, *, ready: bool = True, going: bool = False) -> dict[str, object]:
    metadata = {"name": name, "namespace": "models"} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


class Place:
    """A home whose registry has versions 1, 2 and 3; 2 is the champion."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        uri = f"sqlite:///{self.home / 'mlflow.db'}"
        self.registry = Registry(uri, MODEL_NAME)
        for seed in (7, 8, 9):
            fitted = fitted_small("logistic_regression", seed)
            self.registry.register(log_run(uri, export_small(fitted, folder / str(seed), grid=(1,)).folder))
        self.registry.point_champion_at("2")
        self.pdx: Pdx = commands.here(self.home)

    def bundle(self) -> Contract:
        """The contract of the champion's bundle."""
        return Bundle.load(self.home / "bundles" / "2").contract


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def stable(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Process]:
    """The server of version 1 of the registry."""
    folder = tmp_path_factory.mktemp("stable")
    bundle = bundles.write(folder / "bundle", provenance=provenance(place.registry.version("1").run_id))
    with servers.start(folder, "--bundle", str(bundle)) as process:
        yield servers.ready(process)


def provenance(run_id: str) -> dict[str, object]:
    return {**bundles.contract({})["provenance"], "run_id": run_id}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    docker(tmp_path, 1_000, monkeypatch)
    return tmp_path


def kubectl(folder: Path, admin: str, *, pods: list[dict[str, object]] | None = None, status: int = 0) -> Path:
    """A program in kubectl's place, whose proxy leads to one server; returns the file of what it was called with."""
    log = folder / "kubectl.log"
    log.touch()
    shown = [pod("going", going=True), pod("cold", ready=False), pod("battle-stable-1")] if pods is None else pods
    text = KUBECTL.format(python=sys.executable, log=str(log), admin=admin, status=status, pods=repr(shown))
    (folder / "kubectl").write_text(text)
    (folder / "kubectl").chmod(0o755)
    return log


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.usefixtures("tools")
def test_the_champion_is_bundled_against_what_stable_runs_and_pushed(place: Place, stable: servers.Process) -> None:
    place.registry.tag("2", {"promotion.replaced": "3"})
    place.pdx("bundle")
    before = place.bundle()
    assert before.expectation is not None
    assert before.expectation.against_version == "3"
    done = place.pdx(
        "release", "battle", "--stable", stable.rest, "--namespace", "models", *PUSH, "--", "--steps", "5,50"
    )
    told = done.stdout.splitlines()
    assert told[-1] == f"kubectl canary start battle --image {IMAGE} --namespace models --steps 5,50"
    assert told[-2] == f"Image {IMAGE} is built and pushed."
    after = place.bundle()
    assert after.expectation is not None
    assert (after.expectation.against_version, after.expectation.pairs) == ("1", 1_000)
    assert 0 < after.expectation.flip_rate < 1
    assert f"than version 1, which stable runs, in {after.expectation.flip_rate:.2%} of 1,000 requests" in told[0]
    # Nothing else of the bundle is another one.
    assert after.model_copy(update={"expectation": before.expectation}) == before
    record = json.loads((place.home / "images" / "serving.json").read_text())
    assert record["reference"].startswith("registry.invalid/team/serving:2-")
    assert record["reference"].endswith("-against-1")


def test_the_cluster_is_asked_and_the_rollout_started(place: Place, stable: servers.Process, tools: Path) -> None:
    log = kubectl(tools, stable.admin, status=4)
    words = ("--namespace", "models", "--context", "prod")
    done = place.pdx("release", "battle", *words, *PUSH, "--start", "--json", status=4)
    made = json.loads(done.stdout)
    assert (made["version"], made["against"], made["image"], made["digest"]) == ("2", "1", IMAGE, DIGEST)
    assert made["expectation"]["against_version"] == "1"
    where, proxy = (
        ["--context", "prod", "--namespace", "models"],
        "/api/v1/namespaces/models/pods/battle-stable-1:3002/proxy",
    )
    selector = "app.kubernetes.io/instance=battle,track=stable"
    assert calls(log) == [
        [*where, "get", "pods", "--selector", selector, "--output", "json"],
        [*where, "get", "--raw", f"{proxy}/contract"],
        ["canary", "start", "battle", "--image", IMAGE, "--namespace", "models", "--context", "prod"],
    ]
    assert made["command"] == ["kubectl", *calls(log)[-1]]


def test_without_a_push_the_image_has_a_tag_and_nothing_is_started(
    place: Place, stable: servers.Process, tools: Path
) -> None:
    log = kubectl(tools, stable.admin)
    archive = tools / "image.tar"
    made = json.loads(place.pdx("release", "battle", "--archive", str(archive), "--json").stdout)
    assert made["image"].startswith("localhost/predictiondex/serving:2-")
    assert made["digest"] is None
    assert archive.is_file()
    assert all(words[0] != "canary" for words in calls(log))
    assert "--start needs --push" in place.pdx("release", "battle", "--start", status=2).stderr


def test_a_dry_run_builds_nothing(
    place: Place, stable: servers.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no docker
    images = sorted(place.home.rglob("*"))
    told = place.pdx("release", "battle", "--stable", stable.rest, "--version", "3", "--dry-run", *PUSH).stdout
    assert "Version 3 would be bundled against version 1, which stable runs." in told
    assert told.endswith("kubectl canary start battle --image registry.invalid/team/serving@DIGEST\n")
    assert [path for path in sorted(place.home.rglob("*")) if path not in images] == []


@pytest.mark.usefixtures("tools")
def test_what_stable_runs_already_is_not_released(place: Place, stable: servers.Process) -> None:
    words = ("release", "battle", "--stable", stable.rest, "--version", "1")
    assert place.pdx(*words).stdout == "Stable runs version 1 of battle already; there is nothing to release.\n"
    assert json.loads(place.pdx(*words, "--json").stdout)["command"] is None


def test_a_version_that_is_not_this_registrys_is_refused(place: Place, tools: Path) -> None:
    kubectl(tools, tools.as_uri())
    for version, sentence in (
        ("7", "Stable runs version 7 of battle, which this registry does not have; name the registry"),
        ("1", f"of run {'f' * 32}, and this registry's of run {place.registry.version('1').run_id}; name the"),
    ):
        told = bundles.contract({}, version=version, provenance=provenance("f" * 32))
        (tools / "contract").write_text(json.dumps(told))
        refused = place.pdx("release", "battle", status=2)
        assert sentence in refused.stderr
        assert refused.stderr.count("\n") == 1
    (tools / "contract").write_text("{}")
    said = place.pdx("release", "battle", status=2).stderr
    assert said == "The pod battle-stable-1 of release battle gives no contract.\n"


@pytest.mark.parametrize(
    ("pods", "sentence"),
    [([], "there is none"), ([pod("cold", ready=False), pod("going", going=True)], "none of its 2 is ready")],
)
def test_no_pod_to_ask_is_one_sentence(place: Place, tools: Path, pods: list[dict[str, object]], sentence: str) -> None:
    kubectl(tools, "http://127.0.0.1:1", pods=pods)
    told = place.pdx("release", "battle", status=2).stderr
    assert told == f"No pod of the track stable of release battle can be asked: {sentence}.\n"


@pytest.mark.usefixtures("tools")
def test_kubectl_that_fails_is_told_by_its_own_words(place: Place, tools: Path) -> None:
    (tools / "kubectl").write_text("#!/bin/sh\necho 'error: context \"prod\" does not exist' >&2\nexit 1\n")
    (tools / "kubectl").chmod(0o755)
    told = place.pdx("release", "battle", status=2).stderr
    assert told == 'kubectl cannot be asked what stable runs: error: context "prod" does not exist\n'
    (tools / "kubectl").write_text("#!/bin/sh\necho hello\n")
    assert place.pdx("release", "battle", status=2).stderr == "kubectl answered something else than JSON.\n"


def test_without_kubectl_one_sentence_says_what_to_do(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "There is no kubectl on PATH" in place.pdx("release", "battle", "--dry-run", status=2).stderr


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("battle.example:3000", "--stable is a URL such as https://models.example"),
        ("ftp://battle.example", "--stable is a URL such as https://models.example"),
        ("http://battle.example:no", "--stable is a URL such as https://models.example"),
        ("http://user:hidden@battle.example", "--stable takes no user, password or parameters"),
        ("http://battle.example/?key=hidden", "--stable takes no user, password or parameters"),
        ("http://127.0.0.1:1", "does not name its version of battle: Connection refused."),
    ],
)
def test_an_address_that_cannot_be_asked_is_one_sentence(place: Place, url: str, sentence: str) -> None:
    told = place.pdx("release", "battle", "--dry-run", "--stable", url, status=2).stderr
    assert sentence in told
    assert told.count("\n") == 1
    assert "hidden" not in told


def test_another_server_is_not_taken_for_stable(
    place: Place, stable: servers.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = place.pdx("release", "battle", "--dry-run", "--stable", stable.admin, status=2).stderr
    assert told == f"Stable at {stable.admin} does not name its version of battle: status 404.\n"
    monkeypatch.setattr(settings, "MODEL_NAME", "duel")
    told = place.pdx("release", "battle", "--dry-run", "--stable", stable.rest, status=2).stderr
    assert told == f"Stable at {stable.rest} does not name its version of duel: status 404.\n"


def test_where_nothing_is_champion_one_sentence_says_so(stable: servers.Process, tmp_path: Path) -> None:
    told = commands.here(tmp_path / "home")("release", "battle", "--dry-run", "--stable", stable.rest, status=2).stderr
    assert told.splitlines()[-1] == (
        "There is no champion to release yet; promote a version, or name one with --version."
    )
