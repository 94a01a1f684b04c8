import pytest

from training.cli.common import _without_password


@pytest.mark.parametrize("secret", ["hidden", "hid@den", "hid/den"])
def test_a_password_in_a_library_s_message_is_not_shown(secret: str) -> None:
    shown = _without_password(f"cannot reach postgresql+psycopg://user:{secret}@host/db: timed out")
    assert shown == "cannot reach postgresql+psycopg://***@host/db: timed out"
