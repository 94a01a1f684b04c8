"""Builds, saves and pushes images with whichever of docker, podman and buildah is there.

ImageError       the image cannot be built; one sentence says why
 └── NoTool      none of the three can be used
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# docker first, since most people have it; buildah last, which needs no daemon and no setup.
TOOLS: Final = ("docker", "podman", "buildah")
_ASK_S: Final = 20
_BUILD_S: Final = 1_800
_COPY_S: Final = 900
_TAIL_LINES: Final = 5


class ImageError(Exception):
    """The image cannot be built; one sentence says why."""


class NoTool(ImageError):
    """None of docker, podman and buildah can be used."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One of the three.

    Attributes:
        name: docker, podman or buildah.
        path: of the program.
    """

    name: str
    path: str

    def build(
        self,
        context: Path,
        reference: str,
        *,
        dockerfile: Path,
        arguments: Mapping[str, str],
        secrets: Mapping[str, Path],
        epoch: int,
        cached: bool = True,
    ) -> None:
        """Build and tag an image.

        Args:
            context: folder that COPY reads from.
            reference: name and tag.
            dockerfile: what to do.
            arguments: of the Dockerfile's ARGs; they can be read from the image.
            secrets: files that RUN may mount by these names; they are in no layer.
            epoch: seconds since 1970, the time of every file and of the image.
            cached: whether a step that was done before may be taken from there.

        Raises:
            ImageError: the build fails or takes longer than half an hour.
        """
        words = [*self._own(epoch), "--file", str(dockerfile), "--tag", reference]
        words += [] if cached else ["--no-cache"]
        for name, value in sorted(arguments.items()):
            words += ["--build-arg", f"{name}={value}"]
        for name, file in sorted(secrets.items()):
            words += ["--secret", f"id={name},src={file}"]
        self._run(*words, str(context), seconds=_BUILD_S, environment={"DOCKER_BUILDKIT": "1"})

    def _own(self, epoch: int) -> list[str]:
        if self.name == "docker":
            return ["build", "--build-arg", f"SOURCE_DATE_EPOCH={epoch}"]
        # One layer a step, or all of an image would be one; files in it have the image's time. The base is asked for
        # only where the store lacks it.
        common = ["build", "--layers", "--pull=false", "--timestamp", str(epoch), "--identity-label=false"]
        if self.name == "podman":
            return common
        # Without namespaces of its own it runs in a container and in CI as well.
        return [*common, "--isolation", os.environ.get("BUILDAH_ISOLATION", "chroot")]

    def save(self, reference: str, file: Path) -> None:
        """Write an archive that docker, podman, kind and containerd load.

        Raises:
            ImageError: there is no such image, or no room.
        """
        file.unlink(missing_ok=True)
        if self.name == "buildah":
            self._run("push", "--quiet", reference, f"docker-archive:{file}:{reference}", seconds=_COPY_S)
        elif self.name == "podman":
            self._run("save", "--format", "docker-archive", "--output", str(file), reference, seconds=_COPY_S)
        else:
            self._run("save", "--output", str(file), reference, seconds=_COPY_S)

    def push(self, reference: str, scratch: Path) -> str:
        """Push to the registry that the reference names; returns the digest of the manifest there, ``sha256:…``.

        Raises:
            ImageError: the registry refuses, or is not there.
        """
        if self.name == "docker":
            self._run("push", "--quiet", reference, seconds=_COPY_S)
            digests = json.loads(
                self._run("image", "inspect", "--format", "{{json .RepoDigests}}", reference, seconds=_ASK_S)
            )
            repository = reference.rpartition(":")[0]
            found = [digest for name, _, digest in (d.partition("@") for d in digests) if name.endswith(repository)]
            if not found:
                raise ImageError(f"docker pushed {reference} and knows no digest of it.")
            return str(found[-1])
        file = scratch / "digest"
        self._run("push", "--quiet", "--digestfile", str(file), reference, seconds=_COPY_S)
        return file.read_text("utf-8").strip()

    def _run(self, *words: str, seconds: int, environment: Mapping[str, str] | None = None) -> str:
        try:
            done = subprocess.run(  # noqa: S603  the program that was found
                [self.path, *words],
                env={**os.environ, **(environment or {})},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ImageError(f"{self.name} {words[0]} took more than {seconds} s.") from None
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
            said = " | ".join(lines[-_TAIL_LINES:])
            raise ImageError(f"{self.name} {words[0]} ended with status {done.returncode}: {said}")
        return done.stdout


def choose(wanted: str | None = None) -> Tool:
    """The tool that was asked for, or the first of docker, podman and buildah that answers.

    A docker without its daemon is as good as none, so each is asked.

    Raises:
        NoTool: there is none, or the one asked for cannot be used.
    """
    for name in [wanted] if wanted else TOOLS:
        path = shutil.which(name)
        if path and _answers(path, name):
            return Tool(name, path)
    if wanted:
        raise NoTool(f"{wanted} is not installed or does not answer; run it by hand to see why.")
    raise NoTool("An image is built by docker, podman or buildah, and none of them can be used here; install buildah.")


def _answers(path: str, name: str) -> bool:
    question = {"docker": ["info"], "podman": ["info"]}.get(name, ["version"])
    try:
        done = subprocess.run([path, *question], capture_output=True, timeout=_ASK_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
