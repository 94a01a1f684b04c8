"""The next plain deploy keeps a promoted image, and nothing else in its values file changes."""

from pathlib import Path

import pytest
import yaml

from k8s.rollout import deploy

IMAGE = {"repository": "localhost/battle", "tag": "v2", "digest": ""}
TEXT = """# Production.
autoscaling:
  min: 4 # for the evening
image:
  repository: localhost/battle
  tag: "v1" # by the pipeline
  pullPolicy: Always

route: {enabled: true}
"""


def test_only_the_image_changes(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(TEXT)
    assert "keeps it" in deploy.keep(str(file), IMAGE)
    before, after = TEXT.splitlines(), file.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        '  repository: "localhost/battle"', '  tag: "v2" # by the pipeline',
    ]  # fmt: skip
    assert yaml.safe_load(file.read_text())["image"] == {
        "repository": "localhost/battle", "tag": "v2", "pullPolicy": "Always",
    }  # fmt: skip


def test_a_digest_takes_the_tags_place() -> None:
    text = deploy.patched(TEXT, {"repository": "localhost/battle", "tag": "", "digest": "sha256:12"})
    found = yaml.safe_load(text)["image"]
    assert (found["tag"], found["digest"]) == ("", "sha256:12")


@pytest.mark.parametrize("text", ["", "a: 1\n", "image: {repository: a, tag: b}\n", "image:\n  - a\n"])
def test_another_form_is_left_alone_and_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    said = deploy.keep(str(file), IMAGE)
    assert file.read_text() == text
    assert "was not changed" in said
    assert "tag: v2" in said


def test_what_is_no_yaml_is_left_alone_and_told(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("image:\n  tag: {{ .Values.tag }}: 1\n")
    assert "it is no YAML" in deploy.keep(str(file), IMAGE)


def test_without_a_file_it_is_told() -> None:
    assert "tag: v2" in deploy.keep("", IMAGE)
