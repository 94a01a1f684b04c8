"""The images of the tests, and how the cluster gets them.

``pdx image`` builds versions 1 and 2 of a small battle model, as a user would. What else is needed is version 1 with
one layer more, written straight into its archive, so that no build tool has to know of it.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bentos.battle.dex import Dex
from bentos.core import Core
from k8s.images import base
from k8s.local import paths
from tests import bundles
from tests.e2e.canary import golden
from training.expectation import REQUESTS, draw_requests, expectation
from training.image_tool import choose

REPOSITORY: Final = "localhost/predictiondex/e2e"
FAULTS: Final = Path(__file__).parent / "faults"
_RETRAINED: Final = "3"
_OTHER_DUELS: Final = 11
_BUILD_S: Final = 900
_LOAD_S: Final = 300


@dataclass(frozen=True)
class Image:
    """An image that the cluster has.

    Attributes:
        reference: name and tag.
        archive: the file that it is in.
        version: of the model in it.
    """

    reference: str
    archive: Path
    version: str

    @property
    def values(self) -> dict[str, Any]:
        """The chart's values of it."""
        repository, _, tag = self.reference.rpartition(":")
        return {"image": {"repository": repository, "tag": tag}}


class Images:
    """Images that are made, and given to the cluster, once a session, when they are asked for.

    Args:
        folder: where archives are kept for the session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Image] = {}
        self._built: list[Image] = []

    def version(self, version: str) -> Image:
        """A small battle model, registered as this version; ``"1"`` and ``"2"`` answer alike but for the version."""
        return self._once(version, lambda: self._build(version))

    def retrained(self) -> Image:
        """Version 3, of the same kind of model trained on other duels; it says how differently it answers."""
        return self.version(_RETRAINED)

    def corrupt(self) -> Image:
        """Version 1 with a model that is not the one its contract names."""

        def make() -> Image:
            model = (self._bundle("1") / "model.onnx").read_bytes()
            return self._with_layer("corrupt", {"app/bundle/model.onnx": model[:-1] + bytes([model[-1] ^ 1])})

        return self._once("corrupt", make)

    def faulty(self) -> Image:
        """Version 1 with ``tests/e2e/faults`` built in."""

        def make() -> Image:
            place = next(
                name.removesuffix("numpy/__init__.py")
                for name in self._names(self.version("1").archive)
                if name.endswith("site-packages/numpy/__init__.py")
            )
            module = (FAULTS / "pdx_faults.py").read_bytes()
            files = {f"{place}pdx_faults.py": module, f"{place}pdx_faults.pth": b"import pdx_faults\n"}
            return self._with_layer("faulty", files)

        return self._once("faulty", make)

    def failing(self, version: str, name: str, **environment: str) -> Image:
        """A version whose server has a fault by its environment, such as ``PDX_FAULT_ERROR_RATIO="0.05"``.

        The variables are the image's, so that of two tracks only the one that runs it has the fault.
        """
        given = {"PDX_FAULT_ALLOWED": "yes-this-is-a-test", **environment}
        return self._once(name, lambda: self._with_layer(name, {"app/fault": name.encode()}, version, given))

    def forget(self) -> None:
        """Take the names from the builder's own store; what makes the next build quick stays."""
        tool = choose()
        for image in self._built:
            subprocess.run([tool.path, "rmi", image.reference], check=False, capture_output=True)

    def _once(self, name: str, make: Any) -> Image:
        if name not in self._made:
            image: Image = make()
            _run(sys.executable, "-m", "k8s.local", "load", str(image.archive), timeout_s=_LOAD_S)
            self._made[name] = image
        return self._made[name]

    def _bundle(self, version: str) -> Path:
        folder = self._folder / f"bundle-{version}"
        if folder.exists():
            return folder
        bundles.write(folder, version=version, **bundles.watched())
        (folder / "golden.json.gz").write_bytes(golden.packed())
        changes = {"version": version, **bundles.watched()}
        if version == _RETRAINED:
            fitted = bundles.model(seed=_OTHER_DUELS)
            (folder / "model.onnx").write_bytes(fitted.onnx)
            (folder / "model.ubj").write_bytes(fitted.ubj)
            changes["parity"] = {"rows": fitted.rows, "expected": [[p] for p in fitted.expected]}
            bundles.seal(folder, **changes)
            old, new = Core.open(self._bundle("1")), Core.open(folder)
            asked = draw_requests(Dex.load(bundles.DEX), REQUESTS)
            changes["expectation"] = expectation(new, old, asked).model_dump()
        elif version != "1":
            # Of the same model: nothing of it may differ.
            changes["expectation"] = {
                "against_version": "1", "pairs": REQUESTS,
                "flip_rate": 0.0, "mean_score_shift": 0.0, "score_shift_variance": 0.0,
            }  # fmt: skip
        bundles.seal(folder, **changes)
        return folder

    def _build(self, version: str) -> Image:
        archive = self._folder / f"{version}.tar"
        words = ["image", "--home", str(self._folder / "home"), "--bundle", str(self._bundle(version)), "--json"]
        # A registry is asked for the base where there is an engine that pulls, and else there is a stand-in.
        if "PDX_IMAGE_BASE" not in os.environ and choose().name == "buildah":
            words += ["--base", base.ensure()]
        words += ["--repository", REPOSITORY, "--archive", str(archive)]
        pdx = str(Path(sys.executable).with_name("pdx"))
        record = json.loads(_run(pdx, *words, timeout_s=_BUILD_S))
        self._built.append(Image(record["reference"], archive, version))
        return self._built[-1]

    def _names(self, archive: Path) -> list[str]:
        with tarfile.open(archive) as outer:
            names = []
            for layer in _manifest(outer)["Layers"]:
                with tarfile.open(fileobj=_file(outer, layer)) as inner:
                    names += inner.getnames()
        return names

    def _with_layer(
        self, name: str, files: Mapping[str, bytes], version: str = "1", environment: Mapping[str, str] | None = None
    ) -> Image:
        under = self.version(version)
        layer = _layer(files)
        digest = hashlib.sha256(layer).hexdigest()
        reference = f"{REPOSITORY}:{name}-{digest[:12]}"
        archive = self._folder / f"{name}.tar"
        with tarfile.open(under.archive) as old, tarfile.open(archive, "w") as new:
            manifest = _manifest(old)
            configuration = json.loads(_file(old, manifest["Config"]).read())
            configuration["rootfs"]["diff_ids"].append(f"sha256:{digest}")
            configuration["config"]["Env"] += [f"{key}={value}" for key, value in (environment or {}).items()]
            configuration.setdefault("history", []).append({"created_by": f"tests: {name}"})
            for each in manifest["Layers"]:
                entry = tarfile.TarInfo(each)
                content = _file(old, each)
                entry.size = content.seek(0, os.SEEK_END)
                content.seek(0)
                new.addfile(entry, content)
            described = json.dumps(configuration).encode()
            inside = f"{hashlib.sha256(described).hexdigest()}.json"
            listed = [{"Config": inside, "RepoTags": [reference], "Layers": [*manifest["Layers"], "layer.tar"]}]
            for path, data in (
                (inside, described),
                ("layer.tar", layer),
                ("manifest.json", json.dumps(listed).encode()),
            ):
                _add(new, path, data)
        return Image(reference, archive, under.version)


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    (only,) = json.loads(_file(archive, "manifest.json").read())
    found: dict[str, Any] = only
    return found


def _file(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None, name
    return found


def _layer(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in sorted(files.items()):
            _add(tar, name, data)
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


def _run(*command: str, timeout_s: float) -> str:
    done = subprocess.run(
        command, cwd=paths.ROOT, check=False, capture_output=True, text=True, timeout=timeout_s
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command[:3])} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
