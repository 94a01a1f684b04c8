"""The last steps of a version's life in training: champion, bundle against what stable runs, bento, image, canary."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.stable import Running, StableError

if TYPE_CHECKING:
    from bentos.contract import Expectation
    from training.image import Built, Options
    from training.image_tool import Tool
    from training.registry import Registry
    from training.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """Where a version goes.

    Attributes:
        release: name of the Helm release.
        namespace: where it is; None for that of the kubeconfig's context.
        context: of the kubeconfig; None for the current one.
        words: more options of ``kubectl canary start``.
    """

    release: str
    namespace: str | None = None
    context: str | None = None
    words: tuple[str, ...] = ()

    def command(self, image: str) -> list[str]:
        """The command that begins the rollout of an image."""
        where = [("--namespace", self.namespace), ("--context", self.context)]
        options = [part for name, value in where if value for part in (name, value)]
        return ["kubectl", "canary", "start", self.release, "--image", image, *options, *self.words]


@dataclass(frozen=True, slots=True)
class Made:
    """What a release came to, or would come to.

    Attributes:
        model: its name.
        version: what is released.
        against: the version that stable runs.
        image: ``REPOSITORY@DIGEST`` where it was pushed, else ``REPOSITORY:TAG``; None where nothing is released.
        digest: of the manifest in the registry; None until pushed.
        expectation: how differently the version may answer; None until measured.
        command: what begins the rollout, or None.
    """

    model: str
    version: str
    against: str
    image: str | None = None
    digest: str | None = None
    expectation: "Expectation | None" = None
    command: list[str] | None = None

    def document(self) -> dict[str, Any]:
        """For JSON."""
        expected = self.expectation.model_dump(mode="json") if self.expectation else None
        return {**asdict(self), "expectation": expected}


def chosen(registry: "Registry", version: str | None, running: Running) -> str:
    """Number of the version to release: the one asked for, or the champion.

    Raises:
        RegistryError: there is none of this number, or no champion.
        StableError: stable's version is not this registry's, so that nothing can be measured against it.
    """
    from training.registry import RegistryError, UnknownVersion

    number = version or registry.champion()
    if number is None:
        raise RegistryError("There is no champion to release yet; promote a version, or name one with --version.")
    registry.version(number)
    try:
        there = registry.version(running.version)
    except UnknownVersion as error:
        raise StableError(
            f"Stable runs version {running.version} of {running.model}, which this registry does not have; name the "
            "registry that it came from with --tracking-uri."
        ) from error
    # A number alone names no registry.
    if running.run_id not in {None, there.run_id}:
        raise StableError(
            f"Stable's version {running.version} of {running.model} is of run {running.run_id}, and this registry's of "
            f"run {there.run_id}; name the registry that it came from with --tracking-uri."
        )
    return number


def make(
    registry: "Registry",
    number: str,
    running: Running,
    target: Target,
    *,
    places: "Settings",
    options: "Options",
    tool: "Tool",
) -> tuple[Made, "Built"]:
    """Bundle a version against what stable runs, and build its image as ``pdx image`` does.

    A bundle that is there already keeps its files; of it only the expectation is measured anew, and only where it is of
    another version or of fewer requests.

    Raises:
        RegistryError, BundleError, GateError, PackageError, ImageError: as the steps do.
    """
    from bentos.contract import CONTRACT_FILE, Contract
    from training import image
    from training.bundle import bundle
    from training.package import package
    from training.settings import bentoml_home

    folder = bundle(registry, number, running.version, None, places.home)
    contract = Contract.model_validate_json((folder / CONTRACT_FILE).read_bytes())
    built = image.serving(package(folder, bentoml_home(places.home)), options, tool)
    named = f"{options.repository}@{built.digest}" if built.digest else built.reference
    made = Made(
        contract.name, number, running.version, named, built.digest, contract.expectation, target.command(named)
    )
    return made, built


def planned(number: str, running: Running, target: Target, options: "Options") -> Made:
    """What ``make`` would come to, as far as that is known before anything is built."""
    image = f"{options.repository}@DIGEST" if options.push else f"{options.repository}:TAG"
    return Made(running.model, number, running.version, image, command=target.command(image))


def start(command: Sequence[str]) -> int:
    """Run the command that begins the rollout, with its output as ours; returns its exit status.

    Raises:
        StableError: there is no kubectl.
    """
    import os
    import subprocess
    import sys

    # The plugin is a console script of this environment, which need not be activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        return subprocess.run(command, env={**os.environ, "PATH": path}, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        raise StableError("There is no kubectl on PATH to start the rollout with; `make tools` builds one.") from None
