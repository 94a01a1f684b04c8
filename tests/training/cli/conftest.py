from tests.postgres import postgres

__all__ = ["postgres"]  # a fixture, found by its name
