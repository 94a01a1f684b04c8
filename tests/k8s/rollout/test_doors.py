"""What the driver reads, from servers that run: two versions of a model, and stable that copies its requests."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from k8s.rollout.api import Api
from k8s.rollout.evidence import golden, pods, versions
from k8s.rollout.live import Pod
from tests import bundles, servers
from tests.e2e.canary import golden as made
from tests.k8s.rollout.conftest import ApiServer

SHADOW = {"share": 1.0, "concurrency": 2, "timeout_seconds": 5.0}
EXPECTATION = {
    "against_version": "1", "pairs": 50_000, "flip_rate": 0.0, "mean_score_shift": 0.0, "score_shift_variance": 0.0,
}  # fmt: skip
PODS = [Pod(name, name, name, 0, ready=True, trouble=None) for name in ("stable", "canary")]

Tracks = dict[str, servers.Process]


def bundle(folder: Path, version: str, **changes: Any) -> Path:
    bundles.write(folder, version=version)
    (folder / "golden.json.gz").write_bytes(made.packed())
    bundles.seal(folder, version=version, **changes)
    return folder


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracks]:
    folder = tmp_path_factory.mktemp("tracks")
    keys, shadow = folder / "ids", folder / "shadow.json"
    keys.write_text(secrets.token_bytes(32).hex())
    shadow.write_text(json.dumps(SHADOW))
    old, new = bundle(folder / "1", "1"), bundle(folder / "2", "2", expectation=EXPECTATION)
    common = {"PDX_IDS_KEYS_FILE": str(keys)}
    with ExitStack() as stack:

        def start(track: str, at: Path, **settings: str) -> servers.Process:
            given = {"PDX_BUNDLE": str(at), "PDX_TRACK": track, **common, **settings}
            return servers.ready(stack.enter_context(servers.start(folder / track, **given)))

        canary = start("canary", new)
        target = {"PDX_SHADOW_FILE": str(shadow), "PDX_SHADOW_TARGET": canary.rest}
        yield {"stable": start("stable", old, **target), "canary": canary}


@pytest.fixture
def passed_on(api: Api, server: ApiServer, tracks: Tracks) -> Api:
    for name, process in tracks.items():
        for port, address in ((3000, process.rest), (3002, process.admin)):
            server.doors[f"/api/v1/namespaces/models/pods/{name}:{port}/proxy"] = address
    return api


def ask(process: servers.Process, times: int) -> None:
    with httpx.Client(base_url=process.rest) as client:
        for _ in range(times):
            answer = client.post("/predict/battle", json={"pokemon_a": "pikachu", "pokemon_b": "blastoise"})
            assert answer.status_code == 200


def test_versions_and_what_is_expected(passed_on: Api) -> None:
    stable, canary = (versions.of(passed_on, PODS, track) for track in ("stable", "canary"))
    assert (stable.version, canary.version, canary.model) == ("1", "2", "battle")
    expectation = versions.expected(stable, canary)
    assert expectation is not None
    assert expectation.pairs == 50_000


def test_golden_requests_are_answered_by_both_and_count_in_nothing(passed_on: Api) -> None:
    before = pods.read(passed_on, PODS)
    rows = golden.rows(passed_on, PODS[0])
    found = golden.compare(passed_on, PODS[0], PODS[1], rows)
    assert (found.golden.pairs.pairs, found.golden.pairs.flips, found.refused) == (len(rows), 0, 0)
    assert found.versions == frozenset({"2"})
    assert found.golden.pairs.difference_squares == 0
    grown = pods.grown(before, pods.read(passed_on, PODS))
    assert pods.counts(grown.canary, 0.5).requests == 0
    assert pods.counts(grown.stable, 0.5).requests == 0


def test_users_requests_are_counted_and_copied(passed_on: Api, tracks: Tracks) -> None:
    before = pods.read(passed_on, PODS)
    ask(tracks["stable"], 20)
    ask(tracks["canary"], 5)

    def copied() -> bool:
        return pods.pairs(pods.grown(before, pods.read(passed_on, PODS)).stable, "2").pairs > 0

    servers.until(copied, tracks["stable"])
    grown = pods.grown(before, pods.read(passed_on, PODS))
    # What is copied counts for stable alone.
    assert pods.counts(grown.stable, 0.5).requests == 20
    assert pods.counts(grown.canary, 0.5).requests == 5
    assert pods.counts(grown.stable, 0.5).errors == 0
    assert pods.pairs(grown.stable, "2").flips == 0
    assert pods.pairs(grown.stable, "no such version").pairs == 0
