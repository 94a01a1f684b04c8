"""``/docs`` and ``/openapi.json``: the schema of every REST route, shown without the internet.

BentoML brings Swagger UI's files along, and a page of its own that loads a tracker; ours uses its files without it, and
without importing BentoML.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bentos.errors import NotFound
from bentos.http import Request, Response
from bentos.routes import READ, Route

_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>PredictionDex</title>
<link rel="stylesheet" href="static_content/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true})</script>
</body>
</html>
"""
_FILES: Final = {"swagger-ui.css": b"text/css", "swagger-ui-bundle.js": b"text/javascript"}


class Docs:
    """The page, its files, and the document that it shows.

    Args:
        document: makes the OpenAPI document; raises NotReady while there is no model to describe.
    """

    def __init__(self, document: Callable[[], bytes]) -> None:
        self._document = document

    def routes(self) -> dict[str, Route]:
        """By path."""
        files = {
            f"/static_content/{name}": Route("/static_content/{file}", READ, call=partial(_file, name))
            for name in _FILES
        }
        return {
            "/docs": Route("/docs", READ, call=lambda _: Response(200, _PAGE, b"text/html; charset=utf-8")),
            "/openapi.json": Route("/openapi.json", READ, call=self._openapi),
            **files,
        }

    def _openapi(self, _: Request) -> Response:
        return Response(200, self._document())


def _file(name: str, _: Request) -> Response:
    return Response(200, _read(name), _FILES[name], ((b"cache-control", b"public, max-age=86400"),))


@lru_cache
def _read(name: str) -> bytes:
    # Looking for the package does not import it, which would take half a second.
    spec = find_spec("bentoml")
    if spec is None or spec.origin is None:
        raise NotFound("Swagger UI's files are not installed.")
    return (Path(spec.origin).parent / "_internal/server/static_content" / name).read_bytes()
