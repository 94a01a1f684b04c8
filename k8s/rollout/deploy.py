"""What a promotion leaves to the next plain deploy: the new image in the deploy's own values file."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

_KEYS: Final = ("repository", "tag", "digest")


def keep(path: str, image: dict[str, str]) -> str:
    """Write the image into a values file, or say what to write; returns the sentence for people."""
    wanted = yaml.safe_dump({"image": image}, sort_keys=False).strip()
    told = f"The next deploy has to keep it, or it brings the old version back; values of the chart:\n{wanted}"
    if not path:
        return told
    file = Path(path)
    try:
        text = file.read_text("utf-8")
        changed = patched(text, image)
        file.write_text(changed, "utf-8")
    except yaml.YAMLError:
        return f"{path} was not changed: it is no YAML. {told}"
    except (OSError, ValueError) as error:
        return f"{path} was not changed: {error}. {told}"
    return f"{path} names the new image, so the next deploy keeps it."


def patched(text: str, image: dict[str, str]) -> str:
    """The text of a values file with another image; every other line stays as it is.

    Raises:
        ValueError: the file has no block ``image:`` of the usual form, or would say something else besides.
    """
    before: Any = yaml.safe_load(text)
    if not isinstance(before, dict) or not isinstance(before.get("image"), dict):
        raise ValueError("it has no block image")  # noqa: TRY004  a caller's file, not a type of ours
    lines = text.splitlines(keepends=True)
    start = next((place for place, line in enumerate(lines) if re.match(r"image:\s*(#.*)?$", line)), None)
    if start is None:
        raise ValueError("its image is no block of lines")
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #"):
        end += 1
    block = lines[start + 1 : end]
    left = dict(image)
    indent = "  "
    for place, line in enumerate(block):
        found = re.match(r"(\s+)(\w+):\s*(?:\"[^\"]*\"|'[^']*'|[^\s#]*)(\s*#.*)?$", line)
        if found and found[2] in left:
            indent = found[1]
            block[place] = f'{indent}{found[2]}: "{left.pop(found[2])}"{(found[3] or "").rstrip()}\n'
    added = [f'{indent}{key}: "{value}"\n' for key, value in left.items() if value]
    changed = "".join([*lines[: start + 1], *added, *block, *lines[end:]])
    after = yaml.safe_load(changed)
    expected = {**before, "image": {**before["image"], **{key: image[key] for key in _KEYS if image[key]}}}
    for key in _KEYS:
        if not image[key] and key in before["image"]:
            expected["image"][key] = ""
    if after != expected:
        raise ValueError("its image is written in a way that cannot be changed line by line")
    return changed
