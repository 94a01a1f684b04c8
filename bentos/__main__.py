"""Start the server: ``python -m bentos --bundle DIR``."""

import argparse
import sys
from typing import Any

from bentos.errors import SettingsError
from bentos.logs import configure
from bentos.refusal import refuse
from bentos.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Read options and settings, serve, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bentos", description="Serve one bundle over HTTP and gRPC.")
    parser.add_argument("--bundle", metavar="DIR", help="folder of the bundle (PDX_BUNDLE)")
    parser.add_argument("--host", help="address to listen on (PDX_HTTP_HOST, PDX_GRPC_HOST, PDX_ADMIN_HOST)")
    parser.add_argument("--port", type=int, help="port of the REST door (PDX_HTTP_PORT); 3000 by default")
    parser.add_argument("--grpc-port", type=int, help="port of the gRPC door (PDX_GRPC_PORT); 3001 by default")
    parser.add_argument("--admin-port", type=int, help="port of the admin door (PDX_ADMIN_PORT); 3002 by default")
    options = parser.parse_args(arguments)
    overrides: dict[str, Any] = {
        "bundle": options.bundle,
        "http": _given(host=options.host, port=options.port),
        "grpc": _given(host=options.host, port=options.grpc_port),
        "admin": _given(host=options.host, port=options.admin_port),
    }
    try:
        settings = Settings.read({name: value for name, value in overrides.items() if value})
    except SettingsError as error:
        return refuse(error)
    configure(settings.log)

    from bentos.server import serve  # noqa: PLC0415  a wrong option is answered without loading a server

    return serve(settings)


def _given(**values: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main())
