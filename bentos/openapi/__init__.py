"""The OpenAPI document of every REST route, made from the models that read the requests and from the contract."""

from bentos.openapi.document import document, text

__all__ = ["document", "text"]
