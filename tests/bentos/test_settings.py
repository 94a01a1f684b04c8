from pathlib import Path

import pytest

from bentos.errors import SettingsError
from bentos.settings import PREFIX, Settings, variables


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = Settings.read()
    assert (settings.http.port, settings.admin.port) == (3000, 3002)
    assert settings.http.keep_alive_seconds == 120
    assert settings.http.body_bytes == 4 * 1024 * 1024
    assert settings.stop.drain_seconds == 5
    assert settings.stop.drain_seconds + settings.stop.finish_seconds < 30


def test_a_variable_sets_its_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_HTTP_KEEP_ALIVE_SECONDS", "7")
    monkeypatch.setenv("PDX_BUNDLE", "somewhere")
    monkeypatch.setenv("PDX_TERMINATION_LOG", "log")
    settings = Settings.read()
    assert settings.http.keep_alive_seconds == 7
    assert settings.http.port == 3000
    assert (settings.bundle, settings.termination_log) == (Path("somewhere"), Path("log"))


def test_an_override_wins_over_its_variable_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_HTTP_PORT", "1")
    monkeypatch.setenv("PDX_HTTP_HOST", "127.0.0.1")
    settings = Settings.read({"http": {"port": 2}})
    assert (settings.http.port, settings.http.host) == (2, "127.0.0.1")


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_that_is_listed_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    special = {"PDX_LOG_LEVEL": "debug", "PDX_LOG_FORMAT": "text", "PDX_GRPC_THREADS": "5", "PDX_LIMIT_NESTING": "7"}
    special |= {"PDX_LIVE_UNREADY_SECONDS": "17.5", "PDX_FAULT_SLOW_SECONDS": "7.5", "PDX_FAULT_ERROR_RATIO": "0.25"}
    special |= {"PDX_FAULT_ANSWERS": "shuffled", "PDX_FAULT_MEMORY_MIB": "0.75", "PDX_TRACK": "canary"}
    special |= {"PDX_FAULT_SLOW_RATIO": "0.125"}
    # Those that are refused without others.
    together = {
        "PDX_FAULT_ALLOWED": "yes-this-is-a-test",
        "PDX_SHADOW_FILE": "s.json",
        "PDX_SHADOW_TARGET": "http://c:1",
    }
    special |= together
    for each, needed in together.items():
        monkeypatch.setenv(each, needed)
    value = special.get(name, "1234")
    monkeypatch.setenv(name, value)
    assert Settings.read() != Settings.model_construct()
    text = Settings.read().model_dump_json()
    assert value in text


@pytest.mark.parametrize(
    ("shadow", "words"),
    [
        ({"file": "shadow.json"}, "PDX_SHADOW_FILE and PDX_SHADOW_TARGET are of no use without each other"),
        ({"target": "http://canary:3000"}, "PDX_SHADOW_FILE and PDX_SHADOW_TARGET are of no use without each other"),
        ({"file": "shadow.json", "target": "canary:3000"}, "PDX_SHADOW_TARGET is not usable"),
        ({"file": "shadow.json", "target": "http://canary:3000/predict"}, "PDX_SHADOW_TARGET is not usable"),
    ],
)
def test_copies_need_a_file_and_a_target(shadow: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.read({"shadow": shadow})


def test_a_process_is_not_started_anew_before_requests_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_LIVE_UNREADY_SECONDS", "21")
    with pytest.raises(SettingsError, match="UNREADY_SECONDS must not be more than STALL_SECONDS"):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("PDX_HTTP_PROT", "PDX_HTTP_PORT"), ("PDX_BUNDEL", "PDX_BUNDLE"), ("PDX_HTTP", "PDX_HTTP_PORT")],
)
def test_an_unknown_variable_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=rf"^There is no setting {name}\. Did you mean {nearest}\?$"):
        Settings.read()


def test_variables_of_training_and_tests_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_HOME", "anywhere")
    monkeypatch.setenv("PDX_GATE_SLOWDOWN", "2")
    monkeypatch.setenv("PDX_GATE_REQUESTS", "1000")
    monkeypatch.setenv("PDX_FAIL_ON_SKIP", "1")
    monkeypatch.setenv("PDX_SOURCE", "duels.parquet")
    Settings.read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PDX_HTTP_PORT", "65536"),
        ("PDX_STOP_DRAIN_SECONDS", "-1"),
        ("PDX_LOG_LEVEL", "loud"),
        ("PDX_HTTP_BODY_BYTES", "x"),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^{name} is not usable: [^\n]+\.$"):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "value"),
    [("pdx_http", "{bad"), ("pdx_http_port", "1"), ("Pdx_Http_Port", "1"), ("PDX_HTTP", '{"port": 1}')],
)
def test_a_name_in_other_letters_or_of_a_whole_group_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^There is no setting {name}\. Did you mean PDX_HTTP_PORT\?$"):
        Settings.read()


def test_what_kubernetes_says_of_services_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("PDX", "PDX_ADMIN_API", "PDX_HTTP"):
        for name, value in {
            "SERVICE_HOST": "10.0.0.11",
            "SERVICE_PORT": "80",
            "SERVICE_PORT_REST": "80",
            "PORT_80_TCP": "tcp://10.0.0.11:80",
            "PORT_80_TCP_PROTO": "tcp",
            "PORT_80_TCP_PORT": "80",
            "PORT_80_TCP_ADDR": "10.0.0.11",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    monkeypatch.setenv("PDX_ADMIN_API_PORT", "tcp://10.0.0.11:80")
    assert Settings.read() == Settings.read({"http": {}})
    assert Settings.read().http.port == 3000


def test_a_port_that_is_spelled_wrong_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDX_ADMN_PORT", "3003")
    with pytest.raises(SettingsError, match=r"Did you mean PDX_ADMIN_PORT\?$"):
        Settings.read()
