"""How pip reaches its index during a build: this machine's settings and certificates, as secrets of the build."""

import configparser
import os
from pathlib import Path
from typing import Final

# Which settings mean something inside of a build; folders of this machine do not.
_KEYS: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
_CERTIFICATES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_INSIDE: Final = "/run/secrets/ca.crt"


def secrets(folder: Path) -> dict[str, Path]:
    """Write pip's configuration and the certificates into a folder; returns the files by the names of their secrets.

    The variables of pip come first, as with pip itself, then its configuration files, then uv's index and the usual
    variables of a proxy. The files are readable by their owner alone, since an index's address may hold a password.
    """
    found = _settings()
    bundle = next(
        (Path(path) for path in (*(os.environ.get(name) for name in _CERTIFICATES), found.pop("cert", None)) if path),
        None,
    )
    certificates = bundle.read_bytes() if bundle and bundle.is_file() else b""
    if certificates:
        found["cert"] = _INSIDE
    parser = configparser.RawConfigParser()
    parser["global"] = found
    made = {"pip": folder / "pip.conf", "ca": folder / "ca.crt"}
    for path in made.values():
        path.touch(mode=0o600)
    with made["pip"].open("w", encoding="utf-8") as file:
        parser.write(file)
    made["ca"].write_bytes(certificates)
    return made


def _settings() -> dict[str, str]:
    found: dict[str, str] = {}
    environment = os.environ
    for key, names in (("index-url", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")), ("proxy", ("HTTPS_PROXY", "https_proxy"))):
        value = next((environment[name] for name in names if environment.get(name)), None)
        found |= {key: value} if value else {}
    parser = configparser.RawConfigParser(strict=False)
    parser.read(_files(), encoding="utf-8")
    for section in ("global", "install"):
        if parser.has_section(section):
            found |= {key: value for key, value in parser[section].items() if key in {*_KEYS, "cert"}}
    for key in _KEYS:
        value = environment.get("PIP_" + key.upper().replace("-", "_"))
        found |= {key: value} if value else {}
    return found


def _files() -> list[Path]:
    """Pip's files on a Unix, the weakest first."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = os.environ.get("PIP_CONFIG_FILE")
    return [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf", *([Path(named)] if named else [])]
